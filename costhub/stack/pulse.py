"""Signs of life of those of our processes that answer nobody: Celery's workers, and beats.

Each touches two files in its data directory: one at every turn of its loop, one as long as it has work in hand.
`python -m costhub.stack.pulse PART FOLDER` tells by their age whether the part of that folder is stuck, for a probe
that starts it again. Only where a file is too old is anybody asked, and that is the Valkey of Celery's queue: a worker
that is idle is not stuck, and nor is one that waits for a Valkey that is away. Neither Django nor PostgreSQL has a part
in it, so that a probe costs a tenth of a second.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from math import inf, isfinite
from pathlib import Path
from typing import Final, NamedTuple, cast

from costhub.lib import clock

#: the setting that names a part's files, without what they end in
PULSE: Final = "COSTHUB_PULSE"
#: the loop of a worker turns every two seconds, that of a beat more often
TURNS_SECONDS: Final = 60.0
#: longer than a usual task may take: a worker whose processes have nothing to do takes what waits at once
WORKS_SECONDS: Final = 300.0


class Ages(NamedTuple):
    """Seconds since a process showed that its loop turns, and that it works; infinite where it never did."""

    turned: float
    worked: float


class Pulse:
    """A part's two files."""

    def __init__(self, path: str | Path) -> None:
        self._turned = Path(f"{path}.turned")
        self._worked = Path(f"{path}.worked")

    def show(self, *, works: bool) -> None:
        """The loop turns, and there is work in hand or has just been. Never raises: nobody ends for want of a sign."""
        with suppress(OSError):
            self._turned.touch()
            if works:
                self._worked.touch()

    def forget(self) -> None:
        """Take away what a process of before has shown."""
        for file in (self._turned, self._worked):
            file.unlink(missing_ok=True)

    def read(self) -> Ages:
        """How old they are. A clock that was set back makes them no younger."""
        return Ages(_age_of(self._turned), _age_of(self._worked))


def find_fault(part: str, ages: Ages, broker_url: str) -> str | None:
    """What is wrong with a part whose signs are so old, as the end of a sentence; None where it lives."""
    if ages.turned <= TURNS_SECONDS and ages.worked <= WORKS_SECONDS:
        return None
    waiting = _count_waiting(part, broker_url)
    if waiting is None:
        return None
    if ages.turned > TURNS_SECONDS:
        return f"is stuck: its loop has shown nothing {_since(ages.turned)}"
    if waiting:
        return f"is stuck: it has taken no task {_since(ages.worked)}, and {waiting} wait"
    return None


def _count_waiting(part: str, broker_url: str) -> int | None:
    """How many tasks wait for a part; None where no Valkey answers."""
    # Seldom needed, and slow to load.
    from redis.exceptions import RedisError  # noqa: PLC0415

    from costhub.lib.keyspace import CELERY_PREFIX  # noqa: PLC0415
    from costhub.lib.redis import connect  # noqa: PLC0415
    from costhub.stack.services import WORKERS  # noqa: PLC0415

    queues = {worker.name: worker.queue for worker in WORKERS}
    try:
        with connect(broker_url) as broker:
            broker.ping()
            return cast("int", broker.llen(f"{CELERY_PREFIX}{queues[part]}")) if part in queues else 0
    except (RedisError, OSError):
        return None


def _since(seconds: float) -> str:
    return f"for {seconds:.0f} s" if isfinite(seconds) else "since its start"


def _age_of(file: Path) -> float:
    try:
        return abs(clock.now_ms() / 1000 - file.stat().st_mtime)
    except OSError:
        return inf


def main(arguments: Sequence[str] | None = None) -> int:
    """See above. Gives 0 where the part lives, and 1 after a sentence on stderr where it is stuck. Ends with 2 where
    nobody could tell."""
    parser = argparse.ArgumentParser(prog="costhub.stack.pulse", description="Tell whether a worker or beat is stuck.")
    parser.add_argument("part", help="worker, slow-worker, batch-worker or beat")
    parser.add_argument("folder", type=Path, help="its data directory")
    options = parser.parse_args(arguments)
    broker_url = os.environ.get("COSTHUB_BROKER_URL") or os.environ.get("REDIS_URL")
    if not broker_url:
        parser.error("set REDIS_URL, and COSTHUB_BROKER_URL where the part has one: its queue is asked what waits")
    fault = find_fault(options.part, Pulse(options.folder / options.part).read(), broker_url)
    if fault:
        print(f"{options.part} {fault}", file=sys.stderr)
    return 1 if fault else 0


if __name__ == "__main__":
    sys.exit(main())
