"""Reads: the snapshots that the hot path lives on, and the lists of pages and the API.

A snapshot's ``version`` is read before anything else, so that what changes meanwhile can only make it look older than
it is: it is then loaded again, never believed too long.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, Final, TypeVar
from uuid import UUID

from django.db.models import CharField, Exists, OuterRef, Prefetch, Q, QuerySet
from django.db.models.functions import Cast

from costhub.lib import clock
from costhub.lib.moments import to_ms
from tenants.access import Actor, find_owner_of_digest, org_scope
from tenants.choices import BudgetAction, BudgetPeriod, BudgetScope, CacheMode, Mode, PromptState
from tenants.models import (
    AdminToken,
    ApiKey,
    AuditEntry,
    Budget,
    BudgetIncrease,
    BudgetRequest,
    CachePolicy,
    CachePurge,
    CapturePolicy,
    ClaimedDomain,
    CompressionPolicy,
    EndUser,
    Invitation,
    LanguageModel,
    ListPrice,
    Membership,
    Organization,
    Price,
    PriceAdjustment,
    Project,
    RateLimit,
    Route,
    RouteVersion,
    SavedView,
    ServiceAccount,
    SignOn,
    SystemPrompt,
    Upstream,
    UpstreamEndpoint,
)
from tenants.models.cache import MAX_TTL_SECONDS
from tenants.price_histories import ModelPrices, load_prices
from tenants.route_snapshots import (
    COMPARISON_TAG,
    ApprovedPrompt,
    CompressionSnapshot,
    RouteSnapshot,
    name_comparison_budget,
    read_route,
)
from tenants.snapshots import (
    BudgetSnapshot,
    CachePolicySnapshot,
    CachePurgeSnapshot,
    CapturePolicySnapshot,
    EndpointSnapshot,
    IncreaseSnapshot,
    KeySnapshot,
    ModelSnapshot,
    OrgSnapshot,
    RateLimitSnapshot,
    RungSnapshot,
    UpstreamSnapshot,
)

Limit = TypeVar("Limit", Budget, RateLimit)

#: for so long after its end a key's limits are known
KEYS_REMEMBERED: Final = timedelta(days=1)


def load_key_snapshot(digest: bytes) -> KeySnapshot | None:
    """What the hot path knows of the key with this HMAC, dead keys included; None if there is no such key."""
    owner = find_owner_of_digest("api_key", digest)
    if owner is None:
        return None
    org_id, key_id = owner
    with org_scope(org_id):
        org = Organization.objects.filter(pk=org_id).only("version").first()
        key = ApiKey.objects.filter(org=org, pk=key_id, project__org=org).select_related("project").first()
    return None if org is None or key is None else show_key(key, org)


def show_key(key: ApiKey, org: Organization) -> KeySnapshot:
    """A key as the hot path knows it."""
    return KeySnapshot(
        id=str(key.pk),
        org_id=str(org.pk),
        project_id=str(key.project_id),
        version=org.version,
        end_user=key.end_user or None,
        models=frozenset(key.allowed_models) or None,
        expires_at_ms=to_ms(key.expires_at) if key.expires_at else None,
        is_revoked=key.revoked_at is not None,
        lineage=str(key.lineage) if key.lineage else "",
        networks=tuple(key.allowed_addresses),
        endpoints=tuple(key.allowed_endpoints),
        name=key.name,
        project_name=key.project.name,
        hides_amounts=key.hides_amounts,
    )


def read_version(org_id: str) -> int:
    """An organisation's version of now; 0 if there is no such organisation."""
    with org_scope(org_id):
        return Organization.objects.filter(pk=org_id).values_list("version", flat=True).first() or 0


def read_lineages(org_id: str) -> dict[str, str]:
    """Of each key that came from another by rotation, the first one of its line; by id."""
    with org_scope(org_id):
        pairs = ApiKey.objects.filter(org_id=UUID(org_id), lineage__isnull=False).values_list("pk", "lineage")
        return {str(key): str(first) for key, first in pairs}


def load_org_snapshot(org_id: str) -> OrgSnapshot | None:
    """An organisation's catalog and policy at its version of now; None if there is no such organisation."""
    return _load_org(org_id, {"is_active": True})


def load_org_version(org_id: str) -> int | None:
    """The version of now of an organisation's snapshot; None if there is no such organisation."""
    with org_scope(org_id):
        return Organization.objects.filter(pk=org_id).values_list("version", flat=True).first()


def load_whole_org(org_id: str) -> OrgSnapshot | None:
    """The same with upstreams and models that are switched off: to account for what they were asked before."""
    return _load_org(org_id, {})


