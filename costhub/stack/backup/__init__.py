"""Base backups and the write-ahead log of the embedded PostgreSQL, in a folder or a bucket, and the way back."""
