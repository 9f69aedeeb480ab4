"""Reads: the snapshots that the hot path lives on, and the lists of pages and the API.

A snapshot's ``version`` is read before anything else, so that what changes meanwhile can only make it look older than
it is: it is then loaded again, never believed too long.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final, TypeVar
from uuid import UUID

from django.db.models import CharField, Prefetch, Q, QuerySet
from django.db.models.functions import Cast

from costhub.lib import clock
from costhub.lib.moments import to_ms
from costhub.lib.money import compile_fee, compile_price
from tenants.access import Actor, find_owner_of_digest, org_scope
from tenants.choices import BudgetScope, UpstreamKind
from tenants.models import (
    ApiKey,
    AuditEntry,
    Budget,
    BudgetIncrease,
    EndUser,
    LanguageModel,
    ListPrice,
    Membership,
    Organization,
    Price,
    Project,
    RateLimit,
    Upstream,
)
from tenants.models.pricing import PriceColumns
from tenants.snapshots import (
    BudgetSnapshot,
    IncreaseSnapshot,
    KeySnapshot,
    ModelSnapshot,
    OrgSnapshot,
    PriceSnapshot,
    RateLimitSnapshot,
    RungSnapshot,
    UpstreamSnapshot,
)

Limit = TypeVar("Limit", Budget, RateLimit)

#: for so long after its end a key's limits are known
KEYS_REMEMBERED: Final = timedelta(days=1)
#: whose list prices an upstream's kind is billed at
LIST_PRICES_OF: Final = {UpstreamKind.OPENAI.value: "openai"}


def load_key_snapshot(digest: bytes) -> KeySnapshot | None:
    """What the hot path knows of the key with this HMAC, dead keys included; None if there is no such key."""
    owner = find_owner_of_digest("api_key", digest)
    if owner is None:
        return None
    org_id, key_id = owner
    with org_scope(org_id):
        org = Organization.objects.filter(pk=org_id).only("version").first()
        key = ApiKey.objects.filter(pk=key_id).first()
    if org is None or key is None:
        return None
    return KeySnapshot(
        id=str(key.pk),
        org_id=str(org_id),
        project_id=str(key.project_id),
        version=org.version,
        end_user=key.end_user or None,
        models=frozenset(key.allowed_models) or None,
        expires_at_ms=to_ms(key.expires_at) if key.expires_at else None,
        is_revoked=key.revoked_at is not None,
    )


def load_org_snapshot(org_id: str) -> OrgSnapshot | None:
    """An organisation's catalog and policy at its version of now; None if there is no such organisation."""
    try:
        UUID(org_id)
    except ValueError:
        return None
    with org_scope(org_id):
        org = Organization.objects.filter(pk=org_id).first()
        if org is None:
            return None
        upstreams = {str(row.pk): row for row in Upstream.objects.filter(org=org, is_active=True)}
        models = [
            row
            for row in LanguageModel.objects.filter(org=org, is_active=True).order_by("name")
            if str(row.upstream_id) in upstreams
        ]
        prices = _load_prices(org, models, upstreams)
        in_force = BudgetIncrease.objects.filter(ended_at=None, until__gt=clock.now()).order_by("created_at", "id")
        budgets = list(
            keep_in_force(Budget.objects.filter(org=org), org)
            .order_by("created_at", "id")
            .prefetch_related(Prefetch("increases", in_force))
        )
        rate_limits = list(keep_in_force(RateLimit.objects.filter(org=org), org).order_by("created_at", "id"))
        blocked = EndUser.objects.filter(org=org, is_blocked=True).values_list("external_id", flat=True)
        blocked_end_users = frozenset(blocked)
        stopped_projects, stopped_keys = (
            frozenset(str(pk) for pk in model.objects.filter(org=org, is_stopped=True).values_list("pk", flat=True))
            for model in (Project, ApiKey)
        )
    return OrgSnapshot(
        id=str(org.pk),
        slug=org.slug,
        version=org.version,
        shard=org.shard,
        time_zone=org.time_zone,
        is_active=org.is_active,
        data_key=bytes(org.data_key),
        models={row.name: _model(row, prices[row.pk]) for row in models},
        upstreams={key: _upstream(row) for key, row in upstreams.items()},
        budgets=tuple(_budget(row) for row in budgets),
        blocked_end_users=blocked_end_users,
        rate_limits=tuple(_rate_limit(row) for row in rate_limits),
        is_stopped=org.is_stopped,
        stopped_projects=stopped_projects,
        stopped_keys=stopped_keys,
    )


