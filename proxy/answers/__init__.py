"""Answers that callers want to ask for again: kept by those organisations that say so, for as long as they say."""
