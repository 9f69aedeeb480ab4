"""What needs the extra ``costhub[learning]``: ``make test-learning`` runs it, in an environment of its own."""
