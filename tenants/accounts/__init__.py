"""People's accounts: what django-allauth asks us, and what an organisation asks of those who sign in."""
