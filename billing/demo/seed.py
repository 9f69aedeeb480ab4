"""Makes the demo's second organisation, and takes it away again."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import islice
from typing import Final

from django.db import connection, transaction

from billing.alerts.checks.outlook import watch_outlook
from billing.demo.bills import make_bill
from billing.demo.calls import ANOMALY_DAY, DAYS, DemoBudget, DemoModel, Habit, make_events
from billing.demo.invoices import make_invoices
from billing.demo.learning import make_learning
from billing.demo.policies import ROUTE, make_policies
from billing.spend.actions.anomalies import detect_anomalies
from billing.spend.actions.forecasts import refresh_forecasts
from billing.spend.actions.rollups import roll_up
from costhub.lib import clock
from costhub.lib.errors import Conflict, InvalidField
from costhub.lib.money import parse_usd
from proxy.core.row import dump_row
from tenants.access import Actor, list_memberships, org_scope
from tenants.actions.budgets import create_budget
from tenants.actions.end_users import create_end_user
from tenants.actions.keys import create_key
from tenants.actions.limits import create_rate_limit
from tenants.actions.models import create_model
from tenants.actions.orgs import add_member, create_organization
from tenants.actions.pricing import create_price
from tenants.actions.projects import create_project
from tenants.actions.upstreams import create_upstream
from tenants.choices import (
    BudgetAction,
    BudgetPeriod,
    BudgetScope,
    LimitUnit,
    Permission,
    Role,
    Tokenizer,
    UpstreamKind,
)
from tenants.models import Budget, LanguageModel, Organization, Price, Upstream, User
from tenants.price_histories import compile_version
from tenants.selectors import load_key_snapshot

NAME: Final = "Northwind Labs (demo)"
_ACTOR: Final = "demo data"
_BATCH: Final = 2_000
#: USD per million tokens: input, cached input, output, and what they were before the last change
_MODELS: Final = {
    "gpt-4o": ("openai", ("2.50", "1.25", "10.00"), None),
    "gpt-4o-mini": ("openai", ("0.15", "0.075", "0.60"), None),
    "gpt-4.1": ("openai", ("2.00", "0.50", "8.00"), ("2.50", "0.625", "10.00")),
    "text-embedding-3-small": ("openai", ("0.02", "0.02", "0.02"), None),
    "llama-3.1-8b": ("gpu", ("0.05", "0.05", "0.08"), None),
}
_URLS: Final = {
    "openai": (UpstreamKind.OPENAI, "https://api.openai.com/v1"),
    "gpu": (UpstreamKind.OPENAI_COMPATIBLE, "https://llm.northwind.example/v1"),
}

#: the upstream whose provider's bill stands there
_BILLED: Final = "openai"


def seed_history(*, owner: User) -> Organization | None:
    """Make the organisation with its history for its first owner. None where they belong to it already."""
    if any(membership.org.is_demo for membership in list_memberships(owner)):
        return None
    now = clock.now()
    with transaction.atomic():
        made = create_organization(name=NAME, owner=owner, acting_name=_ACTOR)
        org = made.org
        with org_scope(org.pk):
            Organization.objects.filter(pk=org.pk).update(is_demo=True)
            actor = Actor(org, Role.OWNER, _ACTOR)
            models = _make_models(actor, now)
            whole, budget = _make_limits(actor)
            habits = _make_habits(actor)
            for name, role in (("cleo", Role.FINANCE), ("dev", Role.DEVELOPER), ("vic", Role.VIEWER)):
                add_member(actor=actor, email=f"{name}@northwind.example", role=role, is_mailed=False)
            make_policies(actor, whole, now)
            _append(habits, models, budget, now)
    # In transactions of its own: pages are quick from the first moment on.
    for _ in range(40):
        if not roll_up():
            break
    with transaction.atomic(), org_scope(org.pk):
        make_invoices(actor, owner.email, now)
        make_bill(actor, Upstream.objects.get(org=org, name=_BILLED), now)
    make_learning(actor)
    _look_at(actor, now)
    return org


def _look_at(actor: Actor, now: datetime) -> None:
    """What the hourly jobs would find: the forecast, the day of the loop, and the alerts of both."""
    refresh_forecasts(actor, now)
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    detect_anomalies(actor, midnight - timedelta(days=ANOMALY_DAY - 1))
    watch_outlook(actor.org.pk, now)


def remove_demo(*, actor: Actor, confirm: str) -> None:
    """Take a demo organisation away, its ledger and audit log too; ``confirm`` is its short name. Raises Conflict for
    any other organisation, InvalidField for another name, and StaleSession for somebody who signed in a while ago."""
    actor.check(Permission.WRITE_MEMBERS)
    actor.check_fresh()
    if actor.org.is_demo and confirm.strip() != actor.org.slug:
        raise InvalidField(f"Nothing was removed. Type {actor.org.slug} to remove this demo.", field="confirm")
    with connection.cursor() as cursor:
        cursor.execute("SELECT costhub_remove_demo(%s)", [actor.org.pk])
        row = cursor.fetchone()
    if not row or not row[0]:
        raise Conflict("Only demo data can be removed like this.")


def _make_models(actor: Actor, now: datetime) -> dict[str, DemoModel]:
    upstreams = {
        name: create_upstream(actor=actor, name=name, kind=kind, base_url=url) for name, (kind, url) in _URLS.items()
    }
    return {
        name: _make_model(actor, name, upstreams[where], prices, before, now)
        for name, (where, prices, before) in _MODELS.items()
    }


def _make_model(
    actor: Actor,
    name: str,
    upstream: Upstream,
    prices: tuple[str, str, str],
    before: tuple[str, str, str] | None,
    now: datetime,
) -> DemoModel:
    row = create_model(actor=actor, name=name, upstream=upstream, tokenizer=Tokenizer.O200K)
    begin = now - timedelta(days=DAYS + 10)
    versions = [_set_price(actor, row, before or prices, begin)]
    if before:
        versions.insert(0, _set_price(actor, row, prices, now - timedelta(days=24)))
    return DemoModel(name, str(upstream.pk), upstream.kind, [compile_version(one, one.pk) for one in versions])


def _set_price(actor: Actor, model: LanguageModel, usd: tuple[str, str, str], since: datetime) -> Price:
    given, read, produced = map(Decimal, usd)
    return create_price(
        actor=actor,
        model=model,
        input_per_million=given,
        cached_input_per_million=read,
        output_per_million=produced,
        effective_from=since,
    )


def _make_limits(actor: Actor) -> tuple[Budget, DemoBudget]:
    """The whole organisation's budget, and the one of each end user."""

    def budget(usd: str, scope: BudgetScope, period: BudgetPeriod, name: str, action: BudgetAction) -> Budget:
        return create_budget(
            actor=actor, scope=scope, period=period, limit_nanos=parse_usd(usd), name=name, action=action
        )

    whole = budget("160", BudgetScope.ORGANIZATION, BudgetPeriod.MONTH, "All of Northwind", BudgetAction.BLOCK)
    budget("70", BudgetScope.PROJECT, BudgetPeriod.MONTH, "Each project", BudgetAction.WARN)
    each = budget("0.50", BudgetScope.END_USER, BudgetPeriod.DAY, "Each end user", BudgetAction.BLOCK)
    create_rate_limit(actor=actor, scope=BudgetScope.KEY, unit=LimitUnit.REQUESTS, amount=600, window_seconds=60)
    return whole, DemoBudget(str(each.pk), each.period, each.limit_nanos)


