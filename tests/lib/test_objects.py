"""Files in a folder: written as a stream, whole or not at all."""

import asyncio
import shutil
from pathlib import Path

import pytest

from costhub.lib.objects import Objects


async def read_all(objects: Objects, path: str) -> bytes:
    return b"".join([part async for part in objects.stream(path, 1024)])


def test_an_object_is_read_whole_in_part_and_as_a_stream(tmp_path: Path) -> None:
    content = bytes(range(256)) * 100

    async def run() -> None:
        objects = Objects((tmp_path / "files").as_uri())
        async with objects.writer("org/a") as writer:
            for start in range(0, len(content), 1_000):
                await writer.write(content[start : start + 1_000])
        assert await read_all(objects, "org/a") == content
        assert await objects.read("org/a", 250, 10) == content[250:260]
        await objects.delete("org/a")
        await objects.delete("org/a")
        with pytest.raises(FileNotFoundError):
            await read_all(objects, "org/a")

    asyncio.run(run())


def test_a_writer_that_is_broken_off_leaves_nothing(tmp_path: Path) -> None:
    async def run() -> None:
        objects = Objects((tmp_path / "files").as_uri())
        with pytest.raises(KeyError):
            async with objects.writer("org/a") as writer:
                await writer.write(b"x" * 10_000_000)
                raise KeyError
        assert [path for path in (tmp_path / "files").rglob("*") if path.is_file()] == []

    asyncio.run(run())


def test_the_folder_is_the_owners_alone(tmp_path: Path) -> None:
    asyncio.run(Objects((tmp_path / "deep" / "files").as_uri()).delete("nothing"))
    assert (tmp_path / "deep" / "files").stat().st_mode & 0o777 == 0o700


def test_what_a_caller_failed_by_is_told_though_the_store_cannot_forget(tmp_path: Path) -> None:
    async def run() -> None:
        objects = Objects((tmp_path / "files").as_uri())
        with pytest.raises(KeyError):
            async with objects.writer("org/a") as writer:
                await writer.write(b"x" * 10_000_000)
                shutil.rmtree(tmp_path / "files")
                raise KeyError

    asyncio.run(run())
