"""The ledger's event: the table's columns, and the sums in them."""

from dataclasses import replace
from importlib import import_module
from typing import Any, Final
from uuid import UUID

import orjson
import pytest
from django.db import connection
from hypothesis import given
from hypothesis import strategies as st

from costhub.lib.moments import from_ms
from proxy.core.plan import make_plan
from proxy.core.row import (
    Row,
    add_attempts,
    add_plan,
    add_request,
    add_usage,
    correction_row,
    dump_row,
    held_row,
    open_row,
    orphan_row,
    read_usage,
    subtract,
    usage_columns,
)
from proxy.models import LedgerEntry
from proxy.values.attempt import Attempt, Certainty, Mechanism, Usage
from proxy.values.plan import Hold
from proxy.values.request import Controls
from tenants.access import org_scope
from tests.proxy.core.examples import KEY, MODEL, NOON_MS, ORG, PRICE, UPSTREAM, make_chat
from tests.world import World

ID: Final = "019caf2c-7e00-7000-8000-0000000000aa"
CORRECTION_ID: Final = "019caf2c-7e00-8000-8000-0000000000aa"
TOKENS: Final = (
    "input_tokens",
    "cache_read_input_tokens",
    "cache_write_input_tokens",
    "output_tokens",
    "reasoning_tokens",
    "audio_input_tokens",
    "audio_output_tokens",
)
COLUMNS: Final = import_module("proxy.migrations.0002_ledger").NAMES

counts = st.integers(0, 10**9)
usages = st.builds(Usage, *[counts] * len(Usage._fields))
USED: Final = Usage(input=1, cached_input=2, cache_write=4, output=8, reasoning=5, audio_input=16, audio_output=32)


def new_row() -> Row:
    return open_row(ID, NOON_MS, KEY, "chat/completions")


def attempt(number: int = 1, cost: int = 0, **fields: Any) -> Attempt:
    return Attempt(number, 200, Certainty.EXACT, fields.pop("usage", Usage()), cost, **fields)


def test_a_row_has_the_tables_columns() -> None:
    """And ``lineage``, by which counters know a key until its event is in the table: then the key's own row says. What
    refused a call is written where something did."""
    fields = {field.name for field in LedgerEntry._meta.concrete_fields}
    assert set(new_row()) == fields - {"started_at", "recorded_at", "refused_by"} | {"started_at_ms", "lineage"}


def test_a_row_has_what_the_database_reads_of_an_event() -> None:
    assert sorted(new_row()) == sorted([*COLUMNS, "lineage"])


def test_a_new_row_says_who_calls_and_nothing_else() -> None:
    row = new_row()
    assert {name: value for name, value in row.items() if value} == {
        "id": ID,
        "started_at_ms": NOON_MS,
        "org_id": KEY.org_id,
        "project_id": KEY.project_id,
        "key_id": KEY.id,
        "lineage": KEY.id,
        "kind": "call",
        "endpoint": "chat/completions",
        "cache_status": "bypass",
    }
    assert open_row(ID, 0, replace(KEY, end_user="ben"), "")["end_user"] == "ben"


def test_rows_do_not_share_what_is_filled_in_later() -> None:
    first, second = new_row(), new_row()
    for name in ("tags", "attempts", "savings", "usage"):
        assert first[name] is not second[name]


def test_what_was_asked_and_decided_is_added() -> None:
    request = make_chat(stream=True, user="ben")
    row = new_row()
    add_request(row, request)
    assert (row["request_model"], row["is_stream"]) == ("small", True)
    add_plan(row, make_plan(request, Controls(tags={"team": "search"}), KEY, ORG, NOON_MS))
    assert (row["end_user"], row["tags"], row["route_reason"]) == ("ben", {"team": "search"}, "direct")
    assert (row["upstream_id"], row["provider"], row["price_id"]) == (UPSTREAM.id, "openai_compatible", PRICE.id)


