"""The jobs that watch over the installation itself. The schedule is one table, ``costhub.schedule``."""

from celery import shared_task

from costhub.watch import find_troubles, tell_troubles


@shared_task
def watch_jobs() -> int:
    """Tell operators of jobs that are late, of a ledger that lags and of a queue that grows."""
    return tell_troubles(find_troubles())
