"""The management API of learning."""
