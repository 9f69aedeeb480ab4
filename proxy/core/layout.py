"""What every call with the same budgets and windows sends to Valkey and is told of them, put together once for all of
them.

Budgets and windows of a path are found once a minute and path (``find_scopes``, ``find_rates``), and the same tuples
come back until then: so what follows from them alone is remembered by their identity, and forgotten with them.
"""

import struct
from collections.abc import Sequence
from typing import Final

from proxy.core.budgets import ADMISSION_MS, ROLLS_AFTER_MS, list_rolling
from proxy.core.rate_limits import list_told
from proxy.values.windows import NO_LIMIT, Layout, Rate, Scope
from tenants.choices import BudgetScope

_MOST_REMEMBERED: Final = 4_096
#: beyond every clock
NEVER_MS: Final = 2**53


def lay_out(scopes: tuple[Scope, ...], rates: tuple[Rate, ...], asked: tuple[Scope, ...] = ()) -> Layout:
    """The layout of a path, made or remembered. ``asked``: the budgets of the model that was asked for, where another
    one serves the call: whether that is so hangs on their ladders."""
    name = (id(scopes), id(rates), id(asked))
    # What is remembered keeps all of them alive, so that their ids are nobody else's.
    known = _remembered.get(name)
    if known is None:
        if len(_remembered) >= _MOST_REMEMBERED:
            _remembered.clear()
        known = _remembered[name] = (_make(scopes, rates, asked), scopes)
    return known[0]


def watch(layout: Layout, model: str, served: str) -> Layout:
    """The layout of a call that is counted in its budgets and that none of them refuses. ``model`` is what was asked
    for: nobody else is asked, so that the spend is that model's, whichever one would have ``served``."""
    scopes = layout.asked or layout.scopes
    name = (id(scopes), model if served != model else "")
    known = _watched.get(name)
    if known is None:
        if len(_watched) >= _MOST_REMEMBERED:
            _watched.clear()
        held = [scope for scope in scopes if scope.kind != BudgetScope.MODEL.value or scope.subject == model]
        plain = (scope._replace(is_hard=False, is_shadow=False, steps=(), before=None) for scope in held)
        # As above: what is remembered keeps the scopes alive.
        known = _watched[name] = (scopes, tuple(plain))
    return lay_out(known[1], layout.rates)


def forget_layouts() -> None:
    """Let go of those that were made before."""
    _remembered.clear()
    _watched.clear()


def pack_numbers(numbers: Sequence[int]) -> bytes:
    """Integers below 2**53 as one argument, which a script reads with ``struct.unpack``: many arguments cost both sides
    several times as much."""
    return struct.pack(f"<{len(numbers)}d", *numbers)


_watched: Final[dict[tuple[int, str], tuple[tuple[Scope, ...], tuple[Scope, ...]]]] = {}
#: a layout has the rates and what was asked for in it, and scopes of its own where some were added
_remembered: Final[dict[tuple[int, int, int], tuple[Layout, tuple[Scope, ...]]]] = {}


def _make(held: tuple[Scope, ...], rates: tuple[Rate, ...], asked: tuple[Scope, ...]) -> Layout:
    counters = tuple(scope.counter for scope in held)
    watched = (scope._replace(is_hard=False, is_shadow=False) for scope in asked if scope.steps)
    scopes = (*held, *(scope for scope in watched if scope.counter not in counters)) if asked else held
    rolling = list_rolling(scopes)
    windows = [(rate.log, rate.total) for rate in rates]
    return Layout(
        scopes=scopes,
        rates=rates,
        counters=counters,
        keys=(
            *(scope.counter for scope in scopes),
            *(key for pair in windows for key in pair),
            *(before.counter for _, _, before in rolling),
        ),
        numbers=pack_numbers(_numbers(scopes, rates)),
        windows="".join(f"{rate.name} {rate.window_ms}\n" for rate in rates),
        ladders=tuple((place, scope) for place, scope in enumerate(scopes, 1) if scope.steps),
        rolling=len(rolling),
        closes_ms=min((scope.ends_ms + ADMISSION_MS for scope in scopes if scope.has_rollover), default=NEVER_MS),
        is_capping=any(scope.is_hard for scope in held)
        or any(rate.tokens != NO_LIMIT or rate.nanos != NO_LIMIT for rate in rates if not rate.is_shadow),
        told=tuple(list_told(rates)),
        breadth=len(scopes) + len(rates),
        asked=asked,
    )


def _numbers(scopes: Sequence[Scope], rates: Sequence[Rate]) -> list[int]:
    numbers: list[int] = []
    for scope in scopes:
        limit = scope.limit if scope.is_hard or scope.is_shadow else NO_LIMIT
        numbers += (limit, scope.is_whole, scope.kept_until_ms, scope.is_shadow)
    for rate in rates:
        numbers += (rate.window_ms, rate.requests, rate.tokens, rate.nanos, rate.is_shadow)
    for place, scope, _ in list_rolling(scopes):
        numbers += (place, scope.own, scope.own + scope.increased, scope.share, scope.starts_ms + ROLLS_AFTER_MS)
    return numbers
