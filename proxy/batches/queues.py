"""In which order batches are worked on."""

from collections import defaultdict
from collections.abc import Iterable
from uuid import UUID

from proxy.batches.model import Batch


def make_queues(batches: Iterable[Batch]) -> list[list[Batch]]:
    """One queue for each upstream: first the pools of calls whose answers were promised by a deadline, the earliest of
    those first, then batches, the oldest first. A batch of days must not make a promise of minutes late."""
    queues: dict[UUID | None, list[Batch]] = defaultdict(list)
    for batch in sorted(batches, key=lambda one: (not one.is_pool, one.first_deadline or one.expires_at, one.pk)):
        queues[batch.upstream_id].append(batch)
    return list(queues.values())
