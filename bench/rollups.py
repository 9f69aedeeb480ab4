"""Rollups at size: how long they take, what a second run costs, and what the overview's queries cost on top of them.

python -m bench.rollups [--rows 1000000] [--keys 20] [--end-users 5000]

Starts PostgreSQL and Valkey, as `costhub up` runs them, fills a ledger with 60 days of calls, of which one organisation
made nearly all, and prints a table. The overview is what the console's first page asks for, through its own view;
times are PostgreSQL's and the driver's together, with the data in memory.
"""

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from costhub.stack.postgres import Postgres
from costhub.stack.valkey import Valkey


def main(arguments: Sequence[str]) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.rollups")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--keys", type=int, default=20, help="of the organisation that is looked at")
    parser.add_argument("--end-users", type=int, default=5_000)
    options = parser.parse_args(arguments)
    with servers():
        import django  # noqa: PLC0415 - the settings read where the database is

        os.environ["DJANGO_SETTINGS_MODULE"] = "costhub.settings"
        django.setup()
        from bench.rollup_figures import measure  # noqa: PLC0415

        for line in measure(options.rows, options.keys, options.end_users):
            print(line, flush=True)
    return 0


@contextmanager
def servers() -> Iterator[None]:
    """PostgreSQL and Valkey, and the environment that names them, until the block ends."""
    folder = Path(tempfile.mkdtemp(prefix="costhub-bench-"))
    folder.chmod(0o711)  # PostgreSQL drops root's rights and must still pass through
    postgres, valkey = Postgres(folder), Valkey(folder)
    try:
        postgres.start()
        valkey.start()
        postgres.wait_ready()
        valkey.wait_ready()
        os.environ |= {"DATABASE_URL": postgres.url_app, "DATABASE_OWNER_URL": postgres.url_owner}
        os.environ["REDIS_URL"] = valkey.url
        yield
    finally:
        valkey.stop()
        postgres.stop()
        shutil.rmtree(postgres.home, ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
