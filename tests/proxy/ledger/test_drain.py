"""The drain: every event lands once, wherever it dies and however many drain at once."""

import os
from typing import Any, cast

import orjson
import psycopg
import pytest
from django.conf import settings
from django.db import OperationalError, connection

from costhub.lib import clock, keyspace
from costhub.lib.moments import from_ms
from costhub.lib.redis import client
from proxy.ledger import drain
from tests.patience import PATIENCE_SECONDS
from tests.proxy.edges import job
from tests.proxy.edges.entries import find_partition, make_event, make_row, read_dead_letters, read_ledger, sum_ledger
from tests.proxy.edges.till import Till
from tests.world import Tenant, World


def add(till: Till, tenant: Tenant, count: int) -> list[str]:
    """So many calls of 1, 2, 3 ... nanos on the stream. Gives their ids."""
    rows = [make_row(tenant, cost) for cost in range(1, count + 1)]
    for row in rows:
        till.add_event(orjson.dumps(row))
    return [row["id"] for row in rows]


class TestOnce:
    def test_an_empty_stream_is_nothing(self, acme: Tenant, till: Till) -> None:
        assert drain.drain(till.shard) == 0

    def test_a_row_is_the_event(self, acme: Tenant, till: Till) -> None:
        row = make_row(
            acme,
            420,
            end_user="Zoë 🙂",
            tags={"team": "a=b", "": "é"},
            request_model="small",
            attempts=[{"number": 1, "cost": 420}],
            input_tokens=7,
            savings={"cache": -3},
            first_byte_us=5,
            is_stream=True,
        )
        till.add_event(orjson.dumps(row))
        assert drain.drain(till.shard) == 1
        (found,) = read_ledger(acme)
        assert {name: getattr(found, name) for name in row if name not in {"started_at_ms", "lineage"}} == {
            **{name: value for name, value in row.items() if name not in {"started_at_ms", "lineage"}},
            **{name: getattr(found, name) for name in ("id", "org_id", "project_id", "key_id")},
        }
        assert (str(found.id), str(found.org_id), found.started_at) == (
            row["id"],
            acme.org_id,
            from_ms(row["started_at_ms"]),
        )
        assert till.events() == []

    def test_ten_thousand_go_in_batches(self, acme: Tenant, till: Till) -> None:
        row = make_row(acme)
        pipe = client().pipeline(transaction=False)
        for cost in range(10_000):
            request_id, _ = clock.new_request_id()
            pipe.xadd(
                keyspace.ledger_key(till.shard), {"e": orjson.dumps(row | {"id": request_id, "effective_cost": cost})}
            )
        pipe.execute()
        moved = []
        while taken := drain.drain(till.shard):
            moved.append(taken)
        assert moved == [drain.BATCH_EVENTS] * 5
        left = cast("int", client().memory_usage(keyspace.ledger_key(till.shard), samples=0))
        assert left < 1_000, "what they took is given back"
        assert (len(read_ledger(acme)), sum_ledger(acme)) == (10_000, sum(range(10_000)))

    def test_the_same_event_again_changes_nothing(self, acme: Tenant, till: Till) -> None:
        event = make_event(acme, 420)
        for _ in range(3):
            till.add_event(event)
        assert drain.drain(till.shard) == 3
        till.add_event(event)
        assert drain.drain(till.shard) == 1
        assert [row.effective_cost for row in read_ledger(acme)] == [420]

    def test_the_first_word_about_a_call_stands(self, acme: Tenant, till: Till) -> None:
        row = make_row(acme, 420)
        for cost in (420, 1):
            till.add_event(orjson.dumps(row | {"effective_cost": cost}))
            drain.drain(till.shard)
        assert sum_ledger(acme) == 420

    def test_calls_of_several_organisations_lie_on_one_stream(
        self, acme: Tenant, committed_world: World, till: Till
    ) -> None:
        mallcorp = committed_world.mallcorp
        for tenant, cost in ((acme, 1), (mallcorp, 20), (acme, 300)):
            till.add_event(make_event(tenant, cost))
        drain.drain(till.shard)
        assert (sum_ledger(acme), sum_ledger(mallcorp)) == (301, 20)

    @pytest.mark.parametrize(
        ("year", "partition"), [(1999, "proxy_ledgerentry_default"), (2099, "proxy_ledgerentry_default")]
    )
    def test_a_wrong_clock_loses_no_row(self, acme: Tenant, till: Till, year: int, partition: str) -> None:
        at_ms = (year - 1970) * 31_557_600_000
        till.add_event(make_event(acme, 420, at_ms=at_ms))
        drain.drain(till.shard)
        assert find_partition(acme, at_ms) == [partition]
        assert sum_ledger(acme) == 420

    def test_a_row_of_today_lies_in_its_month(self, acme: Tenant, till: Till) -> None:
        row = make_row(acme, 420)
        till.add_event(orjson.dumps(row))
        drain.drain(till.shard)
        assert find_partition(acme, row["started_at_ms"]) == [f"proxy_ledgerentry_{clock.now():%Y_%m}"]


