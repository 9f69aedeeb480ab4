"""Writes of billing: one verb a function."""
