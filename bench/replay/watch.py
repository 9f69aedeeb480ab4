"""Looks into Valkey while the replay goes on: what is spent and held in the hard budgets, again and again."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, cast

import redis

from bench.replay.world import Cap
from costhub.lib.keyspace import read_counter

PAUSE_SECONDS: Final = 0.1


@dataclass(slots=True)
class Fullest:
    """The most that was seen settled and held, by (budget's id, start of the period, subject), and how often one
    looked."""

    nanos: dict[tuple[str, int, str], int] = field(default_factory=dict)
    looks: int = 0


@contextmanager
def watch_hard_budgets(redis_url: str, caps: Sequence[Cap]) -> Iterator[Fullest]:
    """Look until the block ends."""
    hard = {cap.id for cap in caps if cap.is_hard}
    found, is_over = Fullest(), threading.Event()
    store = redis.Redis.from_url(redis_url)

    def look() -> None:
        counters = [
            (name, counter)
            for name in store.scan_iter(match="*:budget:*", count=5_000)
            if (counter := read_counter(name.decode())) and counter[0] in hard
        ]
        pipe = store.pipeline(transaction=False)
        for name, _ in counters:
            pipe.hmget(name, "s", "h")
        for (_, counter), amounts in zip(counters, pipe.execute(), strict=True):
            nanos = sum(int(cast("bytes", each) or 0) for each in amounts)
            found.nanos[counter] = max(nanos, found.nanos.get(counter, 0))
        found.looks += 1

    def go_on() -> None:
        while not is_over.wait(PAUSE_SECONDS):
            look()

    thread = threading.Thread(target=go_on, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        is_over.set()
        thread.join()
        look()
        store.close()