class TestKilled:
    @pytest.mark.parametrize(
        ("failpoint", "landed", "left"),
        [("drain_inserted", 0, 5), ("drain_committed", 5, 5), ("drain_acknowledged", 5, 0)],
    )
    def test_it_goes_on_where_it_died(self, acme: Tenant, till: Till, failpoint: str, landed: int, left: int) -> None:
        ids = add(till, acme, 5)
        assert job.run("drain", till.shard, failpoint=failpoint) == -9
        assert (len(read_ledger(acme)), len(till.events())) == (landed, left)
        ids += add(till, acme, 2)
        while drain.drain(till.shard):
            pass
        assert sorted(str(row.id) for row in read_ledger(acme)) == sorted(ids)
        assert sum_ledger(acme) == 15 + 3
        assert till.events() == []

    def test_what_comes_between_commit_and_cut_stays(self, acme: Tenant, till: Till) -> None:
        add(till, acme, 3)
        events = drain.read_events(till.shard)
        late = make_event(acme, 9)
        till.add_event(late)
        drain.cut_off(till.shard, events)
        assert till.events() == [late]

    def test_a_slow_cut_does_not_touch_what_came_later(self, acme: Tenant, till: Till) -> None:
        add(till, acme, 3)
        seen_by_a_slow_drain = drain.read_events(till.shard)
        assert drain.drain(till.shard) == 3
        add(till, acme, 2)
        drain.cut_off(till.shard, seen_by_a_slow_drain)
        assert len(till.events()) == 2

    def test_what_came_later_with_a_lower_id_stays(self, acme: Tenant, till: Till) -> None:
        """The server that took over lacked what the drain had read, and its clock is behind."""
        add(till, acme, 3)
        events = drain.read_events(till.shard)
        client().delete(keyspace.ledger_key(till.shard))
        late = make_event(acme, 9)
        client().xadd(
            keyspace.ledger_key(till.shard), {"e": late}, id=f"{int(events[0][0].partition(b'-')[0]) - 1_000}-0"
        )
        drain.cut_off(till.shard, events)
        assert till.events() == [late]


class TestTogether:
    def test_two_drains_land_every_event_once(self, acme: Tenant, till: Till) -> None:
        ids = add(till, acme, 500)
        workers = [job.start("drain_all", till.shard) for _ in range(2)]
        ids += add(till, acme, 500)
        assert [worker.wait(timeout=PATIENCE_SECONDS) for worker in workers] == [0, 0]
        while drain.drain(till.shard):
            pass
        assert sorted(str(row.id) for row in read_ledger(acme)) == sorted(ids)
        assert sum_ledger(acme) == 2 * sum(range(501))

    def test_who_comes_second_does_not_wait(self, acme: Tenant, till: Till) -> None:
        add(till, acme, 3)
        with psycopg.connect(os.environ["DATABASE_URL"]) as other:
            other.execute("SELECT pg_advisory_xact_lock(%s, %s)", [drain._LOCK_CLASS, till.shard])
            assert drain.drain(till.shard) == 0
            assert len(till.events()) == 3
        assert drain.drain(till.shard) == 3


def without(row: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key != name}


