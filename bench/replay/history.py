"""Sixty days of the ledger before the replay, so that forecasts and anomalies have something to go by.

Each key costs by the hour what the trace costs it in the hour of the replay, times a weekly profile and a little noise.
A row stands for very many calls: its tokens and its money are those of all of them.
"""

import math
import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, Final

import orjson
from django.db import connection
from uuid_utils import uuid7

from bench.replay.trace import KEYS, PRICES, SEED, TraceCall
from bench.replay.world import Spent, World
from costhub.lib.moments import to_ms
from proxy.core.row import open_row
from tenants.periods import period_bounds
from tenants.snapshots import KeySnapshot

DAYS: Final = 60
ROWS_AN_HOUR: Final = 2
NOISE: Final = 0.05
PAST_USERS: Final = 40
_HOUR: Final = timedelta(hours=1)
_BATCH: Final = 2_000


def write_history(world: World, calls: Sequence[TraceCall], org_id: str, time_zone: str, hour: datetime) -> Spent:
    """Append the rows before ``hour``, in which the replay will be. Gives what they come to."""
    usual: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
    for call in calls:
        if call.key and call.model in PRICES:
            model = "small" if call.is_planted else call.model
            usual[call.key, model][0] += call.input_tokens
            usual[call.key, model][1] += call.usual_output
    day, _ = period_bounds("day", hour, time_zone)
    month, end_of_month = period_bounds("month", hour, time_zone)
    of_day: dict[tuple[str, str], int] = defaultdict(int)
    of_month: dict[tuple[str, str], int] = defaultdict(int)
    first = min(hour - timedelta(days=DAYS), month)
    with connection.cursor() as cursor:
        cursor.execute("SELECT costhub_ensure_partitions(%s, 4)", [first.date().replace(day=1)])
        made = _make_rows(world, usual, org_id, first, hour)
        while rows := list(islice(made, _BATCH)):
            cursor.execute("SELECT costhub_append_ledger(%s)", [orjson.dumps(rows).decode()])
            for row in rows:
                for period, since in ((of_day, day), (of_month, month)):
                    if row["started_at_ms"] >= to_ms(since):
                        _add(world, period, row)
    whole = sum(call.usual_cost for call in calls if call.key)
    rest = sum(whole * _profile(at) / _profile(hour) for at in _list_hours(hour + _HOUR, end_of_month))
    return Spent(of_day, of_month, int(rest))


def _add(world: World, period: dict[tuple[str, str], int], row: dict[str, Any]) -> None:
    key = next(name for name, key_id in world.keys.items() if key_id == row["key_id"])
    for subject in (("organization", ""), ("project", KEYS[key][0]), ("key", key), ("model", row["request_model"])):
        period[subject] += row["effective_cost"]


def _make_rows(
    world: World, usual: dict[tuple[str, str], list[int]], org_id: str, first: datetime, hour: datetime
) -> Iterator[dict[str, Any]]:
    dice = random.Random(SEED)
    of_day: dict[tuple[int, str], float] = {}
    for at in _list_hours(first, hour):
        for (key, model), (input_tokens, output_tokens) in usual.items():
            day = of_day.setdefault((at.toordinal(), key), dice.gauss(1, NOISE))
            share = day * dice.gauss(1, NOISE) * _profile(at) / _profile(hour) / ROWS_AN_HOUR
            for part in range(ROWS_AN_HOUR):
                moment = at + _HOUR * (part + dice.random()) / ROWS_AN_HOUR
                tokens = int(input_tokens * share), int(output_tokens * share)
                yield _make_row(world, org_id, key, model, moment, tokens, dice)


def _make_row(
    world: World, org_id: str, key: str, model: str, at: datetime, tokens: tuple[int, int], dice: random.Random
) -> dict[str, Any]:
    at_ms = to_ms(at)
    owner = KeySnapshot(world.keys[key], org_id, world.projects[KEYS[key][0]], 1, None, None, None, False)
    per_input, per_output = PRICES[model]
    cost = tokens[0] * per_input + tokens[1] * per_output
    return open_row(str(uuid7(nanoseconds=at_ms * 1_000_000)), at_ms, owner, "chat/completions") | {
        "end_user": f"past-{dice.randrange(PAST_USERS):02}" if KEYS[key][0] != "batch" else "",
        "tags": {"team": "past"} if dice.random() < 0.5 else {},
        "request_model": model,
        "response_model": model,
        "upstream_id": world.upstream,
        "provider": "openai_compatible",
        "attempts": [{"number": 1, "status": 200, "certainty": "exact", "cost": cost, "error": ""}],
        "input_tokens": tokens[0],
        "output_tokens": tokens[1],
        "list_cost": cost,
        "effective_cost": cost,
        "price_id": world.upstream,
        "held": cost,
        "route_reason": "direct",
        "status": 200,
        "finish_reason": "stop",
        "duration_us": 800_000,
        "overhead_us": 900,
    }


def _list_hours(first: datetime, end: datetime) -> Iterator[datetime]:
    while first < end:
        yield first
        first += _HOUR


def _profile(at: datetime) -> float:
    """How busy an hour is: days are, nights are not, weekends half as much."""
    daytime = max(math.sin(math.pi * (at.hour - 6) / 16), 0.0) if 6 <= at.hour <= 22 else 0.0
    return (0.3 + 0.7 * daytime) * (0.5 if at.weekday() >= 5 else 1.0)
