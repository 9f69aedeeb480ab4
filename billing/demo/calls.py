"""Ninety days of made-up calls as the ledger's events, the same for the same seed. Nothing here was ever sent.

Traffic has the shape that real one has: working days and hours, a slow growth, end users of whom few do most, projects
that differ in what they ask. One afternoon, two days ago, a loop in one of them made long calls to the dearest model.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Final
from uuid import UUID

from costhub.lib.moments import to_ms
from costhub.lib.money import format_usd
from proxy.core.pricing import cost
from proxy.core.row import Row, add_attempts, add_spared, open_row
from proxy.values.attempt import Attempt, Certainty, Mechanism, Usage
from proxy.values.plan import Hold
from tenants.price_snapshots import PriceSnapshot
from tenants.snapshots import KeySnapshot

DAYS: Final = 90
#: days ago, and the hours of it in which the loop ran
ANOMALY_DAY: Final = 2
ANOMALY_HOURS: Final = range(14, 17)
_WORKDAY_CALLS: Final = 190
_WEEKEND_CALLS: Final = 60
_GROWTH_PER_MILLE: Final = 6
#: of the calls that a route could take, and of these
_ROUTED_PERCENT: Final = 34
_HELD_OUT_PERCENT: Final = 12
#: calls of each hour of a day, of a thousand
_HOURS: Final = (8, 6, 5, 4, 5, 9, 18, 35, 62, 80, 86, 82, 68, 78, 84, 82, 74, 62, 46, 34, 26, 20, 15, 11)


@dataclass(frozen=True, slots=True)
class DemoModel:
    """A model with its prices, newest first."""

    name: str
    upstream_id: str
    provider: str
    prices: Sequence[PriceSnapshot]

    def price_at(self, at_ms: int) -> PriceSnapshot:
        """The version that holds then."""
        return next(one for one in self.prices if one.effective_from_ms <= at_ms)


@dataclass(frozen=True, slots=True)
class Habit:
    """How a project calls: its share of all calls, its models by weight, tokens in and out around which calls lie, how
    many of a hundred stream, are answered from the cache or have their prompts shortened, and what its calls are tagged
    with."""

    key: KeySnapshot
    weight: int
    models: Mapping[str, int]
    tokens_in: int
    tokens_out: int
    cached_percent: int
    streamed_percent: int
    tags: Sequence[Mapping[str, str]]
    end_users: int
    prefix: str
    compressed_percent: int = 0


@dataclass(frozen=True, slots=True)
class DemoRoute:
    """A route between two models: easy calls go to ``weak``, and some are held out at ``strong``, as before."""

    name: str
    strong: str
    weak: str


@dataclass(frozen=True, slots=True)
class DemoBudget:
    """The budget that some calls of the history were refused by."""

    id: str
    period: str
    limit: int


def make_events(
    habits: Sequence[Habit],
    models: Mapping[str, DemoModel],
    route: DemoRoute,
    budget: DemoBudget,
    now: datetime,
    *,
    seed: int = 20_260_101,
) -> Iterator[Row]:
    """The events, oldest first. Of the calls to a route's strong model some came by the route."""
    random = Random(seed)  # noqa: S311 - a picture, not a secret
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    for ago in range(DAYS, -1, -1):
        day = today - timedelta(days=ago)
        base = _WEEKEND_CALLS if day.weekday() >= 5 else _WORKDAY_CALLS
        grown = base * (1000 + _GROWTH_PER_MILLE * (DAYS - ago)) // 1000
        moments = _moments(random, day, grown, now)
        if ago == ANOMALY_DAY:
            moments += [(moment, True) for moment in _loop_moments(random, day)]
        for moment, is_loop in sorted(moments):
            yield _make_call(random, habits, models, route, budget, moment, is_loop=is_loop)


def _moments(random: Random, day: datetime, calls: int, now: datetime) -> list[tuple[datetime, bool]]:
    found = []
    for hour, share in enumerate(_HOURS):
        expected = calls * share / 1000
        number = int(expected) + (random.random() < expected % 1)
        for _ in range(max(0, number + random.choice((-1, 0, 0, 1)))):
            moment = day + timedelta(hours=hour, milliseconds=random.randrange(3_600_000))
            if moment < now:
                found.append((moment, False))
    return found


def _loop_moments(random: Random, day: datetime) -> list[datetime]:
    return [
        day + timedelta(hours=hour, milliseconds=random.randrange(3_600_000))
        for hour in ANOMALY_HOURS
        for _ in range(55)
    ]


