"""The lock of a data directory: one stack at a time, and what a killed one left is cleared first."""

import os
import subprocess
from pathlib import Path

import pytest

from costhub.stack import lock
from costhub.stack.lock import hold


def start_leftover(folder: Path, script: str) -> "subprocess.Popen[bytes]":
    """A process that inherited the lock from a stack whose supervisor is no more."""
    with hold(folder) as descriptor:
        (folder / "lock").write_text("999999999")
        return subprocess.Popen(["/bin/sh", "-c", script], pass_fds=(descriptor,), stdin=subprocess.PIPE)


def test_the_lock_names_its_holder_and_ends_with_it(tmp_path: Path) -> None:
    for _ in range(2):
        with hold(tmp_path):
            assert (tmp_path / "lock").read_text() == str(os.getpid())


def test_a_leftover_that_ends_is_waited_for(tmp_path: Path) -> None:
    with start_leftover(tmp_path, "sleep 0.3; exit 7") as leftover, hold(tmp_path):
        assert leftover.wait(0) == 7


def test_a_leftover_that_does_not_end_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "LEFTOVER_SECONDS", 0.1)
    with start_leftover(tmp_path, 'trap "" TERM; read line') as leftover, hold(tmp_path):
        assert leftover.wait(0) == -9