def keep_in_force(rows: QuerySet[Limit], org: Organization) -> QuerySet[Limit]:
    """The active ones of an organisation's budgets or rate limits, without those of keys that have been dead for a day:
    no call and no correction comes under these any more."""
    since = clock.now() - KEYS_REMEMBERED
    dead = (
        ApiKey.objects.filter(org=org)
        .filter(Q(revoked_at__lt=since) | Q(expires_at__lt=since))
        .annotate(text=Cast("pk", CharField()))
        .values("text")
    )
    key = BudgetScope.KEY.value
    return rows.filter(is_active=True).exclude(scope=key, subject__in=dead).exclude(within_scope=key, within__in=dead)


def merge_versions(*sources: Iterable[PriceSnapshot]) -> tuple[PriceSnapshot, ...]:
    """Several price histories as one, newest first. The first source that has a price at a moment has the word then.

    A version holds until the next one of its source, for ever if there is none. So from the moment of its first version
    on a source is never silent again, and of the sources behind it only what holds before that moment is left.
    """
    merged: list[PriceSnapshot] = []
    for source in sources:
        first = merged[-1].effective_from_ms if merged else None
        earlier = [version for version in source if first is None or version.effective_from_ms < first]
        merged += sorted(earlier, key=lambda version: version.effective_from_ms, reverse=True)
    return tuple(merged)


def compile_version(row: PriceColumns, row_id: UUID) -> PriceSnapshot:
    """A price row in pico-USD per token; a class without a price of its own costs what input or output does."""
    usd_input, usd_output = row.input_per_million, row.output_per_million
    return PriceSnapshot(
        id=str(row_id),
        effective_from_ms=to_ms(row.effective_from),
        input=compile_price(usd_input),
        output=compile_price(usd_output),
        cached_input=_own_or(row.cached_input_per_million, usd_input),
        cache_write=_own_or(row.cache_write_per_million, usd_input),
        audio_input=_own_or(row.audio_input_per_million, usd_input),
        audio_output=_own_or(row.audio_output_per_million, usd_output),
        per_request=compile_fee(row.per_request),
        source=row.source,
    )


def find_price_version(org_id: str, price_id: UUID) -> PriceSnapshot | None:
    """A price version by its id, the organisation's own or a list price, in effect or not."""
    with org_scope(org_id):
        row: PriceColumns | None = Price.objects.filter(org_id=UUID(org_id), pk=price_id).first()
    row = row or ListPrice.objects.filter(pk=price_id).first()
    return compile_version(row, price_id) if row else None


def list_members(actor: Actor) -> QuerySet[Membership]:
    """The organisation's members, with their people."""
    return Membership.objects.filter(org=actor.org).select_related("user")


def list_projects(actor: Actor) -> QuerySet[Project]:
    """The organisation's projects, archived ones included."""
    return Project.objects.filter(org=actor.org)


def list_keys(actor: Actor) -> QuerySet[ApiKey]:
    """The organisation's keys, dead ones included, with their projects."""
    return ApiKey.objects.filter(org=actor.org).select_related("project")


def list_end_users(actor: Actor) -> QuerySet[EndUser]:
    """The end users that somebody made known."""
    return EndUser.objects.filter(org=actor.org)


def list_upstreams(actor: Actor) -> QuerySet[Upstream]:
    """The organisation's upstreams."""
    return Upstream.objects.filter(org=actor.org)


def list_models(actor: Actor) -> QuerySet[LanguageModel]:
    """The organisation's models, with their upstreams."""
    return LanguageModel.objects.filter(org=actor.org).select_related("upstream")


def list_prices(actor: Actor) -> QuerySet[Price]:
    """The organisation's own prices, every version, with their models."""
    return Price.objects.filter(org=actor.org).select_related("model")


def list_list_prices() -> QuerySet[ListPrice]:
    """The providers' public prices, every version, the same for everybody."""
    return ListPrice.objects.all()


def list_budgets(actor: Actor) -> QuerySet[Budget]:
    """The organisation's budgets, inactive ones included, with all of their increases."""
    return Budget.objects.filter(org=actor.org).prefetch_related("increases")