def _make_call(
    random: Random,
    habits: Sequence[Habit],
    models: Mapping[str, DemoModel],
    route: DemoRoute,
    budget: DemoBudget,
    moment: datetime,
    *,
    is_loop: bool,
) -> Row:
    habit = habits[0] if is_loop else random.choices(habits, [one.weight for one in habits])[0]
    name = route.strong if is_loop else random.choices(list(habit.models), list(habit.models.values()))[0]
    at_ms = to_ms(moment)
    model = models[name]
    row = open_row(make_id(random, at_ms), at_ms, habit.key, "embeddings" if "embed" in name else "chat/completions")
    size = 9 if is_loop else 1
    tokens_in = max(12, int(random.lognormvariate(0, 0.6) * habit.tokens_in * size))
    tokens_out = 0 if "embed" in name else max(1, int(random.lognormvariate(0, 0.5) * habit.tokens_out * size))
    read = tokens_in * random.randrange(30, 80) // 100 if random.random() < 0.25 and tokens_in > 1_024 else 0
    used = Usage(input=tokens_in - read, cached_input=read, output=tokens_out)
    end_user = f"{habit.prefix}-{int(habit.end_users * random.random() ** 3) + 1:03d}" if habit.end_users else ""
    row |= {
        "request_model": name,
        "end_user": "agent-loop" if is_loop else end_user,
        "tags": dict(random.choice(habit.tags)),
        "is_stream": random.randrange(100) < habit.streamed_percent,
        "route_reason": "direct",
        "duration_us": 180_000 + tokens_out * 9_000 + random.randrange(400_000),
        "overhead_us": 700 + random.randrange(500),
    }
    chance = random.randrange(1000)
    if chance < 6 and not is_loop:
        return _refuse(row, budget, moment, end_user)
    if chance < 16 and not is_loop:
        failed = Attempt(1, 502, Certainty.NOTHING, Usage(), 0, "the upstream answered 502", model=name)
        row |= {"status": 502, "error_code": "upstream_error", "duration_us": 30_000_000}
        return _send(row, model, failed, at_ms, held=0)
    answering = model
    if name == route.strong and not is_loop and random.randrange(100) < _ROUTED_PERCENT:
        answering = _go_by_route(random, row, route, models)
    price = model.price_at(at_ms)
    listed = cost(used, price)
    row["status"] = 200
    if not is_loop and random.randrange(100) < habit.cached_percent:
        row |= {"cache_status": "hit-l2", "finish_reason": "stop", "duration_us": 4_000, "first_byte_us": 3_000}
        row |= {"response_model": name, "price_id": price.id}
        if listed:
            add_spared(row, {Mechanism.CACHE: listed})
        return row
    row |= {"cache_status": "miss", "first_byte_us": 120_000 + random.randrange(300_000)}
    paid = cost(used, answering.price_at(at_ms))
    answered = Attempt(
        1,
        200,
        Certainty.EXACT,
        used,
        paid,
        response_model=answering.name,
        finish_reason="stop",
        price=answering.price_at(at_ms),
        model=answering.name,
        upstream_id=answering.upstream_id,
    )
    if answering is not model:
        answered = answered._replace(savings={Mechanism.ROUTING: listed - paid})
    elif not is_loop and random.randrange(100) < habit.compressed_percent:
        # What was left out of the prompt, at the price of what was sent.
        row["route_reason"] = "direct; compressed"
        answered = answered._replace(savings={Mechanism.COMPRESSION: paid * random.randrange(8, 22) // 100})
    return _send(row, answering, answered, at_ms, held=paid * 3)


def _go_by_route(random: Random, row: Row, route: DemoRoute, models: Mapping[str, DemoModel]) -> DemoModel:
    """The model that the route asks, as a call's row tells it."""
    row["request_model"] = route.name
    is_held_out = random.randrange(100) < _HELD_OUT_PERCENT
    chosen = route.strong if is_held_out else route.weak
    how = f"held out: {chosen}" if is_held_out else f"router: {chosen}, it looks simple"
    row["route_reason"] = f"route {route.name} v1 {how}"
    return models[chosen]


def _send(row: Row, model: DemoModel, attempt: Attempt, at_ms: int, *, held: int) -> Row:
    """The row of a call that an upstream got."""
    row |= {"upstream_id": model.upstream_id, "provider": model.provider, "price_id": model.price_at(at_ms).id}
    add_attempts(row, [attempt], Hold(row["id"], held, 0, None))
    return row


def _refuse(row: Row, budget: DemoBudget, moment: datetime, end_user: str) -> Row:
    """A call that an end user's budget of the day could not take."""
    midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    left = 40_000_000
    told = {
        "kind": "budget",
        "id": budget.id,
        "scope": "end_user",
        "subject": end_user,
        "period": budget.period,
        "limit": format_usd(budget.limit),
        "spent": format_usd(budget.limit - left),
        "held": format_usd(0),
        "needed": format_usd(2 * left),
        "resets_at": midnight.isoformat(),
    }
    return row | {
        "status": 402,
        "error_code": "budget_exceeded",
        "refused_by": told,
        "duration_us": 1_500,
    }


def make_id(random: Random, at_ms: int) -> str:
    """A request id of that millisecond: version 7 (RFC 9562)."""
    bits = random.getrandbits(74)
    return str(UUID(int=at_ms << 80 | 0x7 << 76 | (bits >> 62) << 64 | 0b10 << 62 | bits & (2**62 - 1)))
