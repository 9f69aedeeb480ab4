"""The organisation of the replay: keys, prices, budgets and rate limits, sized by what the trace is going to ask."""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import httpx2

from bench.alerts import manage
from bench.replay.load import delay_ms
from bench.replay.trace import KEYS, MOST_OUTPUT, PRICES, UNPRICED, TraceCall, find_peak
from costhub.lib.money import Nanos, format_usd
from tests.bank import Bank

#: rate limits refuse what is above so much of the trace's own peak
OF_PEAK: Final = 0.8


@dataclass(frozen=True, slots=True)
class Cap:
    """A budget of the replay, in nano-USD. Without ``subject`` it is the default of each of its scope."""

    id: str
    name: str
    scope: str
    subject: str
    period: str
    limit: int
    thresholds: tuple[int, ...]
    is_hard: bool


@dataclass(slots=True)
class World:
    """A running stack and what was made in it. ``keys`` and ``projects`` are ids by name, ``secrets`` by key."""

    stack: dict[str, Any]
    projects: dict[str, str] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)
    upstream: str = ""
    caps: list[Cap] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Spent:
    """What the history has spent already, by (scope, name), in the day and in the month of the replay."""

    day: Mapping[tuple[str, str], int]
    month: Mapping[tuple[str, str], int]
    #: what the rest of the month would cost as usual
    rest_of_month: int


def make_catalog(http: httpx2.Client, stack: dict[str, Any], bank: Bank) -> World:
    """Projects, keys, an upstream and priced models, and one model without a price."""
    world = World(stack)
    upstream = {"name": "bank", "kind": "openai_compatible", "base_url": bank.base_url, "bill_path": "/costhub/bill"}
    world.upstream = manage(http, stack, "upstreams", upstream)["id"]
    for model in (*PRICES, UNPRICED):
        manage(
            http,
            stack,
            "models",
            {"name": model, "upstream": "bank", "max_output_tokens": MOST_OUTPUT, "tokenizer": "o200k_base"},
        )
    for model, (per_input, per_output) in PRICES.items():
        # A nano-USD a token is a thousandth of a dollar a million.
        manage(
            http,
            stack,
            "prices",
            {
                "model": model,
                "input_per_million": f"{per_input / 1000:.3f}",
                "output_per_million": f"{per_output / 1000:.3f}",
            },
        )
    for project in dict.fromkeys(project for project, _, _ in KEYS.values()):
        world.projects[project] = manage(http, stack, "projects", {"name": project})["id"]
    for key, (project, _, _) in KEYS.items():
        made = manage(http, stack, "keys", {"name": key, "project": project})
        world.keys[key], world.secrets[key] = made["id"], made["secret"]
    return world


def drop_demo_budgets(http: httpx2.Client, stack: dict[str, Any]) -> None:
    """The demo organisation comes with two budgets of five dollars a day: they would refuse most of the trace."""
    url = f"{stack['console_url'].rstrip('/')}/api/v1/budgets"
    headers = {"authorization": f"Bearer {stack['admin_token']}"}
    for row in http.get(url, headers=headers).raise_for_status().json()["data"]:
        http.delete(f"{url}/{row['id']}", headers=headers).raise_for_status()


def make_limits(http: httpx2.Client, world: World, calls: Sequence[TraceCall], spent: Spent, speed: float) -> None:
    """Budgets and rate limits, some of which the trace will exceed."""
    planned: dict[tuple[str, str], int] = defaultdict(int)
    for call in calls:
        if call.key:
            for scope, subject in list_subjects(call):
                planned[scope, subject] += call.cost
    for body, thresholds in _list_budgets(world, planned, spent):
        made = manage(
            http, world.stack, "budgets", {**body, "limit": format_usd(body["limit"]), "thresholds": thresholds}
        )
        world.caps.append(
            Cap(
                made["id"],
                body["name"],
                body["scope"],
                made["subject"],
                body["period"],
                body["limit"],
                tuple(thresholds),
                is_hard=body.get("action", "block") == "block" and not body.get("is_shadow", False),
            )
        )
    for limit in _list_rate_limits(world, calls, speed):
        manage(http, world.stack, "rate-limits", limit)