def _load_org(org_id: str, of_catalog: dict[str, bool]) -> OrgSnapshot | None:
    try:
        UUID(org_id)
    except ValueError:
        return None
    with org_scope(org_id):
        org = Organization.objects.filter(pk=org_id).first()
        if org is None:
            return None
        upstreams = {str(row.pk): row for row in Upstream.objects.filter(org=org, **of_catalog)}
        endpoints: dict[UUID, list[EndpointSnapshot]] = defaultdict(list)
        for server in UpstreamEndpoint.objects.filter(org=org, ended_at=None, is_draining=False).order_by("id"):
            endpoints[server.upstream_id].append(_endpoint(server))
        models = [
            row
            for row in LanguageModel.objects.filter(org=org, **of_catalog).order_by("name")
            if str(row.upstream_id) in upstreams
        ]
        prices = load_prices(org, models, upstreams)
        in_force = BudgetIncrease.objects.filter(org=org, ended_at=None, until__gt=clock.now())
        budgets = list(
            keep_in_force(Budget.objects.filter(org=org), org)
            .order_by("created_at", "id")
            .prefetch_related(Prefetch("increases", in_force.order_by("created_at", "id")))
        )
        rate_limits = list(keep_in_force(RateLimit.objects.filter(org=org), org).order_by("created_at", "id"))
        blocked = EndUser.objects.filter(org=org, is_blocked=True).values_list("external_id", flat=True)
        blocked_end_users = frozenset(blocked)
        policies = [_cache_policy(row) for row in CachePolicy.objects.filter(org=org)]
        if all(policy.mode == CacheMode.OFF.value and not policy.marks_prompts for policy in policies):
            # One that is off counts only beside one of every model that is not.
            policies = []
        purges = [_cache_purge(row) for row in list_purges_in_force(org)] if policies else []
        routes = {row.name: _route(row) for row in Route.objects.filter(org=org).order_by("name")}
        compression = [show_compression(row) for row in CompressionPolicy.objects.filter(org=org)]
        if all(policy.mode == Mode.OFF.value for policy in compression):
            compression = []
        prompts = list(SystemPrompt.objects.filter(org=org, state=PromptState.APPROVED.value)) if compression else []
        captured = [CapturePolicySnapshot(row.model, row.per_mille) for row in CapturePolicy.objects.filter(org=org)]
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
        upstreams={key: _upstream(row, endpoints[row.pk]) for key, row in upstreams.items()},
        budgets=(*(_budget(row) for row in budgets), *_comparison_budgets(routes)),
        blocked_end_users=blocked_end_users,
        rate_limits=tuple(_rate_limit(row) for row in rate_limits),
        is_stopped=org.is_stopped,
        is_suspended=org.is_suspended,
        stopped_projects=stopped_projects,
        stopped_keys=stopped_keys,
        cache_policies=tuple(policies),
        cache_purges=tuple(purges),
        routes=routes,
        compression=tuple(compression),
        system_prompts={row.digest: ApprovedPrompt(f"{row.digest[:8]} v{row.number}", row.shorter) for row in prompts},
        answers_kept_hours=org.answers_kept_hours,
        hides_amounts=org.hides_amounts,
        capture_policies=tuple(captured),
    )


def keep_in_force(rows: QuerySet[Limit], org: Organization) -> QuerySet[Limit]:
    """The active ones of an organisation's budgets or rate limits, without those of keys that have been dead for a day:
    no call and no correction comes under these any more."""
    since = clock.now() - KEYS_REMEMBERED
    is_dead = Q(revoked_at__lt=since) | Q(expires_at__lt=since)
    # A key lives on in those that replaced it.
    heirs = ApiKey.objects.filter(org=org, lineage=OuterRef("pk")).exclude(is_dead)
    dead = (
        ApiKey.objects.filter(is_dead, org=org)
        .exclude(Exists(heirs))
        .annotate(text=Cast("pk", CharField()))
        .values("text")
    )
    key = BudgetScope.KEY.value
    return rows.filter(is_active=True).exclude(scope=key, subject__in=dead).exclude(within_scope=key, within__in=dead)


def list_invitations(actor: Actor) -> QuerySet[Invitation]:
    """Invitations of the actor's organisation."""
    return Invitation.objects.filter(org=actor.org)


def list_service_accounts(actor: Actor) -> QuerySet[ServiceAccount]:
    """Accounts of programs in the actor's organisation."""
    return ServiceAccount.objects.filter(org=actor.org)


def list_admin_tokens(actor: Actor) -> QuerySet[AdminToken]:
    """Tokens of the actor's organisation."""
    return AdminToken.objects.filter(org=actor.org).select_related("account")


def list_budget_requests(actor: Actor) -> QuerySet[BudgetRequest]:
    """Requests for more in the actor's organisation."""
    return BudgetRequest.objects.filter(org=actor.org).select_related("budget", "asked_by_user")


