"""What several commands take, and how it is read."""

import argparse
import os
from datetime import datetime
from pathlib import Path
from typing import Any

#: what ``ArgumentParser.add_subparsers`` gives
Commands = Any


def take_data_dir(command: argparse.ArgumentParser) -> None:
    """Let a command be told where everything is kept."""
    command.add_argument("--data-dir", type=Path, default=Path("var"), help="where everything is kept (default: var)")


def take_backup_url(command: argparse.ArgumentParser) -> None:
    """Let a command be told where backups are."""
    url = os.environ.get("COSTHUB_BACKUP_URL", "")
    command.add_argument(
        "--url",
        default=url,
        required=not url,
        help="file:///a/folder or s3://bucket/prefix (default: COSTHUB_BACKUP_URL)",
    )


def default_workers() -> int:
    """Half of the processors: the other half is for PostgreSQL, Valkey and the Celery worker."""
    return max(1, len(os.sched_getaffinity(0)) // 2)


def port(text: str) -> int:
    """A TCP port. Raises ArgumentTypeError."""
    return _whole(text, 1, 65_535)


def count(text: str) -> int:
    """From 1 to 10,000. Raises ArgumentTypeError."""
    return _whole(text, 1, 10_000)


def workers(text: str) -> int:
    """Processes, from 1 to 64. Raises ArgumentTypeError."""
    return _whole(text, 1, 64)


def moment(text: str) -> datetime:
    """A moment with its time zone. Raises ArgumentTypeError."""
    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}: give a moment such as 2026-11-28T12:30:00+01:00") from None
    if read.tzinfo is None:
        raise argparse.ArgumentTypeError(f"{text!r}: say of which time zone, such as {text}Z")
    return read


def _whole(text: str, low: int, high: int) -> int:
    if not text.isascii() or not text.isdigit() or not low <= int(text) <= high:
        raise argparse.ArgumentTypeError(f"{text!r}: give a whole number from {low} to {high}")
    return int(text)
