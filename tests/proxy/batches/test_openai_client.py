"""OpenAI's own client hands batches in, and reads what comes of them; and what is over is forgotten."""

import asyncio
import io
import json
from datetime import timedelta
from pathlib import Path
from urllib.parse import unquote, urlsplit

import openai
import pytest
import time_machine
from django.conf import settings

from costhub.lib import clock
from costhub.lib.objects import Objects
from proxy.batches import files, stored_files
from proxy.batches.sealed_files import sealed_path
from proxy.batches.upkeep import forget_expired
from proxy.models import Batch, BatchLine, StoredFile
from tenants.access import org_scope
from tests.bank import Bank
from tests.patience import until
from tests.proxy.batches.desk import BOUNDARY, form, line, open_desk, read, run_worker
from tests.proxy.batches.rows import fill_batches
from tests.proxy.deployment import deploy
from tests.proxy.in_process import Conversation, converse, serve
from tests.world import Tenant

LINES = 5


def test_a_batch_from_hand_to_hand(acme: Tenant, bank: Bank, tmp_path: Path) -> None:
    content = "\n".join(json.dumps(line(number)) for number in range(LINES)).encode()
    with (
        deploy(tmp_path) as proxy,
        openai.OpenAI(base_url=proxy.base_url, api_key=acme.api_key, max_retries=0) as client,
    ):
        file = client.files.create(file=("calls.jsonl", io.BytesIO(content)), purpose="batch")
        assert (file.bytes, file.purpose, file.status) == (len(content), "batch", "processed")
        batch = client.batches.create(
            input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h", metadata={"night": "1"}
        )
        assert (batch.status, batch.metadata) == ("in_progress", {"night": "1"})
        with pytest.raises(openai.BadRequestError):
            client.files.delete(file.id)
        run_worker(acme)
        over = client.batches.retrieve(batch.id)
        assert over.request_counts is not None
        assert (over.status, over.request_counts.completed) == ("completed", LINES)
        assert over.output_file_id is not None
        answers = [json.loads(text) for text in client.files.content(over.output_file_id).text.splitlines()]
        assert [answer["custom_id"] for answer in answers] == [f"line-{number}" for number in range(LINES)]
        assert [one.id for one in client.batches.list()] == [batch.id]
        assert {one.id for one in client.files.list()} == {file.id, over.output_file_id}
        with pytest.raises(openai.ConflictError):
            client.batches.cancel(batch.id)
        assert client.files.delete(file.id).deleted
        with pytest.raises(openai.NotFoundError):
            client.files.retrieve(file.id)


def test_uploads_that_come_together_are_counted_together(acme: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when each was counted before any of the others was there."""

    async def upload() -> list[tuple[int, str]]:
        async with open_desk(acme) as desk:
            monkeypatch.setattr(settings, "MAX_FILES_BYTES", 2_500)
            with monkeypatch.context() as patched:
                patched.setattr(stored_files, "count_bytes", lambda _: 0)
                answers = await asyncio.gather(*(desk.upload(b"x" * 1_000) for _ in range(4)))
            answers.append(await desk.upload(b"x" * 501))
            return [
                (answer.status, "" if answer.status == 200 else read(answer)["error"]["code"]) for answer in answers
            ]

    found = asyncio.run(upload())
    assert sorted(found[:4]) == [(200, ""), (200, ""), (400, "too_many_files"), (400, "too_many_files")]
    assert found[4] == (400, "too_many_files")
    with org_scope(acme.org_id):
        kept = {file.pk.hex for file in StoredFile.objects.filter(org_id=acme.org.pk)}
    assert stored_files.count_bytes(acme.org_id) == 2_000
    assert len(kept) == 2
    # What was refused has left no bytes behind.
    folder = Path(unquote(urlsplit(settings.FILES_URL).path)) / acme.org_id
    assert {path.name for path in folder.iterdir()} == {sealed_path(name) for name in kept}


def test_uploads_that_are_under_way_count_before_they_are_whole(acme: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many are begun, and however slowly they come: they lie in the store."""
    most = 150_000
    monkeypatch.setattr(settings, "MAX_FILES_BYTES", most)
    folder = Path(unquote(urlsplit(settings.FILES_URL).path)) / acme.org_id

    async def upload() -> list[Conversation]:
        async with open_desk(acme) as desk:
            whole, kind = form(b"x" * most), f"multipart/form-data; boundary={BOUNDARY}"
            slow = converse(acme.api_key, whole[:-1_000], path="/v1/files", content_type=kind)
            first = slow.incoming.get_nowait()
            slow.incoming.put_nowait(first | {"more_body": True})
            answering = asyncio.create_task(serve(desk.app, slow))
            await until(slow.incoming.empty)
            beside = await desk.upload(b"x" * most)
            slow.incoming.put_nowait(first | {"body": whole[-1_000:]})
            return [beside, await answering]

    beside, slow = asyncio.run(upload())
    assert (beside.status, read(beside)["error"]["code"]) == (400, "too_many_files")
    assert slow.status == 200
    assert {path.name for path in folder.iterdir()} == {sealed_path(read(slow)["id"].removeprefix("file-"))}
    assert files._under_way == {}


def test_batches_are_forgotten_long_behind_their_end(acme: Tenant) -> None:
    ends = {"completed": 91, "failed": 91, "expired": 91, "cancelled": 91, "in_progress": 400}
    ends |= {f"{state} lately": 89 for state in ("completed", "failed", "expired", "cancelled")}
    ids = {name: fill_batches(acme) for name in ends}
    with org_scope(acme.org_id):
        for name, days in ends.items():
            state = name.split()[0]
            ended = {f"{state}_at": clock.now() - timedelta(days=days)}
            Batch.objects.filter(pk=ids[name]).update(status=state, **ended)
    asyncio.run(forget_expired([acme.org_id], Objects(settings.FILES_URL)))
    with org_scope(acme.org_id):
        left = set(Batch.objects.filter(org_id=acme.org.pk).values_list("pk", flat=True))
        lines = set(BatchLine.objects.filter(org_id=acme.org.pk).values_list("batch_id", flat=True))
    assert left == lines == {ids[name] for name in ends if name == "in_progress" or name.endswith("lately")}


def test_files_whose_time_is_over_are_forgotten(acme: Tenant) -> None:
    async def upload() -> str:
        async with open_desk(acme) as desk:
            kept = read(await desk.upload(b"{}"))
            lasting = {"expires_after[anchor]": "created_at", "expires_after[seconds]": "3600"}
            short = read(await desk.upload(b"{}", **lasting))
            assert short["expires_at"] - short["created_at"] == 3600
            return str(kept["id"])

    kept = asyncio.run(upload())
    objects = Objects(settings.FILES_URL)
    assert asyncio.run(forget_expired([acme.org_id], objects)) == 0
    with time_machine.travel(clock.now() + timedelta(hours=2), tick=True):
        assert asyncio.run(forget_expired([acme.org_id], objects)) == 1

    async def look() -> list[str]:
        async with open_desk(acme) as desk:
            return [file["id"] for file in read(await desk.ask("GET", "/v1/files"))["data"]]

    assert asyncio.run(look()) == [kept]