def test_a_price_without_an_id_has_none_in_the_ledger() -> None:
    nameless = replace(ORG, models={"small": replace(MODEL, prices=(replace(PRICE, id=""),))})
    row = new_row()
    add_plan(row, make_plan(make_chat(), Controls(), KEY, nameless, NOON_MS))
    assert row["price_id"] is None


def test_the_columns_of_input_and_output_hold_all_their_classes() -> None:
    columns = dict(zip(TOKENS, (1 + 2 + 4 + 16, 2, 4, 8 + 32, 5, 16, 32), strict=True))
    assert usage_columns(USED) == columns | {"usage": {}}


def test_what_has_no_column_is_inside_those_that_there_are_and_by_name() -> None:
    used = Usage(cache_write_1h=1, cached_audio_input=2, image_input=4, cached_image_input=8, image_output=16, pages=32)
    assert usage_columns(used) == {
        "input_tokens": 1 + 2 + 4 + 8,
        "cache_read_input_tokens": 2 + 8,
        "cache_write_input_tokens": 1,
        "output_tokens": 16,
        "reasoning_tokens": 0,
        "audio_input_tokens": 2,
        "audio_output_tokens": 0,
        "usage": used.to_row(),
    }


@given(usages, usages)
def test_usage_reads_back_from_a_row_and_from_a_correction(used: Usage, other: Usage) -> None:
    assert read_usage(usage_columns(used)) == used
    difference = subtract(used, other)
    assert read_usage(usage_columns(difference)) == difference


def test_a_row_of_the_release_before_has_its_classes_in_its_columns() -> None:
    row = usage_columns(USED)
    del row["usage"]
    assert read_usage(row) == USED


@given(st.lists(usages, max_size=4))
def test_usage_is_summed_class_by_class(parts: list[Usage]) -> None:
    total = add_usage(parts)
    for name in Usage._fields:
        assert getattr(total, name) == sum(getattr(part, name) for part in parts)


@given(usages)
def test_an_attempts_tokens_read_back_from_its_row(used: Usage) -> None:
    row = attempt(usage=used).to_row()
    assert Usage(**row["usage"]) == used
    columns = usage_columns(used)
    assert (row["input_tokens"], row["output_tokens"]) == (columns["input_tokens"], columns["output_tokens"])


def test_every_attempt_is_in_the_row_and_its_money_in_the_sum() -> None:
    row = new_row()
    attempts = [
        Attempt(
            1, 500, Certainty.BOUND, Usage(), 700, "upstream_error", price=PRICE, model="small", upstream_id=UPSTREAM.id
        ),
        Attempt(
            2,
            200,
            Certainty.EXACT,
            USED,
            30,
            "",
            "small-2026",
            "stop",
            savings={Mechanism.ROUTING: -5},
            model="smaller",
            upstream_id=UPSTREAM.id,
        ),
    ]
    add_attempts(row, attempts, Hold(ID, 1_000, 16, None))
    assert row["attempts"] == [
        {
            "number": 1,
            "status": 500,
            "certainty": "bound",
            "model": "small",
            "upstream_id": UPSTREAM.id,
            "price_id": PRICE.id,
            "cost": 700,
            "list_cost": 700,
            "savings": {},
            "error": "upstream_error",
            "input_tokens": 0,
            "output_tokens": 0,
            "usage": {},
        },
        {
            "number": 2,
            "status": 200,
            "certainty": "exact",
            "model": "smaller",
            "upstream_id": UPSTREAM.id,
            "price_id": None,
            "cost": 30,
            "list_cost": 25,
            "savings": {"routing": -5},
            "error": "",
            "input_tokens": 23,
            "output_tokens": 40,
            "usage": {
                "input": 1,
                "cached_input": 2,
                "cache_write": 4,
                "output": 8,
                "reasoning": 5,
                "audio_input": 16,
                "audio_output": 32,
            },
        },
    ]
    assert (row["list_cost"], row["effective_cost"], row["held"]) == (725, 730, 1_000)
    assert row["savings"] == {"routing": -5}
    assert {name: row[name] for name in (*TOKENS, "usage")} == usage_columns(USED)
    assert (row["is_overrun"], row["is_estimated"]) == (False, True)
    assert (row["response_model"], row["finish_reason"]) == ("small-2026", "stop")


