"""Stored enumerations."""

from enum import StrEnum


class Cube(StrEnum):
    """What the sums of a bucket are split by. Every row of the ledger is once in each, but for ``TAGS``."""

    TOTAL = "total"
    #: by project and model
    MODELS = "models"
    #: by project and key
    KEYS = "keys"
    #: by project, key, model, upstream and status; by day only, as all that follow
    CALLS = "calls"
    #: by project and end user
    END_USERS = "end_users"
    #: by project and tag: a row of the ledger is here once for each tag that it has
    TAGS = "tags"