def list_identity_providers(actor: Actor) -> QuerySet[SignOn]:
    """Identity providers of the actor's organisation."""
    return SignOn.objects.filter(org=actor.org).select_related("org")


def list_domains(actor: Actor) -> QuerySet[ClaimedDomain]:
    """Domains that the actor's organisation claims."""
    return ClaimedDomain.objects.filter(org=actor.org)


def list_saved_views(actor: Actor) -> QuerySet[SavedView]:
    """The organisation's saved views."""
    return SavedView.objects.filter(org=actor.org)


def list_members(actor: Actor) -> QuerySet[Membership]:
    """The organisation's members, with their people."""
    return Membership.objects.filter(org=actor.org).select_related("user")


def list_projects(actor: Actor) -> QuerySet[Project]:
    """The organisation's projects, archived ones included; of a member of some, these."""
    rows, mine = Project.objects.filter(org=actor.org), actor.rights.projects
    return rows if mine is None else rows.filter(pk__in=mine)


def list_keys(actor: Actor) -> QuerySet[ApiKey]:
    """The organisation's keys, dead ones included, with their projects; of a member of some projects, theirs."""
    rows, mine = ApiKey.objects.filter(org=actor.org).select_related("project"), actor.rights.projects
    return rows if mine is None else rows.filter(project__in=mine)


def list_end_users(actor: Actor) -> QuerySet[EndUser]:
    """The end users that somebody made known."""
    return EndUser.objects.filter(org=actor.org)


def list_upstreams(actor: Actor) -> QuerySet[Upstream]:
    """The organisation's upstreams."""
    return Upstream.objects.filter(org=actor.org)


def list_endpoints(actor: Actor) -> QuerySet[UpstreamEndpoint]:
    """The servers of the organisation's upstreams, but for those that are gone."""
    return UpstreamEndpoint.objects.filter(org=actor.org, ended_at=None).select_related("upstream")


def list_models(actor: Actor) -> QuerySet[LanguageModel]:
    """The organisation's models, with their upstreams."""
    return LanguageModel.objects.filter(org=actor.org).select_related("upstream")


def list_prices(actor: Actor) -> QuerySet[Price]:
    """The organisation's own prices, every version, with their models."""
    return Price.objects.filter(org=actor.org).select_related("model")


def list_list_prices() -> QuerySet[ListPrice]:
    """The providers' public prices, every version, the same for everybody."""
    return ListPrice.objects.all()


def list_price_adjustments(actor: Actor) -> QuerySet[PriceAdjustment]:
    """The organisation's discounts and mark-ups, every one, with what they are of."""
    return PriceAdjustment.objects.filter(org=actor.org).select_related("model", "upstream")


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


def list_cache_policies(actor: Actor) -> QuerySet[CachePolicy]:
    """What the cache may do for the organisation's models."""
    return CachePolicy.objects.filter(org=actor.org)


def list_cache_purges(actor: Actor) -> QuerySet[CachePurge]:
    """What was given up of the organisation's cache, as long as an answer of before could still be there."""
    return list_purges_in_force(actor.org)


def list_purges_in_force(org: Organization) -> QuerySet[CachePurge]:
    """The purges from before which an answer may still be kept, oldest first."""
    since = clock.now() - timedelta(seconds=MAX_TTL_SECONDS)
    return CachePurge.objects.filter(org=org, before__gt=since).order_by("created_at", "id")


def list_routes(actor: Actor) -> QuerySet[Route]:
    """The organisation's routes, those that are off included."""
    return Route.objects.filter(org=actor.org)


def list_route_versions(actor: Actor, route: Route) -> QuerySet[RouteVersion]:
    """A route's versions, the newest first."""
    return RouteVersion.objects.filter(org=actor.org, route_id=route.pk).order_by("-number")


def list_route_changes(actor: Actor, route: Route) -> dict[int, dict[str, tuple[Any, Any]]]:
    """By a version's number, what it changed: the old and the new value of each field that the version before has
    otherwise."""
    rows = list(list_route_versions(actor, route))
    changes: dict[int, dict[str, tuple[Any, Any]]] = {}
    for row, before in pairwise([*rows, None]):
        assert row is not None, "None follows the last one"
        new = {"kind": row.kind, "mode": row.mode, **row.policy}
        old = new if before is None else {"kind": before.kind, "mode": before.mode, **before.policy}
        fields = dict.fromkeys([*old, *new])
        changes[row.number] = {
            field: (old.get(field), new.get(field)) for field in fields if old.get(field) != new.get(field)
        }
    return changes


def list_system_prompts(actor: Actor) -> QuerySet[SystemPrompt]:
    """Shorter words for system prompts, the newest first."""
    return SystemPrompt.objects.filter(org=actor.org).order_by("-created_at", "-id")


