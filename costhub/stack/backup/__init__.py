"""Base backups and the write-ahead log of the embedded PostgreSQL, in a folder or a bucket, and the way back."""

from typing import Final

#: in a data directory: its restore has not ended, so that who was erased since may be there again. Nothing is started
#: on it
UNFINISHED: Final = "restore-unfinished"
