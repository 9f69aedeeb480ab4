"""The fields of budgets' forms, and what is made of them."""

from typing import Any, Final

from costhub.console.forms import Field, Form
from costhub.lib.errors import InvalidField
from costhub.lib.money import format_usd
from tenants.access import Actor
from tenants.actions.budgets import create_budget, update_budget
from tenants.choices import BudgetAction, BudgetPeriod, BudgetScope, RungKind
from tenants.models import Budget
from tenants.selectors import list_keys, list_models, list_projects

SCOPES: Final = {
    BudgetScope.ORGANIZATION: "The whole organisation",
    BudgetScope.PROJECT: "A project",
    BudgetScope.KEY: "A key",
    BudgetScope.END_USER: "An end user",
    BudgetScope.MODEL: "A model",
    BudgetScope.TAG: "A tag",
    BudgetScope.SESSION: "A run",
}
PERIODS: Final = {
    BudgetPeriod.MINUTE: "a minute",
    BudgetPeriod.HOUR: "an hour",
    BudgetPeriod.DAY: "a day",
    BudgetPeriod.WEEK: "a week",
    BudgetPeriod.MONTH: "a month",
    BudgetPeriod.TOTAL: "in total",
}
ACTIONS: Final = {
    BudgetAction.BLOCK: "Block: a call that does not fit is refused",
    BudgetAction.WARN: "Warn: calls go on, people are told",
    BudgetAction.DEGRADE: "Degrade: calls are made cheaper, rung by rung",
}


def create(actor: Actor, form: Form) -> Budget:
    """The budget that a form describes."""
    within = {BudgetScope.PROJECT.value: form.text("within")} if form.text("within") else None
    return create_budget(
        actor=actor,
        scope=form.choice("scope", BudgetScope),
        subject=form.text("subject"),
        within=within,
        period=form.choice("period", BudgetPeriod),
        **_read_limit(form),
    )


def update(actor: Actor, row: Budget, form: Form) -> Budget:
    """The budget, changed as a form says."""
    return update_budget(actor=actor, budget=row, **_read_limit(form))


def _read_limit(form: Form) -> dict[str, Any]:
    return {
        "name": form.text("name"),
        "limit_nanos": form.money("limit"),
        "action": form.choice("action", BudgetAction),
        "ladder": _read_ladder(form.text("ladder")),
        "thresholds": form.wholes("thresholds"),
        "rollover": form.flag("rollover"),
        "is_shadow": form.flag("is_shadow"),
    }


def _read_ladder(text: str) -> list[dict[str, Any]]:
    """``80 cheaper_model small`` and the like, a line a rung. Raises InvalidField."""
    rungs: list[dict[str, Any]] = []
    values = {
        RungKind.CHEAPER_MODEL: "model",
        RungKind.SHORTER_OUTPUT: "max_tokens",
        RungKind.SLOWER_LANE: "delay_ms",
    }
    for line in text.splitlines():
        words = line.split()
        if not words:
            continue
        is_known = len(words) in {2, 3} and words[0].isascii() and words[0].isdigit() and words[1] in set(RungKind)
        name = values.get(RungKind(words[1])) if is_known else None
        if not is_known or (name is not None) != (len(words) == 3):
            raise InvalidField(
                "Give a rung a line: the per cent, what happens, and with what; such as 80 cheaper_model small,"
                " 90 shorter_output 500, 95 slower_lane 2000, 98 cache_only, 100 block.",
                field="ladder",
            )
        rung: dict[str, Any] = {"at": int(words[0][:6]), "rung": words[1]}
        if name is not None:
            is_number = words[2].isascii() and words[2].isdigit() and len(words[2]) <= 12
            if name != "model" and not is_number:
                raise InvalidField(f"Give a whole number after {words[1]}.", field="ladder")
            rung[name] = words[2] if name == "model" else int(words[2])
        rungs.append(rung)
    return rungs


def initial_of(row: Budget) -> dict[str, Any]:
    """What stands in the form of a budget that is there."""
    return {
        "name": row.name,
        "limit": plain_usd(row.limit_nanos),
        "action": row.action,
        "ladder": "\n".join(
            " ".join(str(rung[name]) for name in ("at", "rung", "model", "max_tokens", "delay_ms") if name in rung)
            for rung in row.ladder
        ),
        "thresholds": ", ".join(map(str, row.thresholds)),
        "rollover": row.rollover,
        "is_shadow": row.is_shadow,
    }


def plain_usd(nanos: int) -> str:
    """Two places at least, as people type it."""
    whole, _, rest = format_usd(nanos).partition(".")
    return f"{whole}.{rest.rstrip('0').ljust(2, '0')}"


def place_fields(actor: Actor) -> list[Field]:
    """What a budget counts, which stays as it is."""
    subjects = [
        *((str(row.pk), f"project {row.name}") for row in list_projects(actor).order_by("name")[:200]),
        *((str(row.pk), f"key {row.name}") for row in list_keys(actor).filter(revoked_at=None).order_by("name")[:200]),
        *((row.name, f"model {row.name}") for row in list_models(actor).order_by("name")[:200]),
    ]
    projects = [
        (str(row.pk), row.name) for row in list_projects(actor).filter(is_archived=False).order_by("name")[:500]
    ]
    return [
        Field(
            "scope", "Whose spend it counts", "select", choices=[(each.value, text) for each, text in SCOPES.items()]
        ),
        Field(
            "subject",
            "Which one",
            help="A project's or model's name, a key's id, an end user's id of yours, or a tag as key=value."
            " Left empty, it is the default of each of them.",
            choices=subjects,
            most=200,
        ),
        Field("within", "Within one project", "select", choices=[("", "Everywhere"), *projects]),
        Field("period", "Window", "select", choices=[(each.value, text) for each, text in PERIODS.items()]),
    ]


def limit_fields() -> list[Field]:
    """What of a budget may change."""
    return [
        Field("limit", "Limit in USD", is_required=True, placeholder="10.00", most=40),
        Field("action", "When it is used up", "select", choices=[(each.value, text) for each, text in ACTIONS.items()]),
        Field(
            "ladder",
            "Rungs",
            "textarea",
            help="Of a budget that degrades, a line each: 80 cheaper_model small, 90 shorter_output 500, 100 block.",
            placeholder="80 cheaper_model small",
        ),
        Field("thresholds", "Tell people at per cent", placeholder="50, 80, 100", most=100),
        Field("rollover", "What is left rolls over into the next period", "checkbox"),
        Field("is_shadow", "Only report what it would have refused", "checkbox"),
        Field("name", "Name", most=120),
    ]


def increase_fields() -> list[Field]:
    """An increase."""
    return [
        Field("amount", "More, in USD", is_required=True, placeholder="5.00"),
        Field("until", "Until", "datetime-local", is_required=True),
        Field("reason", "Why"),
    ]