def list_subjects(call: TraceCall) -> list[tuple[str, str]]:
    """Whom a call is charged to, by (scope, name)."""
    found = [("organization", ""), ("project", KEYS[call.key][0]), ("key", call.key), ("model", call.model)]
    found += [("end_user", call.end_user)] if call.end_user else []
    return found + [("tag", f"{name}={value}") for name, value in call.tags.items()]


def _list_budgets(
    world: World, planned: Mapping[tuple[str, str], int], spent: Spent
) -> list[tuple[dict[str, Any], list[int]]]:
    whole = planned["organization", ""]
    internal, support, large = ("key", "search-internal"), ("project", "support"), ("model", "large")
    users = sorted((nanos for (scope, _), nanos in planned.items() if scope == "end_user"), reverse=True)
    of_keys = sorted(planned["key", key] + spent.day.get(("key", key), 0) for key in KEYS)
    month = spent.month.get(("organization", ""), 0)

    def make(name: str, scope: str, period: str, limit: float, **more: Any) -> dict[str, Any]:
        return {"name": name, "scope": scope, "period": period, "limit": Nanos(int(limit))} | more

    ladder = [
        {"at": 40, "rung": "cheaper_model", "model": "small"},
        {"at": 70, "rung": "shorter_output", "max_tokens": 128},
    ]
    return [
        (
            make("Internal search", "key", "day", spent.day.get(internal, 0) + planned[internal] * 0.6)
            | {"subject": world.keys["search-internal"]},
            [50, 80, 100],
        ),
        (make("Each end user", "end_user", "day", users[min(5, len(users) - 1)] * 0.7), [80, 100]),
        (
            make("Support by ladder", "project", "hour", planned[support] * 0.8, action="degrade", ladder=ladder)
            | {"subject": "support"},
            [40, 70, 90],
        ),
        (
            make("The month", "organization", "month", month + whole * 2 + spent.rest_of_month * 0.4, action="warn"),
            [50, 80, 100],
        ),
        (make("The hour", "organization", "hour", whole * 0.9, action="warn"), [25, 50, 75, 100]),
        (
            make("Team red", "tag", "day", planned["tag", "team=red"] * 0.8, action="warn") | {"subject": "team=red"},
            [50, 80, 100],
        ),
        (make("Large model", "model", "hour", planned[large] * 0.5, is_shadow=True) | {"subject": "large"}, [100]),
        (make("Each key", "key", "day", of_keys[3], action="warn"), [90, 100, 150]),
    ]


def _list_rate_limits(world: World, calls: Sequence[TraceCall], speed: float) -> list[dict[str, Any]]:
    def peak(key: str, seconds: float, weigh: Callable[[TraceCall], int]) -> int:
        return max(int(find_peak([call for call in calls if call.key == key], seconds, weigh, speed) * OF_PEAK), 1)

    busiest = Counter(call.end_user for call in calls if call.end_user).most_common(1)[0][0]
    of_busiest = find_peak([call for call in calls if call.end_user == busiest], 10, lambda _: 1, speed)
    web = [call for call in calls if call.key == "support-web"]
    under_way = math.ceil(find_peak(web, delay_ms(web) / 1000, lambda _: 1, speed) * OF_PEAK)
    dollars = Nanos(peak("batch-nightly", 20, lambda call: call.cost))
    return [
        {"scope": "key", "subject": world.keys["support-app"], "unit": "requests", "limit": peak("support-app", 10, lambda _: 1), "window_seconds": 10},
        {"scope": "key", "subject": world.keys["search-api"], "unit": "tokens", "limit": peak("search-api", 10, lambda call: call.input_tokens + call.output_tokens), "window_seconds": 10},
        {"scope": "key", "subject": world.keys["batch-nightly"], "unit": "usd", "limit": format_usd(dollars), "window_seconds": 20},
        {"scope": "key", "subject": world.keys["support-web"], "unit": "concurrent", "limit": under_way},
        {"scope": "end_user", "unit": "requests", "limit": max(int(of_busiest * 0.9), 1), "window_seconds": 10},
    ]  # fmt: skip