@pytest.mark.parametrize(("cost", "is_overrun"), [(999, False), (1_000, False), (1_001, True)])
def test_a_call_that_cost_more_than_was_held_is_an_overrun(cost: int, is_overrun: bool) -> None:
    row = new_row()
    add_attempts(row, [attempt(cost=cost)], Hold(ID, 1_000, 16, None))
    assert row["is_overrun"] is is_overrun


@pytest.mark.parametrize(
    ("certainty", "is_estimated"),
    [
        (Certainty.EXACT, False),
        (Certainty.NOTHING, False),
        (Certainty.COUNTED, True),
        (Certainty.BOUND, True),
    ],
)
def test_what_the_upstream_did_not_say_is_estimated(certainty: Certainty, is_estimated: bool) -> None:
    row = new_row()
    add_attempts(row, [attempt()._replace(certainty=certainty), attempt(2)], Hold(ID, 0, 0, None))
    assert row["is_estimated"] is is_estimated


def test_a_hold_without_an_attempt_cost_nothing() -> None:
    row = new_row()
    add_attempts(row, [], Hold(ID, 1_000, 16, None))
    assert (row["effective_cost"], row["held"], row["attempts"], row["response_model"]) == (0, 1_000, [], "")


def test_a_dead_workers_call_is_charged_once_at_what_was_held() -> None:
    row = new_row()
    orphan = orphan_row(row, 1_000, 2)
    assert [(one["number"], one["cost"], one["certainty"]) for one in orphan["attempts"]] == [
        (1, 1_000, "bound"),
        (2, 0, "bound"),
    ]
    assert (orphan["list_cost"], orphan["effective_cost"], orphan["held"]) == (1_000, 1_000, 1_000)
    assert (orphan["is_estimated"], orphan["status"], orphan["error_code"]) == (True, 0, "worker_died")
    assert set(orphan) == set(row)
    assert row["effective_cost"] == 0


def test_a_dead_workers_call_that_was_turned_away_twice_is_charged_to_each_of_its_models() -> None:
    """The row in the hold is of when money was set aside last: it knows the first model's tries, not the second's."""
    known = {"number": 1, "model": "small", "cost": 200}
    orphan = orphan_row(new_row() | {"model": "large", "attempts": [known]}, 0, 2, 300)
    assert [(one["number"], one["model"], one["cost"]) for one in orphan["attempts"]] == [
        (1, "small", 200),
        (2, "large", 100),
    ]
    assert orphan["effective_cost"] == 300


def test_a_hold_remembers_at_which_price_its_candidate_is_billed_once_another_was_asked() -> None:
    """The discount or mark-up on a list price is a part of it."""
    plan = make_plan(make_chat(), Controls(), KEY, ORG, NOON_MS)
    paid = replace(PRICE, adjustment_id="019caf2c-7e00-7000-8000-0000000000bb")
    first = held_row(new_row(), plan.first, [])
    second = held_row(new_row(), plan.first._replace(price=paid), [attempt(cost=5)])
    assert (first["model"], first["attempts"]) == (plan.first.model.name, [])
    assert (second["price_id"], second["adjustment_id"]) == (PRICE.id, paid.adjustment_id)
    assert [one["cost"] for one in second["attempts"]] == [5]


@given(usages, usages, st.integers(0, 10**12), st.integers(0, 10**12))
def test_a_row_and_its_correction_add_up_to_the_truth(charged: Usage, true: Usage, cost: int, true_cost: int) -> None:
    row = new_row()
    add_attempts(row, [attempt(cost=cost, usage=charged)], Hold(ID, cost, 16, None))
    correction = correction_row(row, CORRECTION_ID, true, true_cost, overrun=False)
    assert add_usage([read_usage(row), read_usage(correction)]) == true
    for name in ("list_cost", "effective_cost"):
        assert row[name] + correction[name] == true_cost


