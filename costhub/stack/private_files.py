"""The data directory's folders, and its small JSON files that only their owner may read: passwords, keys, ports."""

import json
import os
import secrets
from pathlib import Path
from typing import Any


def make_passable(folder: Path) -> None:
    """Make a folder that other users may pass through but not list: an embedded server may be another user.

    Folders that exist already keep their mode.
    """
    if folder.exists():
        return
    make_passable(folder.parent)
    folder.mkdir(exist_ok=True)
    folder.chmod(0o711)


def write_private(path: Path, text: str) -> None:
    """Replace ``path`` with ``text`` in one step, mode 0600: a reader or a crash never sees half of it."""
    make_passable(path.parent)
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Keep ``value`` in ``path`` as JSON, mode 0600."""
    write_private(path, json.dumps(value, indent=2) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """The object in ``path``; empty when there is no such file. Raises ValueError when it is not a JSON object."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is not JSON ({error}): restore it, or move it away to start afresh") from error
    if not isinstance(value, dict):
        raise ValueError(f"{path} holds no JSON object: restore it, or move it away to start afresh")
    return value
