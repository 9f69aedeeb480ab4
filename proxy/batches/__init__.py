"""Files and batches: calls that are handed in as a file, and answered in one."""
