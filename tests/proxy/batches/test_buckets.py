"""Files and batches in a bucket, as in a folder: sealed, read out of the middle, forgotten."""

import asyncio
import re
from collections.abc import Iterator
from typing import Any

import pytest
from pytest_django.fixtures import Settings

from costhub.lib import secrets
from costhub.lib.objects import Objects, StoreUnavailable
from proxy.batches.sealed_files import SealedFiles
from tenants.sealed_rows import Sealer
from tests.bank import Bank
from tests.proxy.batches.desk import line, open_desk, read, run_worker
from tests.proxy.batches.test_remote import acme as account
from tests.proxy.batches.test_remote import balance
from tests.proxy.batches.test_remote import run as run_there
from tests.proxy.books import assert_balanced
from tests.proxy.learning.s3 import S3, run_s3
from tests.world import Tenant

__all__ = ["account"]

Json = dict[str, Any]
FRAME = 64 * 1024
ORG = "0197e9d4-0000-7000-8000-000000000001"
PATH = f"{ORG}/file"
#: lines that begin and end in the middle of frames, one of them over several
SIZES = (10, 100, 70_000, 3, 150_000, 65_536, 40)


@pytest.fixture
def bucket(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3]:
    with run_s3() as s3:
        for name, value in s3.environment.items():
            monkeypatch.setenv(name, value)
        settings.FILES_URL = s3.url("files")
        yield s3


def say(number: int, size: int) -> Json:
    return line(number, messages=[{"role": "user", "content": f"Rome {number} " + "x" * size}])


def test_a_batch_goes_through_a_bucket(acme: Tenant, bank: Bank, bucket: S3) -> None:
    lines = [say(number, size) for number, size in enumerate(SIZES)]

    async def hand_in() -> Json:
        async with open_desk(acme) as desk:
            return read(await desk.hand_in(lines))

    batch = asyncio.run(hand_in())
    assert not re.search(rb"Rome|line-", bucket.read_everything()), "nothing lies there in clear"
    run_worker(acme)

    async def collect() -> tuple[Json, list[Json], list[Json], list[int]]:
        async with open_desk(acme) as desk:
            over = await desk.look(batch)
            asked = await desk.read_lines(batch["input_file_id"])
            answers = await desk.read_lines(over["output_file_id"])
            names = batch["input_file_id"], over["output_file_id"]
            gone = [(await desk.ask("DELETE", f"/v1/files/{name}")).status for name in names]
            gone += [(await desk.ask("GET", f"/v1/files/{name}/content")).status for name in names]
            return over, asked, answers, gone

    over, asked, answers, gone = asyncio.run(collect())
    assert (over["status"], asked) == ("completed", lines)
    assert [answer["custom_id"] for answer in answers] == [one["custom_id"] for one in lines]
    assert {call.json["messages"][0]["content"] for call in bank.calls_received()} == {
        one["body"]["messages"][0]["content"] for one in lines
    }
    assert gone == [200, 200, 404, 404]
    assert bucket.read_everything() == b""
    assert_balanced(acme, bank)


def test_a_file_is_handed_on_out_of_a_bucket(account: Tenant, bank: Bank, bucket: S3) -> None:
    over, answers, errors = run_there(account, [say(number, size) for number, size in enumerate(SIZES)])
    assert (over["status"], len(answers), errors) == ("completed", len(SIZES), [])
    assert b".upstream" not in bucket.read_everything(), "what was handed on is not kept"
    balance(account, bank)


@pytest.mark.parametrize("size", [0, 1, FRAME - 1, FRAME, 2 * FRAME, 6 * 1024 * 1024 + 77])
async def test_a_sealed_file_is_read_whole_and_in_part(bucket: S3, settings: Settings, size: int) -> None:
    """The last is more than one part of an upload."""
    files = SealedFiles(Objects(settings.FILES_URL), Sealer(ORG, secrets.make_data_key(settings.MASTER_KEYS, ORG)))
    content = bytes(range(251)) * (size // 251 + 1)
    content = content[:size]
    async with files.writer(PATH) as writer:
        for start in range(0, size, 1_000_000):
            await writer.write(content[start : start + 1_000_000])
    assert b"".join([part async for part in files.stream(PATH, 256 * 1024)]) == content
    for start in (0, 1, FRAME - 1, FRAME, size - 10, size - 1):
        for length in (1, 100, FRAME, 2 * FRAME):
            if 0 <= start < size:
                assert await files.read(PATH, start, min(length, size - start)) == content[start : start + length]
    await files.delete(PATH)
    with pytest.raises(FileNotFoundError):
        await files.read(PATH, 0, 1)
    assert await Objects(settings.FILES_URL).list_below(ORG) == []


async def test_a_writer_that_is_broken_off_leaves_nothing_in_a_bucket(bucket: S3, settings: Settings) -> None:
    objects = Objects(settings.FILES_URL)
    with pytest.raises(KeyError):
        async with objects.writer(PATH) as writer:
            await writer.write(b"x" * 12_000_000)
            raise KeyError
    assert await objects.list_below(ORG) == []


def test_a_bucket_that_is_not_there_is_a_store_in_trouble(bucket: S3) -> None:
    """Only an object may be missing."""

    async def run() -> None:
        objects = Objects("s3://nowhere/files")
        with pytest.raises(StoreUnavailable):
            async with objects.writer("org/a") as writer:
                await writer.write(b"x")
        with pytest.raises(StoreUnavailable):
            await objects.list_below("org")
        with pytest.raises(FileNotFoundError):
            await Objects(bucket.url("files")).read("org/a", 0, 1)

    asyncio.run(run())