def read_budgets(actor: Actor, now: datetime, scopes: Iterable[str]) -> list[BudgetSnapshot]:
    """The budgets of some scopes that are switched on, oldest first, with their increases in force, as calls know
    them."""
    in_force = BudgetIncrease.objects.filter(ended_at=None, until__gt=now).order_by("created_at", "id")
    rows = Budget.objects.filter(org=actor.org, is_active=True, scope__in=list(scopes)).order_by("created_at", "id")
    return [_budget(row) for row in rows.prefetch_related(Prefetch("increases", in_force))]


def list_increases(actor: Actor, budget: Budget) -> QuerySet[BudgetIncrease]:
    """A budget's increases, those that have ended included."""
    return BudgetIncrease.objects.filter(org=actor.org, budget=budget)


def list_rate_limits(actor: Actor) -> QuerySet[RateLimit]:
    """The organisation's rate limits, inactive ones included."""
    return RateLimit.objects.filter(org=actor.org)


def list_audit_entries(actor: Actor) -> QuerySet[AuditEntry]:
    """What was changed in the organisation, by whom."""
    return AuditEntry.objects.filter(org=actor.org)


def _own_or(own: Decimal | None, otherwise: Decimal) -> int:
    return compile_price(otherwise if own is None else own)


def _load_prices(
    org: Organization, models: Sequence[LanguageModel], upstreams: dict[str, Upstream]
) -> dict[UUID, tuple[PriceSnapshot, ...]]:
    own: dict[UUID | None, list[PriceSnapshot]] = defaultdict(list)
    for price in Price.objects.filter(org=org).order_by("-effective_from"):
        own[price.model_id].append(compile_version(price, price.pk))
    provider_of = {row.pk: LIST_PRICES_OF.get(upstreams[str(row.upstream_id)].kind) for row in models}
    listed: dict[tuple[str | None, str], list[PriceSnapshot]] = defaultdict(list)
    wanted = ListPrice.objects.filter(
        provider__in={provider for provider in provider_of.values() if provider},
        model__in={row.upstream_model for row in models if provider_of[row.pk]},
    ).order_by("-effective_from")
    for list_price in wanted:
        listed[list_price.provider, list_price.model].append(compile_version(list_price, list_price.pk))
    return {
        row.pk: merge_versions(own[row.pk], listed[provider_of[row.pk], row.upstream_model], own[None])
        for row in models
    }


def _model(row: LanguageModel, prices: tuple[PriceSnapshot, ...]) -> ModelSnapshot:
    return ModelSnapshot(
        name=row.name,
        upstream_id=str(row.upstream_id),
        upstream_model=row.upstream_model,
        context_window=row.context_window,
        max_output_tokens=row.max_output_tokens,
        tokenizer=row.tokenizer,
        created_ms=to_ms(row.created_at),
        prices=prices,
    )


def _upstream(row: Upstream) -> UpstreamSnapshot:
    return UpstreamSnapshot(
        id=str(row.pk),
        name=row.name,
        kind=row.kind,
        base_url=row.base_url,
        origin=row.origin,
        credential=bytes(row.credential) if row.credential is not None else None,
        drain_on_disconnect=row.drain_on_disconnect,
        bill_path=row.bill_path,
        connect_timeout_ms=row.connect_timeout_ms,
        timeout_ms=row.timeout_ms,
        max_retries=row.max_retries,
    )


def _budget(row: Budget) -> BudgetSnapshot:
    return BudgetSnapshot(
        id=str(row.pk),
        scope=row.scope,
        subject=row.subject,
        period=row.period,
        limit_nanos=row.limit_nanos,
        action=row.action,
        name=row.name,
        created_ms=to_ms(row.created_at),
        is_shadow=row.is_shadow,
        ladder=tuple(RungSnapshot(**rung) for rung in row.ladder),
        within_scope=row.within_scope,
        within=row.within,
        rollover=row.rollover,
        increases=tuple(
            IncreaseSnapshot(one.amount_nanos, to_ms(one.created_at), to_ms(one.until)) for one in row.increases.all()
        ),
    )


def _rate_limit(row: RateLimit) -> RateLimitSnapshot:
    return RateLimitSnapshot(
        id=str(row.pk),
        scope=row.scope,
        subject=row.subject,
        unit=row.unit,
        amount=row.amount,
        window_ms=row.window_seconds * 1000,
        is_shadow=row.is_shadow,
        within_scope=row.within_scope,
        within=row.within,
    )
