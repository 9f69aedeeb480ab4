"""PostgreSQL is lost in the middle of the load, and its standby takes over: no call notices, and the ledger is the
bank's bill.

Each commit waits for the standby (``synchronous_standby_names``). Without that a commit that the drain was told of may
be lost with the primary, and its events are off the stream by then.
"""

import asyncio
import shutil
import threading
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.bank import Bank
from tests.proxy.deployment import deploy
from tests.proxy.load import call_all, make_bodies
from tests.stack.drains import draining
from tests.stack.machine import Machine, start_migrated
from tests.stack.standby import Address, Standby, wait_for_every_commit
from tests.stack_fixtures import make_data_dir

CALLS, CLIENTS = 300, 16
#: this test kills after so many calls
LOST_AT = 100


@dataclass(frozen=True)
class Moved(Machine):
    """A machine whose PostgreSQL is reached at an address of its own."""

    address: Address

    @property
    def environment(self) -> dict[str, Any]:
        """The same, by way of the address."""
        old, new = f":{self.postgres.port}/", f":{self.address.port}/"
        return {name: value.replace(old, new) for name, value in super().environment.items()}


@pytest.fixture
def folders() -> Iterator[list[Path]]:
    made = [make_data_dir(), make_data_dir()]
    yield made
    for folder in made:
        shutil.rmtree(folder)


def count_rows(standby: Standby) -> int:
    """Calls in the ledger, as the standby has them."""
    with psycopg.connect(standby.url_owner) as connection:
        (rows,) = connection.execute("SELECT count(*) FROM proxy_ledgerentry").fetchone() or (0,)
    return int(rows)


def test_the_primary_is_lost_in_mid_load(folders: list[Path], tmp_path: Path) -> None:
    bank = Bank.start(tmp_path)
    with start_migrated(folders[0]) as before:
        standby = Standby(folders[1], before.postgres)
        address = Address(before.postgres.port)
        machine = Moved(before.folder, before.postgres, before.valkey, address)
        try:
            acme: Any = machine.do("furnish", bank.base_url)
            standby.follow()
            standby.start()
            standby.wait_ready()
            wait_for_every_commit(before.postgres)
            told = threading.Event()

            def lose() -> None:
                # Something of what was called has been brought into the ledger by then.
                while not count_rows(standby):
                    told.wait(0.05)
                before.postgres.kill()
                standby.promote()
                address.move(standby.port)

            def on_end(ended: int) -> None:
                if ended == LOST_AT:
                    losing.start()

            losing = threading.Thread(target=lose)
            with deploy(tmp_path, workers=2, **machine.environment) as proxy, draining(machine):
                outcomes = asyncio.run(
                    call_all(
                        proxy.base_url, acme["api_key"], make_bodies(CALLS, "small"), clients=CLIENTS, on_end=on_end
                    )
                )
                losing.join()
                bank.wait_quiet()
            machine.do("settle")
            assert {outcome.status for outcome in outcomes} == {200}, "calls go on without PostgreSQL"
            with psycopg.connect(standby.url_owner) as connection:
                rows = connection.execute("SELECT id::text, effective_cost FROM proxy_ledgerentry").fetchall()
            assert len(rows) == CALLS
            billed: dict[str, int] = defaultdict(int)
            for call in bank.bill():
                billed[call.request_id.partition(":")[0]] += call.cost_nanos(Decimal("0.15"), Decimal("0.60"))
            assert dict(rows) == billed
            assert machine.do("rebuild")["drift"] == []
        finally:
            address.close()
            standby.stop()
            bank.stop()
