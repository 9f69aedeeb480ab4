"""Answers that need no upstream, and what they are found by."""
