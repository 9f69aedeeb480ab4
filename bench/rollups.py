"""Rollups at size: how long they take, what a second run costs, and what the overview's queries cost on top of them.

python -m bench.rollups [--rows 1000000]

Starts a PostgreSQL of its own, as `costhub up` runs it, fills a ledger with 60 days of calls, of which one organisation
made nearly all, and prints a table. The overview is what the console's first page asks for, through its own view;
times are PostgreSQL's and the driver's together, with the data in memory.
"""

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any, Final

from costhub.stack.postgres import Postgres

#: organisations and how many in a hundred of the rows are theirs
SHARES: Final = {"Big": 97, "One": 1, "Two": 1, "Three": 1}
KEYS: Final = 20
PROJECTS: Final = 5
TIME_ZONE: Final = "Europe/Berlin"
ROUNDS: Final = 5
EVENTS: Final = 2_000


def main(arguments: Sequence[str]) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.rollups")
    parser.add_argument("--rows", type=int, default=1_000_000)
    rows = parser.parse_args(arguments).rows
    with _database():
        import django  # noqa: PLC0415 - the settings read where the database is

        os.environ["DJANGO_SETTINGS_MODULE"] = "costhub.settings"
        django.setup()
        from bench.rollup_figures import measure  # noqa: PLC0415

        for line in measure(rows):
            print(line, flush=True)
    return 0


@contextmanager
def _database() -> Iterator[None]:
    folder = Path(tempfile.mkdtemp(prefix="costhub-bench-"))
    folder.chmod(0o711)  # PostgreSQL drops root's rights and must still pass through
    postgres = Postgres(folder)
    try:
        postgres.start()
        postgres.wait_ready()
        os.environ |= {"DATABASE_URL": postgres.url_app, "DATABASE_OWNER_URL": postgres.url_owner}
        yield
    finally:
        postgres.stop()
        shutil.rmtree(postgres.home, ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
