"""Files in the store: sealed with their organisation's key, whole or not there, and readable out of their middle."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from secrets import token_bytes
from urllib.parse import unquote, urlsplit

import pytest
from django.conf import settings

from costhub.lib import secrets
from costhub.lib.objects import Objects
from proxy.batches.ids import FILE, find_id, object_path
from proxy.batches.model import BatchLine
from proxy.batches.sealed_files import SealedFiles, delete_file, sealed_path
from tenants.access import org_scope
from tenants.sealed_rows import Sealer
from tests.bank import Bank
from tests.proxy.batches.desk import line, open_desk, read, run_worker, run_worker_for
from tests.world import Tenant

FRAME = 64 * 1024
ORG = "0197e9d4-0000-7000-8000-000000000001"
PATH = f"{ORG}/file"


class Shelf:
    """A store in a folder, and the files of an organisation in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.objects = Objects(folder.as_uri())
        self.sealer = Sealer(ORG, secrets.make_data_key(settings.MASTER_KEYS, ORG))

    @property
    def files(self) -> SealedFiles:
        return SealedFiles(self.objects, self.sealer)

    @property
    def raw(self) -> Path:
        """Where the bytes lie."""
        return self.folder / sealed_path(PATH)

    async def write(self, content: bytes, step: int = 10_000) -> None:
        async with self.files.writer(PATH) as writer:
            for start in range(0, len(content), step):
                part = content[start : start + step]
                assert await writer.write(part) == len(part)

    async def whole(self, part_bytes: int = 100_000) -> bytes:
        return b"".join([part async for part in self.files.stream(PATH, part_bytes)])


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path)


@pytest.mark.parametrize("size", [0, 1, FRAME - 1, FRAME, FRAME + 1, 3 * FRAME, 5 * FRAME + 77])
async def test_what_was_written_is_read(shelf: Shelf, size: int) -> None:
    content = token_bytes(size)
    await shelf.write(content)
    assert await shelf.whole() == content
    for start in (0, 1, FRAME - 1, FRAME, 2 * FRAME + 5, size - 1):
        for length in (1, 100, FRAME, 2 * FRAME):
            if 0 <= start < size:
                assert await shelf.files.read(PATH, start, min(length, size - start)) == content[start : start + length]


async def test_the_store_has_nothing_of_it_in_clear(shelf: Shelf) -> None:
    await shelf.write(b"Where is Rome? " * 10_000)
    assert b"Rome" not in shelf.raw.read_bytes()
    assert [path.name for path in (shelf.folder / ORG).iterdir()] == ["file.sealed"]


def cut_at_a_frame(raw: bytes) -> bytes:
    return raw[: -(len(raw) % (FRAME + 29))]


def change_a_byte(raw: bytes) -> bytes:
    return raw[:1_000] + bytes([raw[1_000] ^ 1]) + raw[1_001:]


def swap_frames(raw: bytes) -> bytes:
    frame = FRAME + 29
    return raw[frame : 2 * frame] + raw[:frame] + raw[2 * frame :]


@pytest.mark.parametrize("damage", [cut_at_a_frame, change_a_byte, swap_frames, lambda _: b""])
async def test_what_is_not_whole_is_not_there(shelf: Shelf, damage: Callable[[bytes], bytes]) -> None:
    await shelf.write(token_bytes(2 * FRAME + 5))
    raw = shelf.raw.read_bytes()
    assert damage(raw) != raw
    shelf.raw.write_bytes(damage(raw))
    with pytest.raises(FileNotFoundError):
        await shelf.whole()


async def test_it_opens_in_no_other_place_and_for_no_other_organisation(shelf: Shelf) -> None:
    await shelf.write(b"Rome")
    (shelf.folder / sealed_path(f"{ORG}/other")).write_bytes(shelf.raw.read_bytes())
    with pytest.raises(FileNotFoundError):
        await shelf.files.read(f"{ORG}/other", 0, 4)
    foreign = Sealer("0197e9d4-0000-7000-8000-000000000002", shelf.sealer.data_key)
    with pytest.raises(FileNotFoundError):
        await SealedFiles(shelf.objects, foreign).read(PATH, 0, 4)
    # Nor for anybody, when the data key was overwritten.
    shelf.sealer = shelf.sealer._replace(data_key=secrets.make_data_key(settings.MASTER_KEYS, ORG))
    with pytest.raises(FileNotFoundError):
        await shelf.whole()


async def test_what_was_kept_before_files_were_sealed_is_read_and_deleted(shelf: Shelf) -> None:
    async with shelf.objects.writer(PATH) as writer:
        await writer.write(b"\x01 in clear")
    assert await shelf.whole() == b"\x01 in clear"
    assert await shelf.files.read(PATH, 2, 2) == b"in"
    await shelf.write(b"sealed")
    assert await shelf.whole() == b"sealed"
    await delete_file(shelf.objects, PATH)
    assert list((shelf.folder / ORG).iterdir()) == []
    with pytest.raises(FileNotFoundError):
        await shelf.whole()


def test_neither_the_store_nor_the_database_has_a_batchs_words(acme: Tenant, bank: Bank) -> None:
    """From the upload to the file of answers, and back to who handed it in."""

    async def hand_in() -> tuple[str, str]:
        async with open_desk(acme) as desk:
            batch = read(await desk.hand_in([line(number, user="somebody") for number in range(30)]))
            return batch["id"], batch["input_file_id"]

    batch_id, file_id = asyncio.run(hand_in())
    run_worker_for(acme, 0.01)
    with org_scope(acme.org_id):
        noted = [bytes(answer or b"") for answer in BatchLine.objects.values_list("answer", flat=True)]
    run_worker(acme)

    async def collect() -> tuple[bytes, list[str]]:
        async with open_desk(acme) as desk:
            batch = read(await desk.ask("GET", f"/v1/batches/{batch_id}"))
            answers = await desk.read_lines(batch["output_file_id"])
            return (await desk.ask("GET", f"/v1/files/{file_id}/content")).body, [one["custom_id"] for one in answers]

    content, answered = asyncio.run(collect())
    assert answered == [f"line-{number}" for number in range(30)]
    assert content.count(b"somebody") == 30
    assert not any(b"choices" in answer for answer in noted)
    folder = Path(unquote(urlsplit(settings.FILES_URL).path)) / acme.org_id
    kept = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert len(kept) == 2
    assert not any(word in raw for raw in kept.values() for word in (b"somebody", b"custom_id", b"choices"))
    uploaded = find_id(FILE, file_id)
    assert uploaded is not None
    assert object_path("", uploaded).removeprefix("/") + ".sealed" in kept
