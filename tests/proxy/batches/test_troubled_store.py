"""The folder or bucket of files is in trouble: nothing that was asked is lost, and nobody is told of our insides."""

import asyncio
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit
from uuid import UUID

import pytest
import time_machine
from django.conf import settings
from django.db import OperationalError, connections
from pytest_django.fixtures import Settings

from costhub.lib import clock, keyspace
from costhub.lib.objects import Objects
from costhub.lib.redis import client
from proxy.batches import stored_files
from proxy.batches.ids import FILE, find_id, object_path, upstream_path
from proxy.batches.sealed_files import sealed_path
from proxy.batches.upkeep import OWNER_MARK, AnothersFiles, forget_expired
from proxy.tasks import forget_old_files
from tenants.access import org_scope
from tenants.actions.pricing import create_price
from tenants.choices import UpstreamKind
from tests.bank import Bank
from tests.patience import PATIENCE_SECONDS
from tests.proxy.batches.desk import Json, held_of, line, open_desk, read, run_worker
from tests.proxy.batches.rows import fill_batches
from tests.proxy.books import assert_balanced
from tests.world import Tenant, World, make_budget, make_catalog

LINES = 40


def hand_in(acme: Tenant) -> Json:
    async def send() -> Json:
        async with open_desk(acme) as desk:
            return read(await desk.hand_in([line(number) for number in range(LINES)]))

    return asyncio.run(send())


def place_of(tenant: Tenant, file_id: str) -> Path:
    """Where a file's bytes lie."""
    found = find_id(FILE, file_id)
    assert isinstance(found, UUID)
    return Path(unquote(urlsplit(settings.FILES_URL).path)) / sealed_path(object_path(tenant.org_id, found))


def break_file(acme: Tenant, file_id: str) -> Callable[[], None]:
    """Put a link to itself in the place of a file's bytes; gives what puts them back."""
    path = place_of(acme, file_id)
    kept = path.with_suffix(".kept")
    path.rename(kept)
    path.symlink_to(path)

    def mend() -> None:
        path.unlink()
        kept.rename(path)

    return mend


@pytest.mark.parametrize("kind", [UpstreamKind.OPENAI_COMPATIBLE, UpstreamKind.OPENAI])
def test_a_file_whose_bytes_are_gone_ends_its_batch_at_once(
    committed_world: World, bank: Bank, kind: UpstreamKind
) -> None:
    """Whoever runs the lines: nobody waits a day for what will not come back, and nothing is charged."""
    acme = committed_world.acme
    catalog = make_catalog(acme, base_url=bank.base_url, kind=kind, max_output_tokens=100, input_per_million=None)
    prices: dict[str, Any] = {"input_per_million": Decimal("0.15"), "output_per_million": Decimal("0.60")}
    with org_scope(acme.org_id):
        create_price(actor=acme.owner, model=catalog.model, service_tiers={"batch": prices}, **prices)
    make_budget(acme, "100.00")
    batch = hand_in(acme)
    place_of(acme, batch["input_file_id"]).unlink()
    run_worker(acme, looks=2)

    async def collect() -> tuple[Json, list[Json]]:
        async with open_desk(acme) as desk:
            over = await desk.look(batch)
            return over, await desk.read_lines(over["error_file_id"])

    over, errors = asyncio.run(collect())
    assert over["status"] == "completed"
    assert over["request_counts"] == {"total": LINES, "completed": 0, "failed": LINES}
    assert [error["error"] for error in errors] == [
        {"code": "file_gone", "message": "The bytes of the input file are gone."}
    ] * LINES
    assert held_of(acme, batch) is None
    assert bank.calls_received() == []


def test_lines_that_are_under_way_come_to_their_end(acme: Tenant, bank: Bank) -> None:
    batch = hand_in(acme)
    bank.set_default(first_ms=250_000)

    def work() -> None:
        run_worker(acme, looks=2)
        connections.close_all()

    with ThreadPoolExecutor(1) as thread:
        working = thread.submit(work)
        ends = clock.ends_in(PATIENCE_SECONDS)
        while not bank.calls_received() and clock.monotonic_ns() < ends:
            pass
        mend = break_file(acme, batch["input_file_id"])
        bank.let_go()
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


def block(path: Path) -> Callable[[], None]:
    """Put a folder in the place of a file's bytes, which no store deletes as one; gives what puts them back."""
    kept = path.with_suffix(".kept")
    path.rename(kept)
    (path / "in the way").mkdir(parents=True)

    def mend() -> None:
        shutil.rmtree(path)
        kept.rename(path)

    return mend


def upload(tenant: Tenant, **fields: str) -> str:
    async def send() -> str:
        async with open_desk(tenant) as desk:
            return str(read(await desk.upload(b"{}", **fields))["id"])

    return asyncio.run(send())


