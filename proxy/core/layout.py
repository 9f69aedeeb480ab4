"""What every call with the same budgets and windows sends to Valkey and is told of them, put together once for all of
them.

Budgets and windows of a path are found once a minute and path (``find_scopes``, ``find_rates``), and the same tuples
come back until then: so what follows from them alone is remembered by their identity.
"""

import struct
from collections.abc import Sequence
from typing import Final

from proxy.core.limits import ADMISSION_MS, ROLLS_AFTER_MS, list_rolling
from proxy.core.rates import list_told
from proxy.types import NO_LIMIT, Layout, Rate, Scope

_MOST_REMEMBERED: Final = 4_096
#: beyond every clock
_NEVER_MS: Final = 2**53


def lay_out(scopes: tuple[Scope, ...], rates: tuple[Rate, ...]) -> Layout:
    """The layout of a path, made or remembered."""
    name = (id(scopes), id(rates))
    # What is remembered keeps both alive, so that their ids are nobody else's.
    layout = _remembered.get(name)
    if layout is None:
        if len(_remembered) >= _MOST_REMEMBERED:
            _remembered.clear()
        layout = _remembered[name] = _make(scopes, rates)
    return layout


def pack_numbers(numbers: Sequence[int]) -> bytes:
    """Integers below 2**53 as one argument, which a script reads with ``struct.unpack``: many arguments cost both sides
    several times as much."""
    return struct.pack(f"<{len(numbers)}d", *numbers)


_remembered: Final[dict[tuple[int, int], Layout]] = {}


def _make(scopes: tuple[Scope, ...], rates: tuple[Rate, ...]) -> Layout:
    counters = tuple(scope.counter for scope in scopes)
    rolling = list_rolling(scopes)
    windows = [(rate.log, rate.total) for rate in rates]
    return Layout(
        scopes=scopes,
        rates=rates,
        counters=counters,
        keys=(*counters, *(key for pair in windows for key in pair), *(before.counter for _, _, before in rolling)),
        numbers=pack_numbers(_numbers(scopes, rates)),
        windows="".join(f"{rate.name} {rate.window_ms}\n" for rate in rates),
        ladders=tuple((place, scope) for place, scope in enumerate(scopes, 1) if scope.steps),
        rolling=len(rolling),
        closes_ms=min((scope.ends_ms + ADMISSION_MS for scope in scopes if scope.has_rollover), default=_NEVER_MS),
        is_capping=any(scope.is_hard for scope in scopes)
        or any(rate.tokens != NO_LIMIT or rate.nanos != NO_LIMIT for rate in rates if not rate.is_shadow),
        told=tuple(list_told(rates)),
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