class TestPoison:
    """An event that PostgreSQL will not take is put aside, whole, and holds nothing up."""

    @pytest.mark.parametrize(
        "damage",
        [
            lambda row: orjson.dumps(row | {"effective_cost": "twelve"}),
            lambda row: orjson.dumps(row | {"effective_cost": 10**18}).replace(
                b"1000000000000000000", b"1" + b"0" * 30
            ),
            lambda row: orjson.dumps(row | {"id": "no-uuid"}),
            lambda row: orjson.dumps(row | {"kind": "gift"}),
            lambda row: orjson.dumps(row | {"started_at_ms": 10**18}),
            lambda row: orjson.dumps(row | {"end_user": "a\0b"}),
            lambda row: orjson.dumps(row | {"tags": {"a": "\0"}}),
            lambda row: orjson.dumps(row | {"end_user": None}),
            lambda row: orjson.dumps(without(row, "started_at_ms")),
            lambda row: orjson.dumps(without(row, "effective_cost")),
            lambda row: orjson.dumps(row)[:-1],
            lambda row: orjson.dumps([row]),
            lambda row: orjson.dumps("row"),
            lambda row: orjson.dumps(row).replace(b'"chat/completions"', b'"\\ud800"'),
            lambda row: orjson.dumps(row | {"end_user": "*"}).replace(b"*", b"\xff"),
            lambda row: orjson.dumps(row | {"end_user": "*"}).replace(b"*", b"\0"),
        ],
        ids=[
            *("text_for_money", "beyond_64_bits", "no_uuid", "unknown_kind", "no_moment", "escaped_nul"),
            *("nul_in_json", "null", "without_moment", "without_cost", "cut_short", "array", "string", "surrogate"),
            *("no_utf8", "raw_nul"),
        ],
    )
    def test_the_others_land(self, acme: Tenant, till: Till, damage: Any) -> None:
        poison = damage(make_row(acme, 5))
        till.add_event(make_event(acme, 1))
        entry_id = till.add_event(poison)
        till.add_event(make_event(acme, 300))
        assert drain.drain(till.shard) == 3
        assert sorted(row.effective_cost for row in read_ledger(acme)) == [1, 300]
        ((buried_id, text, reason),) = read_dead_letters(keyspace.ledger_key(till.shard))
        assert buried_id == entry_id
        assert text == poison.decode("utf-8", "backslashreplace").replace("\0", "\\0")
        assert reason.split(":")[0] in {"DataError", "IntegrityError", "UnicodeDecodeError"}
        assert till.events() == []

    def test_an_entry_that_is_no_event_is_put_aside(self, acme: Tenant, till: Till) -> None:
        client().xadd(keyspace.ledger_key(till.shard), {"other": "thing"})
        till.add_event(make_event(acme, 1))
        assert drain.drain(till.shard) == 2
        assert sum_ledger(acme) == 1
        ((_, text, reason),) = read_dead_letters(keyspace.ledger_key(till.shard))
        assert (text, reason) == ("", "KeyError: b'e'")

    def test_it_is_put_aside_once_however_often_the_drain_dies(self, acme: Tenant, till: Till) -> None:
        till.add_event(b"poison")
        assert job.run("drain", till.shard, failpoint="drain_committed") == -9
        assert drain.drain(till.shard) == 1
        assert [text for _, text, _ in read_dead_letters(keyspace.ledger_key(till.shard))] == ["poison"]


class TestRefused:
    def test_what_postgresql_cannot_take_now_waits(self, acme: Tenant, till: Till) -> None:
        add(till, acme, 3)
        owner = settings.DATABASES["owner"]
        with psycopg.connect(
            host=owner["HOST"], port=owner["PORT"], user=owner["USER"], password=owner["PASSWORD"], dbname=owner["NAME"]
        ) as other:
            other.execute("LOCK TABLE proxy_ledgerentry IN ACCESS EXCLUSIVE MODE")
            with connection.cursor() as cursor:
                cursor.execute("SET lock_timeout = '50ms'")
            with pytest.raises(OperationalError, match="lock timeout"):
                drain.drain(till.shard)
            assert len(till.events()) == 3
        with connection.cursor() as cursor:
            cursor.execute("RESET lock_timeout")
        assert drain.drain(till.shard) == 3
        assert sum_ledger(acme) == 6
        assert read_dead_letters(keyspace.ledger_key(till.shard)) == []