def test_a_correction_points_at_its_row_and_stays_with_it() -> None:
    row = new_row() | {"end_user": "ben", "status": 200, "finish_reason": "stop", "duration_us": 5, "error_code": "x"}
    correction = correction_row(row, CORRECTION_ID, Usage(), 0, overrun=True)
    assert (correction["id"], correction["corrects"], correction["kind"]) == (CORRECTION_ID, ID, "correction")
    assert (correction["is_overrun"], correction["is_estimated"], correction["held"]) == (True, False, 0)
    same = ("started_at_ms", "org_id", "project_id", "key_id", "end_user", "tags", "endpoint", "request_model")
    assert {name: correction[name] for name in same} == {name: row[name] for name in same}
    assert set(correction) == set(row)


def test_postgresql_keeps_every_column_of_an_event(world: World) -> None:
    row = new_row() | {
        "org_id": world.acme.org_id,
        "project_id": str(world.acme.project.pk),
        "key_id": str(world.acme.key.pk),
        "end_user": "ben \u20ac",
        "tags": {"team": "search"},
        "endpoint": "embeddings",
        "request_model": "small",
        "response_model": "small-2026",
        "upstream_id": UPSTREAM.id,
        "provider": "openai",
        "is_stream": True,
        "attempts": [attempt(cost=7, usage=USED).to_row()],
        "savings": {"cache": 3},
        "price_id": PRICE.id,
        "adjustment_id": MODEL.upstream_id,
        "service_tier": "flex",
        **usage_columns(USED._replace(pages=3)),
        "list_cost": 2**60,
        "effective_cost": -7,
        "is_estimated": True,
        "is_overrun": True,
        "held": 9,
        "cache_status": "miss",
        "route_reason": "direct",
        "status": 499,
        "error_code": "x",
        "finish_reason": "stop",
        "duration_us": 1,
        "first_byte_us": 2,
        "overhead_us": 3,
    }
    correction = correction_row(row, CORRECTION_ID, Usage(), 5, overrun=False)
    events = b"[" + dump_row(row) + b"," + dump_row(correction) + b"]"
    for appended in (2, 0):
        with connection.cursor() as cursor:
            cursor.execute("SELECT costhub_append_ledger(%s)", [events.decode()])
            assert cursor.fetchone() == (appended,)
    with org_scope(world.acme.org_id):
        kept = {str(entry.id): entry for entry in LedgerEntry.objects.filter(org_id=world.acme.org_id)}
    assert set(kept) == {ID, CORRECTION_ID}
    for wanted in (row, correction):
        entry = kept[wanted["id"]]
        assert entry.started_at == from_ms(NOON_MS)
        found = {name: getattr(entry, name) for name in wanted if name not in {"started_at_ms", "lineage"}}
        found = {name: str(value) if isinstance(value, UUID) else value for name, value in found.items()}
        assert found == {name: value for name, value in orjson.loads(dump_row(wanted)).items() if name in found}


def test_a_correction_leaves_what_was_saved() -> None:
    """An attempt of an unknown end, then one on a ladder: what the rung saved is known, what the first one cost is
    not."""
    row = new_row()
    add_attempts(
        row,
        [
            Attempt(1, 500, Certainty.BOUND, Usage(), 100),
            Attempt(2, 200, Certainty.EXACT, Usage(input=3, output=4), 50, savings={Mechanism.ROUTING: 450}),
        ],
        Hold(ID, 1_000, 10, None),
    )
    assert (row["list_cost"], row["effective_cost"], row["savings"]) == (600, 150, {"routing": 450})
    correction = correction_row(row, "another", Usage(input=5, output=4), 70, overrun=False)
    assert (correction["list_cost"], correction["effective_cost"], correction["savings"]) == (-80, -80, {})
