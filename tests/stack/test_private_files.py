"""The data directory's files: whole or absent, and nobody else's to read."""

import os
from pathlib import Path

import pytest

from costhub.stack.private_files import make_passable, read_json, write_json


def mode(path: Path) -> str:
    return oct(path.stat().st_mode & 0o7777)


def test_json_is_private_and_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "secrets.json"
    write_json(path, {"password": "first"})
    write_json(path, {"password": "second"})
    assert read_json(path) == {"password": "second"}
    assert mode(path) == "0o600"
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_file_is_an_empty_object(tmp_path: Path) -> None:
    assert read_json(tmp_path / "nothing.json") == {}


@pytest.mark.parametrize("text", ["", "{", "[1]", "\x00"])
def test_a_broken_file_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "demo.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=f"{path} .*restore it, or move it away to start afresh"):
        read_json(path)


def test_made_folders_may_be_passed_through_whatever_the_umask_and_others_keep_their_mode(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    before = os.umask(0o077)
    try:
        make_passable(tmp_path / "var" / "logs")
    finally:
        os.umask(before)
    assert [mode(tmp_path), mode(tmp_path / "var"), mode(tmp_path / "var" / "logs")] == ["0o700", "0o711", "0o711"]
