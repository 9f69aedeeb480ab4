"""What a caller is told when a budget or a rate limit refuses its call, from what reserve.lua answered."""

from collections.abc import Sequence

from costhub.lib.moments import from_ms
from costhub.lib.money import format_usd
from proxy.core.limits import limit_with, show_parts, show_within
from proxy.core.rates import UNITS, describe_one, format_span
from proxy.errors import BudgetExceeded, RateLimited
from proxy.types import Plan, Rate, Scope
from tenants.choices import LimitUnit


def refuse_budget(scope: Scope, answer: Sequence[int]) -> BudgetExceeded:
    """The error that says which budget cannot take a call, from reserve.lua's answer."""
    # What is added of the period before stands at the end, where that is the budget's way.
    _, _, settled, held, needed, *more = answer
    rolled = more[0] if more else 0
    limit = limit_with(scope, rolled)
    resets_at = None if scope.period == "total" else from_ms(scope.ends_ms).isoformat()
    what = scope.kind.replace("_", " ")
    whose = _whose(scope)
    return BudgetExceeded(
        f"The {scope.period} budget of the {what}{whose} cannot take this call: of ${format_usd(limit)},"
        f" ${format_usd(settled)} is spent and ${format_usd(held)} is held by calls in flight; this one may cost"
        f" ${format_usd(needed)} or more." + (f" It resets at {resets_at}." if resets_at else " It does not reset."),
        headers={"x-should-retry": "false"},
        more={
            "budget": {
                "id": scope.budget_id,
                "scope": scope.kind,
                "subject": scope.subject,
                "within": show_within(scope),
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


def _whose(place: Scope | Rate) -> str:
    """Who it is, and of which project or key the calls are that count."""
    name = "" if place.kind == "organization" else f" {place.subject}"
    return name + (f" within the {place.within_scope} {place.within}" if place.within else "")


def shadow_id(plan: Plan, place: int) -> str:
    """The id of a budget or rate limit that would have refused, by its place in reserve.lua's answer, from 0."""
    if place < len(plan.scopes):
        return plan.scopes[place].budget_id
    window, unit = divmod(place - len(plan.scopes), len(UNITS))
    return plan.rates[window].limit_ids[unit]


def refuse_rate(plan: Plan, answer: Sequence[int]) -> RateLimited:
    """The error that says which window is full and when there is room, from reserve.lua's answer."""
    _, place, unit_place, used, needed, wait_ms = answer
    rate, unit = plan.rates[place - 1], UNITS[unit_place - 1]
    limit = (rate.requests, rate.tokens, rate.nanos)[unit_place - 1]
    is_concurrent = rate.window_ms == 0
    what = "calls under way" if is_concurrent else "dollars" if unit is LimitUnit.USD else str(unit)
    within = "at once" if is_concurrent else f"within {format_span(rate.window_ms)}"
    whose = rate.kind.replace("_", " ") + _whose(rate)
    amounts = [f"${format_usd(each)}" if unit is LimitUnit.USD else str(each) for each in (limit, used, needed)]
    alone = needed > limit
    return RateLimited(
        f"Rate limit reached for the {whose} on {what} {within}: limit {amounts[0]}, used {amounts[1]}, requested"
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
                "scope": rate.kind,
                "subject": rate.subject,
                "within": show_within(rate),
                "unit": "concurrent" if is_concurrent else str(unit),
                "window_seconds": rate.window_ms // 1000,
                "limit": amounts[0].lstrip("$"),
                "used": amounts[1].lstrip("$"),
                "requested": amounts[2].lstrip("$"),
            },
        },
    )
