"""The dearest groups of a sum, each by itself, and all others together."""

from typing import Final

#: what the others are called together: PostgreSQL's texts have no such character, so no group has this name
REST: Final = "\x00"
