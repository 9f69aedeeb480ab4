"""What was promised by a deadline comes first, and no upstream waits for another."""

from datetime import timedelta
from uuid import UUID, uuid4

from costhub.lib import clock
from proxy.batches.model import Batch
from proxy.batches.queues import make_queues

FAST, SLOW = uuid4(), uuid4()


def batch(upstream_id: UUID, age: int, minutes: int | None = None) -> Batch:
    """One of so many hours ago; a pool where there is a deadline in so many minutes."""
    now = clock.now()
    return Batch(
        id=UUID(clock.new_id_of(clock.now_ms() - age * 3_600_000)),
        upstream_id=upstream_id,
        is_pool=minutes is not None,
        first_deadline=None if minutes is None else now + timedelta(minutes=minutes),
        expires_at=now + timedelta(hours=24 - age),
    )


def test_promises_come_before_batches_and_upstreams_do_not_wait_for_one_another() -> None:
    old, young, elsewhere = batch(SLOW, 9), batch(SLOW, 1), batch(FAST, 5)
    soon, later = batch(SLOW, 0, 10), batch(SLOW, 3, 40)
    queues = make_queues([old, elsewhere, later, young, soon])
    assert sorted(queues, key=len) == [[elsewhere], [soon, later, old, young]]
