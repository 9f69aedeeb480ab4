"""All that the hot path knows of tenants: frozen values, the standard library only.

A snapshot is made from the database by ``tenants.selectors``, travels through Valkey as JSON, and lives in the memory
of every proxy process until its organisation's version moves on. Prices are pico-USD per token, money is nano-USD,
moments are milliseconds since the epoch.
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from tenants.price_snapshots import PriceSnapshot, dump_price, read_price
from tenants.route_snapshots import ApprovedPrompt, CompressionSnapshot, RouteSnapshot, read_compression, read_route

#: the mode of a policy that does nothing; this module knows no enumerations
_OFF = "off"


@dataclass(frozen=True, slots=True)
class EndpointSnapshot:
    """One of an upstream's servers that takes calls; ``weight`` is its share of them beside the others'."""

    id: str
    base_url: str
    origin: str
    credential: bytes | None
    weight: int


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
    # What the tenant has set of ``choices.Habit``, by name.
    habits: Mapping[str, Any] = field(default_factory=dict)
    # Lines of batches that run at a time, and the minutes of the local day between which they begin; -1: at any.
    batch_concurrency: int = 8
    batch_from: int = -1
    batch_until: int = -1
    # Servers that share its calls; ``base_url`` is asked where there is none that answers.
    endpoints: tuple[EndpointSnapshot, ...] = ()


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
    #: the most paid calls of a provider's own tools that one request may lead to
    max_tool_calls: int | None = None
    #: dated names under which the model may answer, with their prices where those are others
    dated: tuple[tuple[str, tuple[PriceSnapshot, ...]], ...] = ()
    #: names of models that are asked in its place, in this order, when its upstream does not answer
    fallbacks: tuple[str, ...] = ()
    #: embeddings calls that come within so many ms are asked as one; 0: each alone
    merge_window_ms: int = 0
    #: the day on which its provider ends it, where that is known
    ends_on: str = ""
    #: the model that it was trained to stand in for; empty: none
    student_of: str = ""

    def find_price(self, at_ms: int) -> PriceSnapshot | None:
        """The price version in effect at a moment (ms since the epoch), or None: the model is not priced then."""
        prices = self.prices
        if prices and prices[0].effective_from_ms <= at_ms:
            # The newest is the one, unless it was set for later.
            return prices[0]
        return _in_effect(prices, at_ms)

    def find_dated_price(self, name: str, at_ms: int) -> PriceSnapshot | None:
        """The price then of a dated name of the model, or None: it costs what the model does."""
        return next((_in_effect(prices, at_ms) for other, prices in self.dated if other == name), None)


@dataclass(frozen=True, slots=True)
class RungSnapshot:
    """One rung of a ladder: in force from so many per cent of its budget on. Each kind has its own of the other
    fields."""

    at: int
    rung: str
    model: str = ""
    max_tokens: int = 0
    delay_ms: int = 0
    route: str = ""


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
class CachePolicySnapshot:
    """What the cache may do for calls of a model, or of every model that has no policy of its own where ``model`` is
    empty. ``mode`` is that of equal calls, ``semantic`` that of like ones; ``marks_prompts`` is about the caches of
    providers, ``replay_ms`` the pause between the events of a kept stream. So many of a thousand calls are asked all
    the same, as ``holdout_permille`` says."""

    model: str
    mode: str
    semantic: str
    ttl_seconds: int
    max_temperature_percent: int
    errors_per_mille: int
    sharing: str
    marks_prompts: bool = False
    replay_ms: int = 0
    holdout_permille: int = 0


@dataclass(frozen=True, slots=True)
class CachePurgeSnapshot:
    """Answers that were kept before a moment and are not given any more: of a model, a tag, a scope, or one of them by
    its id; an empty ``subject`` is all."""

    kind: str
    subject: str
    before_ms: int


@dataclass(frozen=True, slots=True)
class CapturePolicySnapshot:
    """So many of a thousand calls of a model, or of every model that has no policy of its own where ``model`` is empty,
    are kept to learn from."""

    model: str
    per_mille: int


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
    is_suspended: bool = False
    stopped_projects: frozenset[str] = field(default=frozenset())
    stopped_keys: frozenset[str] = field(default=frozenset())
    # There is a later version, which cannot be read at the moment.
    is_outdated: bool = field(default=False, compare=False)
    cache_policies: tuple[CachePolicySnapshot, ...] = ()
    cache_purges: tuple[CachePurgeSnapshot, ...] = ()
    routes: Mapping[str, RouteSnapshot] = field(default_factory=dict)
    compression: tuple[CompressionSnapshot, ...] = ()
    #: what is sent in the place of system prompts, by the SHA-256 of these, where somebody has approved it
    system_prompts: Mapping[str, ApprovedPrompt] = field(default_factory=dict)

    def find_compression(self, model: str) -> CompressionSnapshot | None:
        """The policy of a model or route: its own, else the one of all, if there is one that is not off."""
        found = None
        for policy in self.compression:
            if policy.model == model:
                found = policy
                break
            if not policy.model:
                found = policy
        return None if found is None or found.mode == _OFF else found

    #: for how long answers are kept that callers want to ask for again; 0: they are not
    answers_kept_hours: int = 0
    capture_policies: tuple[CapturePolicySnapshot, ...] = ()

    def find_capture_share(self, model: str) -> int:
        """How many of a thousand calls of a model are kept: by its own policy, else by the one of every model."""
        shares = {policy.model: policy.per_mille for policy in self.capture_policies}
        return shares.get(model, shares.get("", 0))

    def find_cache_policy(self, model: str) -> CachePolicySnapshot | None:
        """The policy of a model: its own, else the one of every model, if there is one."""
        found = None
        for policy in self.cache_policies:
            if policy.model == model:
                return policy
            if not policy.model:
                found = policy
        return found

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
        data["cache_policies"] = tuple(CachePolicySnapshot(**policy) for policy in data["cache_policies"])
        data["cache_purges"] = tuple(CachePurgeSnapshot(**purge) for purge in data["cache_purges"])
        data["routes"] = {name: read_route(route) for name, route in data["routes"].items()}
        data["compression"] = tuple(map(read_compression, data["compression"]))
        data["system_prompts"] = {key: ApprovedPrompt(**each) for key, each in data["system_prompts"].items()}
        data["capture_policies"] = tuple(CapturePolicySnapshot(**policy) for policy in data["capture_policies"])
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
    # The first of the keys that it came from by rotation, if it did.
    lineage: str = ""
    # Networks that it may be used from, and paths of the API that it may call with all below them; empty: all.
    networks: tuple[str, ...] = ()
    endpoints: tuple[str, ...] = ()
    # What people call it and its project: callers are told who has used up a budget.
    name: str = ""
    project_name: str = ""
    # Whether its callers are told no amounts of money.
    hides_amounts: bool = False

    @property
    def root(self) -> str:
        """The id by which limits know the key and all that it came from."""
        return self.lineage or self.id

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
        data["networks"], data["endpoints"] = tuple(data["networks"]), tuple(data["endpoints"])
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
    if isinstance(value, PriceSnapshot):
        return dump_price(value)
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
    data["endpoints"] = tuple(map(_endpoint, data["endpoints"]))
    return UpstreamSnapshot(**data)


def _endpoint(data: dict[str, Any]) -> EndpointSnapshot:
    if data["credential"] is not None:
        data["credential"] = base64.b64decode(data["credential"])
    return EndpointSnapshot(**data)


def _in_effect(prices: tuple[PriceSnapshot, ...], at_ms: int) -> PriceSnapshot | None:
    for price in prices:
        if price.effective_from_ms <= at_ms:
            return price
    return None


def _model(data: dict[str, Any]) -> ModelSnapshot:
    data["dated"] = tuple((name, tuple(read_price(price) for price in prices)) for name, prices in data["dated"])
    data["prices"] = tuple(read_price(price) for price in data["prices"])
    data["fallbacks"] = tuple(data["fallbacks"])
    return ModelSnapshot(**data)
