"""A new version goes out under load: no call fails, and every one is in the ledger.

Expand: columns come and one gets another type, while the old version runs. Then new proxies take the new connections,
old ones end what they have and stop, and a drain of the old version is followed by one of the new.
"""

import asyncio
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import httpx2
import psycopg
import pytest

from tests.bank import Bank
from tests.patience import PATIENCE_SECONDS
from tests.proxy.deployment import NO_TLS, deploy
from tests.proxy.load import call_once, make_bodies
from tests.stack.drains import draining
from tests.stack.machine import Machine, start_migrated
from tests.stack.standby import Address
from tests.stack_fixtures import make_data_dir

CALLS, CLIENTS = 300, 16
MIGRATED_AT, MOVED_AT = 60, 140
EXPAND: Final = (
    "ALTER TABLE proxy_ledgerentry ADD COLUMN of_the_next_release text",
    "ALTER TABLE tenants_project ALTER COLUMN name TYPE text",
    "ALTER TABLE tenants_languagemodel ALTER COLUMN name TYPE text",
)


@pytest.fixture
def folder() -> Iterator[Path]:
    folder = make_data_dir()
    yield folder
    shutil.rmtree(folder)


def expand(machine: Machine) -> None:
    """What the next release's migration does, each step by itself, waiting for locks no longer than a moment."""
    with psycopg.connect(machine.postgres.url_owner, autocommit=True) as owner:
        owner.execute("SET lock_timeout = '5s'")
        for statement in EXPAND:
            owner.execute(statement)


def test_no_call_notices(folder: Path, tmp_path: Path) -> None:
    bank = Bank.start(tmp_path)
    with start_migrated(folder) as machine:
        try:
            acme: Any = machine.do("furnish", bank.base_url)
            with (
                deploy(tmp_path, workers=2, **machine.environment) as old,
                deploy(tmp_path, workers=2, **machine.environment) as new,
                draining(machine),
            ):
                address = Address(old.port)
                ended: list[int] = []

                def stop_old() -> None:
                    ended.append(old.terminate())

                stopping = threading.Thread(target=stop_old)

                async def call_all() -> list[int]:
                    bodies, statuses = make_bodies(CALLS, "small"), []
                    headers = {"authorization": f"Bearer {acme['api_key']}", "connection": "close"}

                    async def work(http: httpx2.AsyncClient) -> None:
                        for body in bodies:
                            statuses.append((await call_once(http, body)).status)
                            if len(statuses) == MIGRATED_AT:
                                await asyncio.to_thread(expand, machine)
                            if len(statuses) == MOVED_AT:
                                address.move(new.port, breaks=False)
                                stopping.start()

                    async with httpx2.AsyncClient(
                        base_url=f"http://127.0.0.1:{address.port}/v1",
                        headers=headers,
                        trust_env=False,
                        verify=NO_TLS,
                        timeout=PATIENCE_SECONDS,
                    ) as http:
                        await asyncio.gather(*(work(http) for _ in range(CLIENTS)))
                    return statuses

                statuses = asyncio.run(call_all())
                stopping.join()
                address.close()
                bank.wait_quiet()
            machine.do("settle")
            assert (statuses, ended) == ([200] * CALLS, [0])
            with psycopg.connect(machine.postgres.url_owner) as owner:
                rows = owner.execute("SELECT status, error_code, count(*) FROM proxy_ledgerentry GROUP BY 1, 2")
                assert rows.fetchall() == [(200, "", CALLS)]
            assert machine.do("rebuild")["drift"] == []
        finally:
            bank.stop()
