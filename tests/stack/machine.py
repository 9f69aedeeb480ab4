"""A machine of a drill: PostgreSQL and Valkey of its own, and the product's processes on them."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import psycopg
import redis

from costhub.stack.postgres import Postgres
from costhub.stack.valkey import Valkey
from tests.proxy.deployment import ROOT
from tests.template import copy_template

CHECKSUM: Final = """
    SELECT count(*), sum(effective_cost)::bigint, md5(string_agg(md5(l::text), '' ORDER BY started_at, id))
    FROM proxy_ledgerentry AS l"""


@dataclass(frozen=True)
class Machine:
    """PostgreSQL and Valkey in a folder, and the product's processes on them."""

    folder: Path
    postgres: Postgres
    valkey: Valkey

    @property
    def environment(self) -> dict[str, Any]:
        """What the product's processes are told."""
        return {
            "DATABASE_URL": self.postgres.url_app,
            "DATABASE_OWNER_URL": self.postgres.url_owner,
            "REDIS_URL": self.valkey.url,
            "COSTHUB_ALLOWED_NETWORKS": "127.0.0.0/8",
        }

    def run(self, *arguments: str) -> str:
        """A program of ours, to its end."""
        ran = subprocess.run(
            [sys.executable, *arguments],
            check=False,
            capture_output=True,
            text=True,
            cwd=ROOT,
            env=os.environ | self.environment,
        )
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    def do(self, verb: str, *arguments: str) -> Any:
        """One of ``drill_hands``."""
        return json.loads(self.run("-m", "tests.stack.drill_hands", verb, *arguments))

    def ledger(self) -> Any:
        """How many rows, their sum in nano-USD, and a checksum over every column of each."""
        with psycopg.connect(self.postgres.url_owner) as connection:
            return connection.execute(CHECKSUM).fetchone()

    def counters(self) -> dict[str, tuple[int, int]]:
        """Settled and held, in nano-USD, by a counter's name."""
        with redis.Redis.from_url(self.valkey.url) as valkey:
            names = list(valkey.scan_iter("*:budget:*"))
            found = {name.decode(): valkey.hmget(name, "s", "h") for name in names}
            return {name: (int(settled or 0), int(held or 0)) for name, (settled, held) in found.items()}

    def now(self) -> datetime:
        """After all that was committed, and before whatever follows."""
        with psycopg.connect(self.postgres.url_owner) as connection:
            (moment,) = connection.execute("SELECT clock_timestamp()").fetchone() or (None,)
        assert isinstance(moment, datetime)
        return moment.astimezone(UTC)


@contextmanager
def start_machine(folder: Path) -> Iterator[Machine]:
    """Servers on what the folder has, until the block ends."""
    postgres, valkey = Postgres(folder), Valkey(folder)
    try:
        postgres.start()
        valkey.start()
        postgres.wait_ready()
        valkey.wait_ready()
        yield Machine(folder, postgres, valkey)
    finally:
        valkey.stop()
        postgres.stop()


@contextmanager
def start_migrated(folder: Path) -> Iterator[Machine]:
    """The same on an empty folder, with a migrated database: a copy of the run's, where there is one."""
    is_copy = copy_template(folder)
    with start_machine(folder) as machine:
        if not is_copy:
            machine.run("manage.py", "migrate", "--database", "owner", "--verbosity", "0")
        yield machine
