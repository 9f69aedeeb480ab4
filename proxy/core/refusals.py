"""What a caller is told when a budget or a rate limit refuses its call, from what reserve.lua answered."""

from collections.abc import Sequence
from typing import Any, Final

from costhub.lib.moments import from_ms
from costhub.lib.money import format_usd
from proxy.core.budgets import limit_with, show_parts, show_within
from proxy.core.rate_limits import UNITS, describe_one, format_span
from proxy.errors import ApiError, BudgetExceeded, RateLimited
from proxy.values.plan import Plan
from proxy.values.windows import Layout, Rate, Scope
from tenants.choices import LimitUnit, RungKind
from tenants.snapshots import KeySnapshot

#: of a budget or a rate limit, in what a refused caller is told
_AMOUNTS: Final = ("limit", "limit_parts", "spent", "held", "needed", "used", "requested")


def refuse_budget(scope: Scope, answer: Sequence[int], key: KeySnapshot) -> BudgetExceeded:
    """The error that says which budget cannot take a call of this key, from reserve.lua's answer."""
    # What is added of the period before stands at the end, where that is the budget's way.
    _, _, settled, held, needed, *more = answer
    rolled = more[0] if more else 0
    limit = limit_with(scope, rolled)
    resets_at = None if scope.period == "total" else from_ms(scope.ends_ms).isoformat()
    name = f" {scope.name!r}" if scope.name else ""
    return BudgetExceeded(
        f"The {scope.period} budget{name} of the {_whose(scope, key)} cannot take this call: of ${format_usd(limit)},"
        f" ${format_usd(settled)} is spent and ${format_usd(held)} is held by calls in flight; this one may cost"
        f" ${format_usd(needed)} or more." + (f" It resets at {resets_at}." if resets_at else " It does not reset."),
        headers={"x-should-retry": "false"},
        more={
            "budget": {
                "id": scope.budget_id,
                "name": scope.name or None,
                **_show_subject(scope, key),
                "period": scope.period,
                "limit": format_usd(limit),
                "limit_parts": show_parts(scope, rolled),
                "spent": format_usd(settled),
                "held": format_usd(held),
                "needed": format_usd(needed),
            },
            "resets_at": resets_at,
        },
    )


def tell_refusal(error: ApiError) -> dict[str, Any]:
    """What a refused call's row keeps of the budget or rate limit that could not take it: ``kind`` (budget or limit),
    its id, scope, subject, period or unit and window, amounts as decimal USD or counts, and when it resets; empty for
    any other error."""
    for kind in ("budget", "limit"):
        if isinstance(told := error.more.get(kind), dict):
            kept = {name: value for name, value in told.items() if name != "limit_parts" and value is not None}
            resets_at = error.more.get("resets_at")
            return {"kind": kind, **kept, **({"resets_at": resets_at} if resets_at else {})}
    return {}


def hide_amounts(error: ApiError) -> None:
    """Take amounts of money out of what a refused caller is told, whose key hides them; the ledger's row has them."""
    told = error.more.get("budget") or error.more.get("limit")
    if not isinstance(told, dict) or told.get("unit", LimitUnit.USD.value) != LimitUnit.USD.value:
        return
    for name in _AMOUNTS:
        told.pop(name, None)
    is_budget = "budget" in error.more
    resets_at = error.more.get("resets_at")
    until = f" It resets at {resets_at}." if resets_at else ""
    error.message = f"A {'budget' if is_budget else 'rate limit'} of this call has no room for it.{until}"
    error.headers = {name: value for name, value in error.headers.items() if not name.endswith(f"-{LimitUnit.USD}")}


def check_may_ask(plan: Plan) -> None:
    """Raise BudgetExceeded where a ladder has come to the rung on which calls are answered from the cache only."""
    if RungKind.CACHE_ONLY not in plan.rungs:
        return
    raise BudgetExceeded(
        "A budget of this call is used up to where only cached answers are given, and there is none for this call.",
        code="cache_only",
        headers={"x-should-retry": "false"},
    )


def _whose(place: Scope | Rate, key: KeySnapshot) -> str:
    """Who it is, by name, and of which project or key the calls are that count."""
    what = place.kind.replace("_", " ")
    name = "" if place.kind == "organization" else f" {_name_of(place.kind, place.subject, key)}"
    within = f" within the {place.within_scope} {_name_of(place.within_scope, place.within, key)}"
    return what + name + (within if place.within else "")


def _name_of(kind: str, subject: str, key: KeySnapshot) -> str:
    """What people call a subject. Of projects and keys a caller hears of its own alone: no others are on its path."""
    name = {"project": key.project_name, "key": key.name}.get(kind, "")
    return repr(name) if name and subject in {key.project_id, key.root} else subject


def _show_subject(place: Scope | Rate, key: KeySnapshot) -> dict[str, Any]:
    """The same for programs: ids, and what people call them."""
    names = {"project": key.project_name, "key": key.name}
    return {
        "scope": place.kind,
        "subject": place.subject,
        "subject_name": names.get(place.kind) or None,
        "within": show_within(place),
    }


def shadow_id(layout: Layout, place: int) -> str:
    """The id of a budget or rate limit that would have refused, by its place in reserve.lua's answer, from 0."""
    if place < len(layout.scopes):
        return layout.scopes[place].budget_id
    window, unit = divmod(place - len(layout.scopes), len(UNITS))
    return layout.rates[window].limit_ids[unit]


def refuse_rate(layout: Layout, answer: Sequence[int], key: KeySnapshot) -> RateLimited:
    """The error that says which window is full for calls of this key and when there is room, from reserve.lua's
    answer."""
    _, place, unit_place, used, needed, wait_ms = answer
    rate, unit = layout.rates[place - 1], UNITS[unit_place - 1]
    limit = (rate.requests, rate.tokens, rate.nanos)[unit_place - 1]
    is_concurrent = rate.window_ms == 0
    what = "calls under way" if is_concurrent else "dollars" if unit is LimitUnit.USD else str(unit)
    within = "at once" if is_concurrent else f"within {format_span(rate.window_ms)}"
    amounts = [f"${format_usd(each)}" if unit is LimitUnit.USD else str(each) for each in (limit, used, needed)]
    alone = needed > limit
    return RateLimited(
        f"Rate limit reached for the {_whose(rate, key)} on {what} {within}: limit {amounts[0]}, used {amounts[1]}, requested"
        f" {amounts[2]}. "
        + ("This call alone is more than the limit takes." if alone else f"Try again in {format_span(wait_ms)}."),
        headers={
            "retry-after": str(-(-wait_ms // 1000)),
            "retry-after-ms": str(wait_ms),
            **({"x-should-retry": "false"} if alone else {}),
            **describe_one(rate, unit, used),
        },
        more={
            "type": "concurrent" if is_concurrent else str(unit),
            "limit": {
                "id": rate.limit_ids[unit_place - 1],
                **_show_subject(rate, key),
                "unit": "concurrent" if is_concurrent else str(unit),
                "window_seconds": rate.window_ms // 1000,
                "limit": amounts[0].lstrip("$"),
                "used": amounts[1].lstrip("$"),
                "requested": amounts[2].lstrip("$"),
            },
        },
    )
