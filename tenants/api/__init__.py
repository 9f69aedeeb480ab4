"""The management API: programs with an admin token, and the console's own session, do the same things here."""
