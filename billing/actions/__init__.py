"""What billing changes."""
