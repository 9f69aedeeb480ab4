"""What Celery and the jobs remember in Valkey."""

from collections.abc import Iterator
from contextlib import contextmanager

from costhub.lib import keyspace
from costhub.lib.redis import client


@contextmanager
def clean_queue() -> Iterator[None]:
    """What they remember between the tests of others is not ours, nor ours theirs."""

    def clean() -> None:
        left = list(client().scan_iter(match=f"{keyspace.CELERY_PREFIX}*", count=1000))
        client().delete(keyspace.BEAT, keyspace.JOBS, keyspace.FIGURES, keyspace.ALARMS, *left)

    clean()
    yield
    clean()
