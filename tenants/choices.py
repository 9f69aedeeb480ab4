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
    ASK_MONEY = "ask_money"
    WRITE_KEYS = "write_keys"
    WRITE_MONEY = "write_money"
    WRITE_SETTINGS = "write_settings"
    WRITE_MEMBERS = "write_members"


#: One table, the only place that says what a role may do. What is not in it is denied.
PERMISSIONS: dict[Role, frozenset[Permission]] = {
    Role.OWNER: frozenset(Permission),
    Role.ADMIN: frozenset(Permission),
    Role.FINANCE: frozenset({Permission.READ, Permission.READ_MONEY, Permission.ASK_MONEY, Permission.WRITE_MONEY}),
    Role.DEVELOPER: frozenset({Permission.READ, Permission.READ_MONEY, Permission.ASK_MONEY, Permission.WRITE_KEYS}),
    Role.VIEWER: frozenset({Permission.READ}),
}

#: The permissions that a member of some projects holds there, if the role includes them. The others touch more than a
#: project, so that nobody holds them for one.
PROJECT_PERMISSIONS: Final = frozenset({Permission.READ, Permission.WRITE_KEYS})

#: Roles that may be given for some projects only.
PROJECT_ROLES: Final = frozenset({Role.DEVELOPER, Role.VIEWER})

#: Roles whose people need a second factor where the organisation asks for one.
SECOND_FACTOR_ROLES: Final = frozenset({Role.OWNER, Role.ADMIN, Role.FINANCE})

#: What each permission lets somebody do, for docs/roles.md and for pages.
MEANINGS: Final[dict[Permission, str]] = {
    Permission.READ: "see keys, projects, models, upstreams, members and settings",
    Permission.READ_MONEY: "see spend, calls, budgets, prices, invoices and the audit log",
    Permission.ASK_MONEY: "ask for more in a budget",
    Permission.WRITE_KEYS: "make, change, rotate and revoke keys; make end users",
    Permission.WRITE_MONEY: "set budgets, rate limits, prices and stops; grant requests for more; pay invoices",
    Permission.WRITE_SETTINGS: "change upstreams, models, projects, the cache, channels and the organisation",
    Permission.WRITE_MEMBERS: "invite, change and remove members; service accounts, tokens and single sign-on",
}


class ViewPage(StrEnum):
    """A page of which views can be saved."""

    BREAKDOWN = "breakdown"
    REQUESTS = "requests"


class BudgetRequestState(StrEnum):
    """What became of somebody's request for more."""

    OPEN = "open"
    GRANTED = "granted"
    DENIED = "denied"
    WITHDRAWN = "withdrawn"


class SignOnKind(StrEnum):
    """What an organisation's identity provider speaks."""

    OIDC = "oidc"
    SAML = "saml"


class UpstreamKind(StrEnum):
    """The wire format and habits of an upstream."""

    OPENAI = "openai"
    OPENAI_COMPATIBLE = "openai_compatible"
    ANTHROPIC = "anthropic"


class Habit(StrEnum):
    """What servers of OpenAI's format differ in, and an upstream may be told to have."""

    #: the field of an output limit that we write
    OUTPUT_LIMIT = "output_limit"
    #: whether a stream is asked for its usage by ``stream_options``
    STREAM_OPTIONS = "stream_options"
    #: whether ``stream: false`` is written where a caller left it out
    STREAM_FALSE = "stream_false"
    #: whether the probabilities of an answer's tokens may be asked for, where a cascade judges it
    LOGPROBS = "logprobs"
    #: whether a request's own limits of a provider's tools (``max_tool_calls``, ``max_uses``) are kept to
    TOOL_LIMITS = "tool_limits"
    #: the service tier of calls that name none, as the account with the provider is set
    SERVICE_TIER = "service_tier"
    #: whether OpenAI's Responses are asked for in their own form, and not as a chat
    RESPONSES = "responses"
    #: whether what an upstream's format cannot say is left out, and named in the answer; else such a call is refused
    DROP_UNKNOWN = "drop_unknown"


#: those that a refusal can teach
LEARNED_HABITS: Final = (Habit.OUTPUT_LIMIT, Habit.STREAM_OPTIONS, Habit.STREAM_FALSE, Habit.LOGPROBS)


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
    CACHE_ONLY = "cache_only"
    COMPRESS = "compress"
    ROUTE = "route"
    BLOCK = "block"


class Mode(StrEnum):
    """Whether what saves money is used: never, only on paper (the ledger says what it would have done), or in
    earnest."""

    OFF = "off"
    SHADOW = "shadow"
    ON = "on"


class RouteKind(StrEnum):
    """How a route chooses among its models."""

    FIXED = "fixed"
    FALLBACKS = "fallbacks"
    WEIGHTED = "weighted"
    CANARY = "canary"
    ROUTER = "router"
    CASCADE = "cascade"


class Sticky(StrEnum):
    """What stays with one choice of a route."""

    CONVERSATION = "conversation"
    REQUEST = "request"


class Compression(StrEnum):
    """A way to shorten prompts. All but the first lose something."""

    LOSSLESS = "lossless"
    FILLER = "filler"
    EXTRACT = "extract"
    PRUNE = "prune"
    # Words that one of the organisation's models would have guessed, which is asked and paid for it.
    PERPLEXITY = "perplexity"
    # Instructions in the shorter words that a person has approved, and in no others.
    SYSTEM_PROMPT = "system_prompt"


class PromptState(StrEnum):
    """What has become of shorter words for a system prompt: nobody has looked at them, they are sent, or are no
    more."""

    PROPOSED = "proposed"
    APPROVED = "approved"
    RETIRED = "retired"


class CacheMode(StrEnum):
    """Whether earlier answers are given again: never, only on paper (calls go to the upstream, and the ledger says what
    a hit would have been), or in earnest."""

    OFF = "off"
    SHADOW = "shadow"
    ON = "on"


class CacheSharing(StrEnum):
    """Whose earlier answers a call may be given: of the narrowest circle only, unless the organisation wants it
    wider."""

    END_USER = "end_user"
    KEY = "key"
    PROJECT = "project"
    ORGANIZATION = "organization"


class PurgeKind(StrEnum):
    """Which answers of the cache are given up."""

    ALL = "all"
    MODEL = "model"
    TAG = "tag"
    SCOPE = "scope"
    ENTRY = "entry"


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
