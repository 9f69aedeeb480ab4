"""Whether the budgets and windows on a call's path would take it now: by the rules of lua/reserve.lua, and without
setting anything aside."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, Final, NamedTuple

from costhub.lib.money import PICOS_PER_NANO, format_usd
from proxy.core.budgets import limit_with
from proxy.core.pricing import bound_cost
from proxy.core.rate_limits import UNITS
from proxy.core.refusals import refuse_budget, refuse_rate, tell_refusal
from proxy.errors import ApiError
from proxy.values.plan import Bound
from proxy.values.windows import NO_LIMIT, Layout, Scope
from tenants.choices import LimitUnit
from tenants.snapshots import KeySnapshot

_MAX_COST: Final = "x-costhub-max-cost"
#: as reserve.lua has it: when a call under way ends nobody knows
_NEXT_TRY_MS: Final = 1_000


class Verdict(StrEnum):
    """What would become of a call."""

    WHOLE = "whole"  # all that it may cost fits
    CUT = "cut"  # it is let in, and its answer ends earlier
    REFUSED = "refused"


class Spent(NamedTuple):
    """A budget, and what is known of it: settled, held by calls in flight, and added of the period before, in
    nano-USD."""

    scope: Scope
    settled: int
    held: int
    rolled: int


class Fit(NamedTuple):
    """``granted``: the output tokens of each choice that there is money for; ``by``: the budget, the limit or the
    header that refuses the call or cuts it, as answers show it."""

    verdict: Verdict
    granted: int
    by: Mapping[str, Any] | None = None


def find_fit(
    bound: Bound,
    spent: Sequence[Spent],
    used: Sequence[Sequence[int]],
    layout: Layout,
    key: KeySnapshot,
    *,
    max_cost: int | None,
    fewest_output: int,
) -> Fit:
    """What becomes of a call of this bound. ``used`` has the requests, tokens and nano-USD in each window of the
    layout; ``max_cost``, in nano-USD, is the caller's own limit. No call is let in whose answer would have fewer tokens
    than ``fewest_output``, or than it asks for."""
    least, full = (bound_cost(bound, tokens) for tokens in (min(fewest_output, bound.max_output), bound.max_output))
    room: int | None = None
    by: Mapping[str, Any] | None = None
    if max_cost is not None:
        room, by = max_cost, {"kind": "header", "name": _MAX_COST, "remaining": format_usd(max_cost)}
        if room < least:
            return Fit(Verdict.REFUSED, 0, {**by, "needed": format_usd(least)})
    for one in spent:
        if not one.scope.is_hard:
            continue
        left = limit_with(one.scope, one.rolled) - one.settled - one.held
        if left < least:
            return Fit(Verdict.REFUSED, 0, _tell_budget(one, left, least, key))
        if room is None or left < room:
            room, by = left, _tell_budget(one, left, full, key)
    granted = bound.max_output
    if room is not None and full > room:
        granted = min(granted, (room * PICOS_PER_NANO - bound.fixed_picos) // bound.output_picos)
    needed = (1, bound.input_tokens + granted * bound.choices, bound_cost(bound, granted))
    for place, rate in enumerate(layout.rates, 1):
        if rate.is_shadow:
            continue
        limits = (rate.requests, rate.tokens, rate.nanos)
        for unit, (limit, more, before) in enumerate(zip(limits, needed, used[place - 1], strict=True), 1):
            if limit != NO_LIMIT and more > 0 and before + more > limit:
                # A window that slides is empty again when it has passed without a call.
                answer = (0, place, unit, before, more, rate.window_ms or _NEXT_TRY_MS)
                told = _tell(refuse_rate(layout, answer, key))
                return Fit(Verdict.REFUSED, 0, {**told, "remaining": _write(unit, max(limit - before, 0))})
    return Fit(Verdict.WHOLE, granted) if granted == bound.max_output else Fit(Verdict.CUT, granted, by)


def _tell_budget(one: Spent, left: int, needed: int, key: KeySnapshot) -> dict[str, Any]:
    error = refuse_budget(one.scope, (0, 0, one.settled, one.held, needed, one.rolled), key)
    return {**_tell(error), "remaining": format_usd(left)}


def _tell(error: ApiError) -> dict[str, Any]:
    """What a refusal tells, with the name and the reset also where there is none."""
    return {"name": None, "resets_at": None, **tell_refusal(error)}


def _write(unit: int, amount: int) -> str:
    return format_usd(amount) if UNITS[unit - 1] is LimitUnit.USD else str(amount)