def test_a_file_that_cannot_be_deleted_now_is_deleted_the_next_time(acme: Tenant) -> None:
    file_id = upload(acme)

    async def ask(method: str) -> int:
        async with open_desk(acme) as desk:
            return (await desk.ask(method, f"/v1/files/{file_id}")).status

    mend = block(place_of(acme, file_id))
    assert [asyncio.run(ask(method)) for method in ("DELETE", "GET")] == [503, 200]
    mend()
    assert [asyncio.run(ask(method)) for method in ("DELETE", "GET")] == [200, 404]
    assert not place_of(acme, file_id).exists()


def test_one_file_that_cannot_be_deleted_keeps_no_other(acme: Tenant, committed_world: World) -> None:
    mallory = committed_world.mallcorp
    lasting = {"expires_after[anchor]": "created_at", "expires_after[seconds]": "3600"}
    stuck, other, theirs = upload(acme, **lasting), upload(acme, **lasting), upload(mallory, **lasting)
    places = [place_of(acme, stuck), place_of(acme, other), place_of(mallory, theirs)]
    orgs, objects = [acme.org_id, mallory.org_id], Objects(settings.FILES_URL)
    mend = block(places[0])
    with time_machine.travel(clock.now() + timedelta(hours=2), tick=True):
        assert asyncio.run(forget_expired(orgs, objects)) == 2
        mend()
        assert [path.exists() for path in places] == [True, False, False]
        assert asyncio.run(forget_expired(orgs, objects)) == 1
    assert not places[0].exists()


def test_an_organisation_in_trouble_keeps_no_other(
    acme: Tenant, committed_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    mallory, find = committed_world.mallcorp, stored_files.list_expired
    lasting = {"expires_after[anchor]": "created_at", "expires_after[seconds]": "3600"}
    place = place_of(mallory, upload(mallory, **lasting))

    def list_expired(org_id: str, *more: datetime) -> list[UUID]:
        if org_id == acme.org_id:
            raise OperationalError("the connection is gone")
        return find(org_id, *more)

    monkeypatch.setattr(stored_files, "list_expired", list_expired)
    with time_machine.travel(clock.now() + timedelta(hours=2), tick=True):
        assert asyncio.run(forget_expired([acme.org_id, mallory.org_id], Objects(settings.FILES_URL))) == 1
    assert not place.exists()


def test_bytes_that_belong_to_nothing_are_swept_up_a_day_later(acme: Tenant) -> None:
    """What a process has left that died before it noted a file, or after it had forgotten one."""
    batch_id = fill_batches(acme)
    kept = place_of(acme, upload(acme))
    ownerless, now_ms = object_path(acme.org_id, UUID(clock.new_id_of(clock.now_ms()))), clock.now_ms()
    names = [
        sealed_path(ownerless),
        ownerless,
        sealed_path(upstream_path(acme.org_id, UUID(clock.new_id_of(now_ms)))),
        sealed_path(upstream_path(acme.org_id, batch_id)),
        f"{acme.org_id}/a name of somebody else's",
    ]
    objects = Objects(settings.FILES_URL)

    async def write() -> None:
        for name in names:
            async with objects.writer(name) as writer:
                await writer.write(b"left behind")

    asyncio.run(write())
    before = asyncio.run(objects.list_below(acme.org_id))
    with time_machine.travel(clock.now() + timedelta(hours=23), tick=True):
        asyncio.run(forget_expired([acme.org_id], objects))
    assert asyncio.run(objects.list_below(acme.org_id)) == before
    with time_machine.travel(clock.now() + timedelta(hours=25), tick=True):
        asyncio.run(forget_expired([acme.org_id], objects))
    assert set(before) - set(asyncio.run(objects.list_below(acme.org_id))) == set(names[:3])
    assert kept.exists()


def test_a_copy_of_the_database_deletes_nothing_of_the_originals(
    acme: Tenant, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has the rows of a moment, the same bucket, and a Valkey of its own; bytes of the original's are younger."""
    monkeypatch.setattr(keyspace, "INSTALLATION", f"test:{acme.org_id}")
    settings.FILES_URL = tmp_path.as_uri()
    path = sealed_path(object_path(acme.org_id, UUID(clock.new_id_of(clock.now_ms() - 172_800_000))))

    def write() -> None:
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_bytes(b"of the original")

    try:
        write()
        forget_old_files()
        assert not (tmp_path / path).exists(), "of a process of ours that died"
        write()
        client().delete(keyspace.INSTALLATION)
        for _ in range(2):
            with pytest.raises(AnothersFiles, match=r"^COSTHUB_FILES_URL is where another .* delete files-owner\.json"):
                forget_old_files()
        assert (tmp_path / path).exists()
        (tmp_path / OWNER_MARK).unlink()
        forget_old_files()
        assert not (tmp_path / path).exists()
    finally:
        client().delete(keyspace.INSTALLATION)
