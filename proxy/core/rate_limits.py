"""Which rate limits a call must fit, and what it is told of them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from struct import Struct
from typing import Final, NamedTuple

from costhub.lib.keyspace import rate_key
from costhub.lib.money import PICOS_PER_NANO, format_usd
from proxy.core.budgets import is_within, subjects_of
from proxy.values.plan import Bound
from proxy.values.windows import NO_LIMIT, Rate, Told, ToldWindow
from tenants.choices import LimitUnit
from tenants.snapshots import KeySnapshot, OrgSnapshot, RateLimitSnapshot

#: the units in the order of a window's sums
UNITS: Final = (LimitUnit.REQUESTS, LimitUnit.TOKENS, LimitUnit.USD)
#: requests, tokens and nano-USD of each window stand in a row
SUMS_A_RATE: Final = len(UNITS)
_TOTAL: Final = Struct("<3d")
_MS_A_SECOND: Final = 1000
_SECONDS_A_MINUTE: Final = 60


def find_rates(
    org: OrgSnapshot, key: KeySnapshot, *, end_user: str, model: str, tags: Mapping[str, str], session: str
) -> tuple[Rate, ...]:
    """Every window on the call's path.

    A limit with a subject stands in for the default of its scope, unit and window; of several, the lowest counts. One
    that counts everywhere stands in for a narrowed default too; a narrowed one for its like only.
    """
    if not org.rate_limits:
        return ()
    return _find(org, key, end_user, model, tuple(tags.items()) if tags else (), session)


def without_rate_limits(org: OrgSnapshot) -> OrgSnapshot:
    """The organisation as calls know it that nobody waits for: rate limits are of calls as they come. A batch's lines
    come when there is time for them (how many run at once is its upstream's to say), comparisons after the answer."""
    return replace(org, rate_limits=()) if org.rate_limits else org


class _Place(NamedTuple):
    """A window of one subject: limits of several units share it."""

    scope: str
    subject: str
    within_scope: str
    within: str
    window_ms: int
    is_shadow: bool


@lru_cache(maxsize=4_096)
def _find(
    org: OrgSnapshot, key: KeySnapshot, end_user: str, model: str, tags: tuple[tuple[str, str], ...], session: str
) -> tuple[Rate, ...]:
    subjects = subjects_of(org, key, end_user, model, tags, session)
    chosen: dict[_Place, dict[LimitUnit, RateLimitSnapshot]] = {}
    for limit in org.rate_limits:
        if not is_within(limit, key):
            continue
        for subject in subjects[limit.scope]:
            if limit.subject in {"", subject}:
                place = _Place(limit.scope, subject, limit.within_scope, limit.within, limit.window_ms, limit.is_shadow)
                of_window = chosen.setdefault(place, {})
                unit = _unit_of(limit)
                before = of_window.get(unit)
                if before is None or (not limit.subject, limit.amount) < (not before.subject, before.amount):
                    of_window[unit] = limit
    return tuple(
        _make_rate(org, place, held)
        for place, limits in chosen.items()
        if (held := _without_lifted(place, limits, chosen))
    )


def forget_rates() -> None:
    """Let go of what was found before."""
    _find.cache_clear()


def _unit_of(limit: RateLimitSnapshot) -> LimitUnit:
    """The unit that a limit counts in. Calls under way are counted as requests, in no window."""
    return LimitUnit.REQUESTS if limit.unit == LimitUnit.CONCURRENT else LimitUnit(limit.unit)


def _without_lifted(
    place: _Place,
    limits: Mapping[LimitUnit, RateLimitSnapshot],
    chosen: Mapping[_Place, Mapping[LimitUnit, RateLimitSnapshot]],
) -> Mapping[LimitUnit, RateLimitSnapshot]:
    """A place's limits without the narrowed defaults that the subject's own limit stands in for everywhere."""
    if not place.within:
        return limits
    everywhere = chosen.get(place._replace(within_scope="", within=""), {})
    own = {unit for unit, limit in everywhere.items() if limit.subject}
    return {unit: limit for unit, limit in limits.items() if limit.subject or unit not in own}


def _make_rate(org: OrgSnapshot, place: _Place, limits: Mapping[LimitUnit, RateLimitSnapshot]) -> Rate:
    scope, subject, within_scope, within, window_ms, is_shadow = place
    name = rate_key(org.shard, org.id, scope, window_ms, subject, within=within, is_shadow=is_shadow)
    requests, tokens, nanos = (limits[unit].amount if unit in limits else NO_LIMIT for unit in UNITS)
    ids = tuple(limits[unit].id if unit in limits else "" for unit in UNITS)
    return Rate(
        kind=scope,
        subject=subject,
        window_ms=window_ms,
        is_shadow=is_shadow,
        within_scope=within_scope,
        within=within,
        name=name,
        requests=requests,
        tokens=tokens,
        nanos=nanos,
        limit_ids=ids,
    )


def cap_output(bound: Bound, rates: Sequence[Rate]) -> Bound:
    """The bound with no more output than the windows on its path could ever take: else a caller who names no limit of
    its own would be held to the model's, and never be let in."""
    most = bound.max_output
    for rate in rates:
        if rate.is_shadow:
            continue
        if rate.tokens != NO_LIMIT:
            most = min(most, (rate.tokens - bound.input_tokens) // bound.choices)
        if rate.nanos != NO_LIMIT and bound.output_picos:
            most = min(most, (rate.nanos * PICOS_PER_NANO - bound.fixed_picos) // bound.output_picos)
    return bound if most == bound.max_output else bound._replace(max_output=max(most, min(1, bound.max_output)))


def describe(told: Sequence[Told], used: Sequence[int]) -> dict[str, str]:
    """OpenAI's ``x-ratelimit-*`` headers: of each unit, the window with the least left. Ours adds dollars.

    ``used`` are the sums of the windows. A window that slides is empty again when it has passed without a call.
    """
    headers: dict[str, str] = {}
    for write, remaining, windows in told:
        place, limit, fixed = windows[0]
        spent = used[place]
        for other in windows[1:]:
            # spent / limit < spent' / limit', without a division
            if spent * other.limit < used[other.place] * limit:
                place, limit, fixed = other
                spent = used[place]
        headers.update(fixed)
        headers[remaining] = write(limit - spent if spent < limit else 0)
    return headers


def list_told(rates: Sequence[Rate]) -> list[Told]:
    """What can be said of windows before anything has happened in them."""
    told: list[Told] = []
    for column, unit in enumerate(UNITS):
        name = f"x-ratelimit-remaining-{unit}"
        windows = []
        for place, rate in enumerate(rates):
            limit = (rate.requests, rate.tokens, rate.nanos)[column]
            if limit != NO_LIMIT and rate.window_ms and not rate.is_shadow:
                fixed = describe_one(rate, unit, 0)
                del fixed[name]
                windows.append(ToldWindow(place * SUMS_A_RATE + column, limit, fixed))
        if windows:
            told.append(Told(format_usd if unit is LimitUnit.USD else str, name, tuple(windows)))
    return told


def describe_one(rate: Rate, unit: LimitUnit, spent: int) -> dict[str, str]:
    """The headers of one window in one unit; of calls under way OpenAI has none."""
    if not rate.window_ms:
        return {}
    limit = (rate.requests, rate.tokens, rate.nanos)[UNITS.index(unit)]
    write = format_usd if unit is LimitUnit.USD else str
    return {
        f"x-ratelimit-limit-{unit}": write(limit),
        f"x-ratelimit-remaining-{unit}": write(max(limit - spent, 0)),
        f"x-ratelimit-reset-{unit}": format_span(rate.window_ms),
    }


def read_total(value: bytes | None) -> tuple[int, int, int]:
    """Requests, tokens and nano-USD of a window's total, as lua/rates.lua writes it."""
    requests, tokens, nanos = _TOTAL.unpack_from(value) if value else (0, 0, 0)
    return int(requests), int(tokens), int(nanos)


def sum_window(members: Sequence[bytes]) -> tuple[int, int, int]:
    """Requests, tokens and nano-USD of a window's log, whose members end in those (lua/rates.lua)."""
    amounts = [[int(part) for part in member.split(b" ")[-SUMS_A_RATE:]] for member in members]
    requests, tokens, nanos = (sum(column) for column in zip(*amounts, strict=True)) if amounts else (0, 0, 0)
    return requests, tokens, nanos


def format_span(ms: int) -> str:
    """A span of time as OpenAI writes it: ``1m30s``, ``20s``, ``250ms``."""
    if ms < _MS_A_SECOND:
        return f"{ms}ms"
    minutes, seconds = divmod(-(-ms // _MS_A_SECOND), _SECONDS_A_MINUTE)
    return (f"{minutes}m" if minutes else "") + f"{seconds}s"
