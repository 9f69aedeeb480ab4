"""Stored enumerations, as plain ``StrEnum`` so that the pure core may import them too."""

from enum import StrEnum
from typing import Final


class Role(StrEnum):
    """What a member may do, each including the reads of the next."""

    OWNER = "owner"
    ADMIN = "admin"
    FINANCE = "finance"
    DEVELOPER = "developer"
    VIEWER = "viewer"


class Permission(StrEnum):
    """The verbs that roles are made of."""

    READ = "read"
    READ_MONEY = "read_money"
    WRITE_KEYS = "write_keys"
    WRITE_MONEY = "write_money"
    WRITE_SETTINGS = "write_settings"
    WRITE_MEMBERS = "write_members"


#: One table, the only place that says what a role may do.
PERMISSIONS: dict[Role, frozenset[Permission]] = {
    Role.OWNER: frozenset(Permission),
    Role.ADMIN: frozenset(Permission),
    Role.FINANCE: frozenset({Permission.READ, Permission.READ_MONEY, Permission.WRITE_MONEY}),
    Role.DEVELOPER: frozenset({Permission.READ, Permission.READ_MONEY, Permission.WRITE_KEYS}),
    Role.VIEWER: frozenset({Permission.READ}),
}


class UpstreamKind(StrEnum):
    """The wire format and habits of an upstream."""

    OPENAI = "openai"
    OPENAI_COMPATIBLE = "openai_compatible"


class BudgetScope(StrEnum):
    """Of whom a budget counts the spend, and a rate limit what happens."""

    ORGANIZATION = "organization"
    PROJECT = "project"
    KEY = "key"
    END_USER = "end_user"
    MODEL = "model"
    TAG = "tag"
    #: what an agent does in one run, by ``x-costhub-session``
    SESSION = "session"


#: the scopes whose calls alone a limit of another scope may count
NARROWING: Final = (BudgetScope.PROJECT, BudgetScope.KEY)


class BudgetPeriod(StrEnum):
    """The window that a budget's counter covers, in the organisation's time zone."""

    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    TOTAL = "total"


#: the periods of which what is left may be rolled into the next
ROLLING: Final = (BudgetPeriod.DAY, BudgetPeriod.WEEK, BudgetPeriod.MONTH)


class BudgetAction(StrEnum):
    """What happens as a budget is used up: a call that does not fit is refused, or goes on and is reported; or calls
    are made cheaper rung by rung, by the budget's ladder."""

    BLOCK = "block"
    WARN = "warn"
    DEGRADE = "degrade"


class RungKind(StrEnum):
    """What a rung of a ladder does to calls."""

    CHEAPER_MODEL = "cheaper_model"
    SHORTER_OUTPUT = "shorter_output"
    SLOWER_LANE = "slower_lane"
    BLOCK = "block"


class LimitUnit(StrEnum):
    """What a rate limit counts: in a sliding window, or, of calls, how many are under way at once."""

    REQUESTS = "requests"
    TOKENS = "tokens"
    USD = "usd"
    CONCURRENT = "concurrent"


class Tokenizer(StrEnum):
    """Vocabularies that are counted exactly, offline. Anything else is bounded by its UTF-8 bytes."""

    O200K = "o200k_base"
    CL100K = "cl100k_base"
    LLAMA3 = "llama3"
    QWEN3 = "qwen3"
    BYTES = "bytes"
