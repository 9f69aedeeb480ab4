"""A hold that is turned to another model: each model's budgets have what its own tries cost."""

from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from costhub.lib import keyspace
from costhub.lib.redis import client
from proxy.batches.take_back import ASKED
from proxy.ledger import reaper
from tests.proxy.edges.till import LEASE, NOW, Line, Till, Window
from tests.sampling import examples

ROW: dict[str, Any] = {
    "request_model": "first",
    "model": "first",
    "upstream_id": None,
    "price_id": None,
    "effective_cost": 0,
    "attempts": [],
}


@pytest.fixture
def lines(till: Till) -> tuple[Line, Line, Line]:
    """The whole organisation's budget, and one of each model."""
    return till.line("org", 1_000), till.line("first", 1_000), till.line("second", 1_000)


def reserve(till: Till, *lines: Line, attempt: int, nanos: int, row: dict[str, Any] = ROW, **more: Any) -> list[Any]:
    return till.reserve("a", *lines, attempt=attempt, fixed=nanos * 1_000, row=row, **more)


def test_what_was_billed_nothing_goes_back(till: Till, lines: tuple[Line, Line, Line]) -> None:
    whole, first, second = lines
    reserve(till, whole, first, attempt=1, nanos=900)
    assert till.turn("a", 0) == 1
    assert [till.read(line) for line in (whole, first)] == [(0, 0), (0, 0)]
    # so that a dearer one fits, of which the budget would not have taken both
    assert reserve(till, whole, second, attempt=2, nanos=950)[0] == 1
    assert till.settle("a", 400) == 1
    assert [till.read(line) for line in lines] == [(400, 0), (0, 0), (400, 0)]


def test_that_its_upstream_was_asked_with_others_is_no_models_name(till: Till, lines: tuple[Line, Line, Line]) -> None:
    whole, first, _ = lines
    reserve(till, whole, first, attempt=1, nanos=300)
    asked = client().register_script(ASKED.source)
    asked(keys=[keyspace.hold_key(till.shard, "a"), keyspace.hold_key(till.shard, "gone")])
    assert (till.hold("a")["asked"], till.hold("gone")) == ("", {})
    till.turn("a", 200, model="first")
    asked(keys=[keyspace.hold_key(till.shard, "a")])
    assert till.hold("a")["asked"] == "first\n"


def test_what_may_have_been_billed_stays_where_it_was_spent(till: Till, lines: tuple[Line, Line, Line]) -> None:
    whole, first, second = lines
    reserve(till, whole, first, attempt=1, nanos=300)
    till.turn("a", 200)
    assert reserve(till, whole, second, attempt=2, nanos=801)[:2] == [0, 1]
    assert reserve(till, whole, second, attempt=2, nanos=500)[2] == 500
    assert [till.read(line) for line in lines] == [(0, 700), (0, 200), (0, 500)]
    assert till.settle("a", 450) == 1
    assert [till.read(line) for line in lines] == [(650, 0), (200, 0), (450, 0)]


def test_a_hold_that_nothing_follows_is_settled_as_it_is(till: Till, lines: tuple[Line, Line, Line]) -> None:
    whole, first, _ = lines
    reserve(till, whole, first, attempt=1, nanos=300)
    till.turn("a", 200)
    assert till.turn("a", 200) == 0
    assert till.settle("a", 0) == 1
    assert [till.read(line) for line in (whole, first)] == [(200, 0), (200, 0)]
    assert till.turn("a", 5) == 0


def test_the_callers_own_limit_counts_what_is_gone(till: Till, lines: tuple[Line, Line, Line]) -> None:
    whole, first, second = lines
    reserve(till, whole, first, attempt=1, nanos=300, max_cost=600)
    till.turn("a", 200)
    assert reserve(till, whole, second, attempt=2, nanos=401, max_cost=600) == [-4]
    assert reserve(till, whole, second, attempt=2, nanos=400, max_cost=600)[0] == 1


