"""All that the hot path knows of tenants: frozen values, the standard library only.

A snapshot is made from the database by ``tenants.selectors``, travels through Valkey as JSON, and lives in the memory
of every proxy process until its organisation's version moves on. Prices are pico-USD per token, money is nano-USD,
moments are milliseconds since the epoch.
"""

import base64
import json
from dataclasses import dataclass, field
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class PriceSnapshot:
    """One effective-dated price version. A class of tokens without a price of its own costs what ``input`` or
    ``output`` does."""

    id: str
    effective_from_ms: int
    input: int
    output: int
    cached_input: int
    cache_write: int
    audio_input: int
    audio_output: int
    per_request: int
    source: str

    def is_cheaper_than(self, other: "PriceSnapshot") -> bool:
        """Whether no class of tokens costs more, nor a request, and something costs less."""
        mine, theirs = self._amounts(), other._amounts()
        return mine != theirs and all(left <= right for left, right in zip(mine, theirs, strict=True))

    def _amounts(self) -> tuple[int, ...]:
        return (
            self.input,
            self.output,
            self.cached_input,
            self.cache_write,
            self.audio_input,
            self.audio_output,
            self.per_request,
        )


@dataclass(frozen=True, slots=True)
class UpstreamSnapshot:
    """Where calls go. ``credential`` is still sealed; only the upstream's client opens it."""

    id: str
    name: str
    kind: str
    base_url: str
    origin: str
    credential: bytes | None
    drain_on_disconnect: bool
    bill_path: str
    connect_timeout_ms: int
    timeout_ms: int
    max_retries: int


@dataclass(frozen=True, slots=True)
class ModelSnapshot:
    """A model as a tenant's applications name it. ``prices`` are sorted, newest first; future ones are in it too."""

    name: str
    upstream_id: str
    upstream_model: str
    context_window: int
    max_output_tokens: int
    tokenizer: str
    created_ms: int
    prices: tuple[PriceSnapshot, ...]

    def find_price(self, at_ms: int) -> PriceSnapshot | None:
        """The price version in effect at a moment (ms since the epoch), or None: the model is not priced then."""
        for price in self.prices:
            if price.effective_from_ms <= at_ms:
                return price
        return None


@dataclass(frozen=True, slots=True)
class RungSnapshot:
    """One rung of a ladder: in force from so many per cent of its budget on. Each kind has its own of the other
    fields."""

    at: int
    rung: str
    model: str = ""
    max_tokens: int = 0
    delay_ms: int = 0


@dataclass(frozen=True, slots=True)
class IncreaseSnapshot:
    """So many nano-USD more in a budget, from one moment until another, a whole minute."""

    amount: int
    from_ms: int
    until_ms: int


@dataclass(frozen=True, slots=True)
class BudgetSnapshot:
    """One budget. An empty ``subject`` makes it the default of every subject of its scope; ``within`` is the id of the
    one project or key whose calls it counts, and ``within_scope`` says which it is."""

    id: str
    scope: str
    subject: str
    period: str
    limit_nanos: int
    action: str
    name: str
    created_ms: int
    is_shadow: bool = False
    ladder: tuple[RungSnapshot, ...] = ()
    within_scope: str = ""
    within: str = ""
    rollover: bool = False
    increases: tuple[IncreaseSnapshot, ...] = ()


@dataclass(frozen=True, slots=True)
class RateLimitSnapshot:
    """One rate limit: ``amount`` is calls, tokens or nano-USD; ``window_ms`` 0 counts calls under way. ``within`` as a
    budget's."""

    id: str
    scope: str
    subject: str
    unit: str
    amount: int
    window_ms: int
    is_shadow: bool
    within_scope: str = ""
    within: str = ""


@dataclass(frozen=True, slots=True)
class OrgSnapshot:
    """An organisation's catalog and policy, whole, at one version."""

    id: str
    slug: str
    version: int
    shard: int
    time_zone: str
    is_active: bool
    data_key: bytes
    models: dict[str, ModelSnapshot]
    upstreams: dict[str, UpstreamSnapshot]
    budgets: tuple[BudgetSnapshot, ...]
    blocked_end_users: frozenset[str] = field(default=frozenset())
    rate_limits: tuple[RateLimitSnapshot, ...] = ()
    is_stopped: bool = False
    stopped_projects: frozenset[str] = field(default=frozenset())
    stopped_keys: frozenset[str] = field(default=frozenset())

    def __hash__(self) -> int:
        """By identity and version: what is computed from a snapshot may be remembered beside it."""
        return hash((self.id, self.version))

    def to_json(self) -> bytes:
        """The snapshot as Valkey keeps it."""
        return _dump(self)

    @classmethod
    def from_json(cls, raw: bytes) -> Self:
        """Read back what ``to_json`` wrote."""
        data = json.loads(raw)
        data["data_key"] = base64.b64decode(data["data_key"])
        for name in ("blocked_end_users", "stopped_projects", "stopped_keys"):
            data[name] = frozenset(data[name])
        data["budgets"] = tuple(_budget(budget) for budget in data["budgets"])
        data["rate_limits"] = tuple(RateLimitSnapshot(**limit) for limit in data["rate_limits"])
        data["upstreams"] = {key: _upstream(value) for key, value in data["upstreams"].items()}
        data["models"] = {key: _model(value) for key, value in data["models"].items()}
        return cls(**data)


@dataclass(frozen=True, slots=True)
class KeySnapshot:
    """An API key. ``models`` None means every model of the organisation; ``end_user`` binds the key to one person."""

    id: str
    org_id: str
    project_id: str
    version: int
    end_user: str | None
    models: frozenset[str] | None
    expires_at_ms: int | None
    is_revoked: bool

    def __hash__(self) -> int:
        """By identity and version: what is computed from a snapshot may be remembered beside it."""
        return hash((self.id, self.version))

    def to_json(self) -> bytes:
        """The snapshot as Valkey keeps it."""
        return _dump(self)

    @classmethod
    def from_json(cls, raw: bytes) -> Self:
        """Read back what ``to_json`` wrote."""
        data = json.loads(raw)
        data["models"] = None if data["models"] is None else frozenset(data["models"])
        return cls(**data)


def _dump(snapshot: Any) -> bytes:
    return json.dumps(_plain(snapshot), separators=(",", ":")).encode()


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, frozenset):
        return sorted(value)
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if hasattr(value, "__dataclass_fields__"):
        return {name: _plain(getattr(value, name)) for name in value.__dataclass_fields__}
    return value


def _budget(data: dict[str, Any]) -> BudgetSnapshot:
    data["ladder"] = tuple(RungSnapshot(**rung) for rung in data["ladder"])
    data["increases"] = tuple(IncreaseSnapshot(**increase) for increase in data["increases"])
    return BudgetSnapshot(**data)


def _upstream(data: dict[str, Any]) -> UpstreamSnapshot:
    if data["credential"] is not None:
        data["credential"] = base64.b64decode(data["credential"])
    return UpstreamSnapshot(**data)


def _model(data: dict[str, Any]) -> ModelSnapshot:
    data["prices"] = tuple(PriceSnapshot(**price) for price in data["prices"])
    return ModelSnapshot(**data)
