"""Django's backend for PostgreSQL, and what this project adds to it."""