def _make_habits(actor: Actor) -> list[Habit]:
    teams = [{"team": team, "feature": feature} for team in ("support", "growth") for feature in ("answer", "summary")]
    search = [{"team": "search", "feature": feature} for feature in ("index", "query")]
    code = [{"team": "platform", "feature": feature} for feature in ("review", "tests", "docs")]
    plans = [
        (
            "Support assistant",
            46,
            {"gpt-4o": 5, "gpt-4o-mini": 4, "gpt-4.1": 2},
            1_600,
            260,
            14,
            80,
            teams,
            60,
            "customer",
        ),
        (
            "Search",
            34,
            {"text-embedding-3-small": 6, "llama-3.1-8b": 3, "gpt-4o-mini": 2},
            700,
            120,
            22,
            10,
            search,
            0,
            "",
        ),
        ("Code review", 20, {"gpt-4.1": 6, "gpt-4o": 2}, 5_200, 700, 4, 30, code, 14, "dev"),
    ]
    habits = []
    for name, weight, models, tokens_in, tokens_out, cached, streamed, tags, users, prefix in plans:
        project = create_project(actor=actor, name=name)
        key = create_key(actor=actor, name=f"{name.lower()} in production", project=project).key
        snapshot = load_key_snapshot(bytes(key.digest))
        assert snapshot is not None, "it was made a moment ago"
        compressed = 40 if name == "Code review" else 0
        habits.append(
            Habit(snapshot, weight, models, tokens_in, tokens_out, cached, streamed, tags, users, prefix, compressed)
        )
    for number, name in enumerate(("Contoso", "Fabrikam", "Tailspin", "Wingtip"), 1):
        create_end_user(actor=actor, external_id=f"customer-{number:03d}", name=name)
    return habits


def _append(habits: Sequence[Habit], models: dict[str, DemoModel], budget: DemoBudget, now: datetime) -> None:
    events = make_events(habits, models, ROUTE, budget, now)
    with connection.cursor() as cursor:
        cursor.execute("SELECT costhub_ensure_partitions(%s, 4)", [(now - timedelta(days=DAYS + 1)).date()])
        while batch := list(islice(events, _BATCH)):
            text = (b"[" + b",".join(map(dump_row, batch)) + b"]").decode()
            cursor.execute("SELECT costhub_append_ledger(%s)", [text])
