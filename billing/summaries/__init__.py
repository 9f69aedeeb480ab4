"""What was spent in a week or a month, mailed to those who pay."""
