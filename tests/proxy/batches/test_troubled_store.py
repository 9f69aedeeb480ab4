"""The folder or bucket of files is in trouble: nothing that was asked is lost, and nobody is told of our insides."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import unquote, urlsplit
from uuid import UUID

from django.conf import settings
from django.db import connections

from costhub.lib import clock
from proxy.batches.ids import FILE, find_id, object_path
from proxy.batches.sealed_files import sealed_path
from tests.bank import Bank
from tests.proxy.batches.desk import Json, line, open_desk, read, run_worker
from tests.proxy.books import assert_balanced
from tests.world import Tenant

LINES = 40


def hand_in(acme: Tenant) -> Json:
    async def send() -> Json:
        async with open_desk(acme) as desk:
            return read(await desk.hand_in([line(number) for number in range(LINES)]))

    return asyncio.run(send())


def break_file(acme: Tenant, file_id: str) -> Callable[[], None]:
    """Put a link to itself in the place of a file's bytes; gives what puts them back."""
    found = find_id(FILE, file_id)
    assert isinstance(found, UUID)
    path = Path(unquote(urlsplit(settings.FILES_URL).path)) / sealed_path(object_path(acme.org_id, found))
    kept = path.with_suffix(".kept")
    path.rename(kept)
    path.symlink_to(path)

    def mend() -> None:
        path.unlink()
        kept.rename(path)

    return mend


def test_lines_that_are_under_way_come_to_their_end(acme: Tenant, bank: Bank) -> None:
    batch = hand_in(acme)
    bank.set_default(first_ms=300)

    def work() -> None:
        run_worker(acme, 3)
        connections.close_all()

    with ThreadPoolExecutor(1) as thread:
        working = thread.submit(work)
        ends = clock.ends_in(20)
        while not bank.calls_received() and clock.monotonic_ns() < ends:
            pass
        mend = break_file(acme, batch["input_file_id"])
        working.result()
    mend()
    before = len(bank.calls_received())
    assert 0 < before < LINES
    bank.clear()
    run_worker(acme)
    assert before + len(bank.calls_received()) == LINES, "nothing is asked twice"
    books = assert_balanced(acme, bank)
    assert sum(row.status == 200 for row in books.rows) == LINES + 1


def test_callers_are_told_to_try_again(acme: Tenant) -> None:
    batch = hand_in(acme)
    mend = break_file(acme, batch["input_file_id"])

    async def ask() -> list[tuple[int, str]]:
        async with open_desk(acme) as desk:
            content = await desk.ask("GET", f"/v1/files/{batch['input_file_id']}/content")
            body = b'{"input_file_id":"%b","endpoint":"/v1/chat/completions","completion_window":"24h"}'
            again = await desk.ask("POST", "/v1/batches", body % batch["input_file_id"].encode())
            return [(one.status, read(one)["error"]["code"]) for one in (content, again)]

    try:
        assert asyncio.run(ask()) == [(503, "governance_unavailable")] * 2
    finally:
        mend()
    run_worker(acme)