def test_a_dead_workers_hold_is_reaped_in_each_models_budget(till: Till, lines: tuple[Line, Line, Line]) -> None:
    whole, first, second = lines
    reserve(till, whole, first, attempt=1, nanos=300)
    till.turn("a", 200)
    known = {"number": 1, "model": "first", "cost": 200, "certainty": "counted", "error": "upstream_timeout"}
    reserve(till, whole, second, attempt=2, nanos=500, row=ROW | {"model": "second", "attempts": [known]}, ends=1)
    assert reaper.reap(till.shard) == 1
    assert [till.read(line) for line in lines] == [(700, 0), (200, 0), (500, 0)]
    (event,) = map(orjson.loads, till.events())
    assert (event["effective_cost"], event["held"]) == (700, 700)
    assert [(one["number"], one["model"], one["cost"]) for one in event["attempts"]] == [
        (1, "first", 200),
        (2, "second", 500),
    ]


def test_a_recount_finds_what_is_held_for_both(till: Till, lines: tuple[Line, Line, Line]) -> None:
    whole, first, second = lines
    reserve(till, whole, first, attempt=1, nanos=300)
    till.turn("a", 200)
    reserve(till, whole, second, attempt=2, nanos=500)
    attempts = [{"model": "first", "cost": 30}, {"model": "second", "cost": 12}, {"model": "", "cost": 5}]
    event = {"started_at_ms": NOW, "request_model": "first", "effective_cost": 50, "attempts": attempts, "tags": {}}
    till.add_event(orjson.dumps(event))
    till.rebuild((whole, 0), match={})
    till.rebuild((first, 0), match={"model": "first"})
    till.rebuild((second, 0), match={"model": "second"})
    # what no attempt names is of the model that was asked for
    assert [till.read(line) for line in lines] == [(50, 700), (38, 200), (12, 500)]


def test_a_retry_where_nothing_is_budgeted_is_no_further_request(till: Till) -> None:
    window = Window(f"{till.shard}:w", 60_000, requests=9)
    for attempt in (1, 2):
        answer = reserve(till, windows=(window,), attempt=attempt, nanos=0)
        assert answer[5] == [1, 0, 0]


def test_a_call_is_a_request_of_who_serves_it(till: Till) -> None:
    whole, of_first, of_second = (Window(f"{till.shard}:{name}", 60_000, requests=9) for name in ("w", "f", "s"))
    under_way = Window(f"{till.shard}:u", 0, requests=9)
    reserve(till, windows=(whole, of_first, under_way), attempt=1, nanos=0, input_tokens=70)
    till.turn("a", 0)
    answer = reserve(till, windows=(whole, of_second, under_way), attempt=2, nanos=0, input_tokens=50)
    assert answer[5] == [1, 50, 0, 1, 50, 0, 1, 0, 0]
    answer = till.reserve("b", windows=(of_first,), row=ROW)
    assert answer[5] == [1, 0, 0]


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    max_examples=examples(40),
    deadline=None,
)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(1, 300), st.integers(0, 100)), min_size=1, max_size=5))
def test_any_row_of_models_posts_each_its_own(till: Till, tries: list[tuple[int, int, int]]) -> None:
    """Models in any order, and one that is asked again later: what each has spent is the sum over its tries."""
    till.lose_everything()
    till.open()
    whole, models = till.line("org"), [till.line(name) for name in ("x", "y", "z")]
    spent, cost = [0, 0, 0], 0
    for attempt, (model, nanos, percent) in enumerate(tries, 1):
        if attempt > 1:
            till.turn("a", cost)
        answer = reserve(till, whole, models[model], attempt=attempt, nanos=nanos, ends=NOW + LEASE)
        assert answer[:1] + answer[2:3] == [1, nanos]
        cost = nanos * percent // 100
        spent[model] += cost
    assert till.settle("a", cost) == 1
    assert till.read(whole) == (sum(spent), 0)
    assert [till.read(line) or (0, 0) for line in models] == [(nanos, 0) for nanos in spent]