def list_compression_policies(actor: Actor) -> QuerySet[CompressionPolicy]:
    """How prompts are shortened for the organisation's models and routes."""
    return CompressionPolicy.objects.filter(org=actor.org)


def list_capture_policies(actor: Actor) -> QuerySet[CapturePolicy]:
    """Whose calls the organisation has consented to keep."""
    return CapturePolicy.objects.filter(org=actor.org)


def list_audit_entries(actor: Actor) -> QuerySet[AuditEntry]:
    """What was changed in the organisation, by whom."""
    return AuditEntry.objects.filter(org=actor.org)


def _model(row: LanguageModel, prices: ModelPrices) -> ModelSnapshot:
    return ModelSnapshot(
        name=row.name,
        upstream_id=str(row.upstream_id),
        upstream_model=row.upstream_model,
        context_window=row.context_window,
        max_output_tokens=row.max_output_tokens,
        tokenizer=row.tokenizer,
        max_tool_calls=row.max_tool_calls,
        ends_on=row.ends_on,
        student_of=row.student_of,
        created_ms=to_ms(row.created_at),
        prices=prices.own,
        dated=prices.dated,
        fallbacks=tuple(row.fallbacks),
        merge_window_ms=row.merge_window_ms,
    )


def _endpoint(row: UpstreamEndpoint) -> EndpointSnapshot:
    credential = bytes(row.credential) if row.credential is not None else None
    return EndpointSnapshot(str(row.pk), row.base_url, row.origin, credential, row.weight)


def _upstream(row: Upstream, endpoints: Sequence[EndpointSnapshot]) -> UpstreamSnapshot:
    begins, ends = read_hours(row.batch_hours)
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
        habits=row.habits,
        batch_concurrency=row.batch_concurrency,
        batch_from=begins,
        batch_until=ends,
        endpoints=tuple(endpoints),
    )


def read_hours(text: str) -> tuple[int, int]:
    """The minutes of the day at which hours such as 22:00-06:00 begin and end; -1 and -1 for none."""
    if not text:
        return -1, -1
    begins, ends = (int(part[:2]) * 60 + int(part[3:]) for part in text.split("-"))
    return begins, ends


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


def _cache_policy(row: CachePolicy) -> CachePolicySnapshot:
    return CachePolicySnapshot(
        model=row.model,
        mode=row.mode,
        semantic=row.semantic,
        ttl_seconds=row.ttl_seconds,
        max_temperature_percent=int(row.max_temperature * 100),
        errors_per_mille=int(row.max_error_rate * 1000),
        sharing=row.sharing,
        marks_prompts=row.marks_prompts,
        replay_ms=row.replay_ms,
        holdout_permille=row.holdout_percent * 10,
    )


def _cache_purge(row: CachePurge) -> CachePurgeSnapshot:
    return CachePurgeSnapshot(kind=row.kind, subject=row.subject, before_ms=to_ms(row.before))


def _route(row: Route) -> RouteSnapshot:
    policy = {
        # People think in per cent, and a share of calls is compared in whole numbers.
        (field.removesuffix("percent") + "permille" if is_share else field): value * 10 if is_share else value
        for field, value in row.policy.items()
        for is_share in [field.endswith("_percent")]
    }
    own = {"id": str(row.pk), "name": row.name, "kind": row.kind, "mode": row.mode, "version": row.version}
    return read_route({**policy, **own, "learned": row.learned})


def _comparison_budgets(routes: Mapping[str, RouteSnapshot]) -> Iterable[BudgetSnapshot]:
    """What routes may spend on comparisons in a month, as a budget of the tag that these carry: held and counted as
    every budget is."""
    for route in routes.values():
        if route.compare_monthly_limit:
            yield BudgetSnapshot(
                id=name_comparison_budget(UUID(route.id)),
                scope=BudgetScope.TAG.value,
                subject=f"{COMPARISON_TAG}={route.name}",
                period=BudgetPeriod.MONTH.value,
                limit_nanos=route.compare_monthly_limit,
                action=BudgetAction.BLOCK.value,
                name=f"Comparisons of the route {route.name}",
                # The tag is nobody else's, so that all of its rows count, whenever the limit was set.
                created_ms=0,
            )


def show_compression(row: CompressionPolicy) -> CompressionSnapshot:
    """A compression policy as the hot path knows it."""
    return CompressionSnapshot(
        model=row.model,
        mode=row.mode,
        methods=tuple(row.methods),
        keep_permille=row.keep_percent * 10,
        holdout_permille=row.holdout_percent * 10,
        scorer=row.scorer,
        extract_permille=row.extract_percent * 10,
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
