"""Where keys live on a cluster: all that is an organisation's money in the slot of its shard."""

import inspect
from typing import Any

from costhub.lib import keyspace
from costhub.lib.valkey_slots import slot_of

#: what a name is made of; hostile where it is a person's to choose
PARTS: dict[str, Any] = {
    "org_id": "0194f7a2-0000-7000-8000-000000000001",
    "budget_id": "0194f7a2-0000-7000-8000-000000000002.17",
    "hold_id": "0194f7a2-0000-7000-8000-000000000003",
    "request_id": "0194f7a2-0000-7000-8000-000000000003",
    "call_id": "0194f7a2-0000-7000-8000-000000000003",
    "key_id": "0194f7a2-0000-7000-8000-000000000004",
    "digest": "}{s09}",
    "subject": "}{s09}:budget:\n{",
    "scope": "end_user",
    "window_ms": 60_000,
    "period_start_ms": -1,
    "is_shadow": False,
}


def test_every_key_of_a_shard_is_in_its_slot() -> None:
    makers = {
        name: make
        for name, make in vars(keyspace).items()
        if callable(make) and "shard" in inspect.signature(make).parameters and name != "tag"
    }
    assert len(makers) >= 12
    for shard in range(keyspace.SHARDS):
        for name, make in makers.items():
            wanted = [part for part in inspect.signature(make).parameters if part not in {"shard", "within"}]
            made = make(shard=shard, **{part: PARTS[part] for part in wanted})
            assert slot_of(made) == slot_of(keyspace.tag(shard)), name


def test_what_scripts_make_of_a_name_is_in_its_slot() -> None:
    counter = keyspace.counter_key(5, PARTS["budget_id"], PARTS["subject"], PARTS["period_start_ms"])
    made = [
        keyspace.mark_key(counter),
        keyspace.closed_key(5, PARTS["hold_id"]) + ":joined",
        keyspace.rate_key(5, PARTS["org_id"], "key", 60_000, PARTS["subject"], is_shadow=True) + ":calls",
        keyspace.ledger_key(5).split(":")[0] + ":moved",
    ]
    assert {slot_of(name) for name in made} == {slot_of(keyspace.tag(5))}
    assert made[-1] == keyspace.moved_key(5)


def test_an_answer_and_its_flight_are_in_one_slot() -> None:
    digest = bytes(range(20))
    assert slot_of(keyspace.cached_key(digest)) == slot_of(keyspace.flight_key(digest))
