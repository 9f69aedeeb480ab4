"""Data directories of their own, and stacks in processes of their own, for the tests of the embedded servers."""

import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

from costhub.stack.account import Account, is_root
from costhub.stack.processes import has_ended
from tests.patience import PATIENCE_SECONDS
from tests.stack_fixtures import make_data_dir

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """An empty data directory, as `costhub up` would make it."""
    folder = make_data_dir()
    yield folder
    shutil.rmtree(folder)


class Supervised:
    """A running `tests.stack.supervised`, and descriptors of all its parts' processes."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        self.told: dict[str, Any] = {}

    def read_told(self) -> dict[str, Any]:
        """The next JSON line: after the start, or after a restart."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            assert self.process.stderr is not None
            pytest.fail(f"the stack ended: {self.process.stderr.read()}")
        self.told = json.loads(line)
        return self.told

    def read_said(self) -> str:
        """The next sentence for a person."""
        assert self.process.stderr is not None
        line: str = self.process.stderr.readline()
        return line.rstrip("\n")

    def descendants(self) -> list[int]:
        """Every process below the supervisor now."""
        return descendants_of(self.process.pid)


def descendants_of(pid: int) -> list[int]:
    """Every process below this one now."""
    parents: dict[int, list[int]] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents.setdefault(int(fields[1]), []).append(int(folder.name))
    found, todo = [], [pid]
    while todo:
        children = parents.get(todo.pop(), [])
        found += children
        todo += children
    return found


Start = Callable[..., Supervised]


@pytest.fixture
def start_supervised(data_dir: Path) -> Iterator[Start]:
    """Start a supervised stack of the named parts; whatever happens, it is gone after the test."""
    with ExitStack() as cleanup:

        def start(*names: str, folder: Path = data_dir) -> Supervised:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.stack.supervised", str(folder), *names],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                bufsize=1,
                cwd=ROOT,
                env={"PATH": os.defpath},
            )
            supervised = Supervised(process)
            cleanup.callback(end, supervised)
            supervised.read_told()
            return supervised

        yield start


def end(supervised: Supervised) -> None:
    watched = Watch(supervised.descendants())
    supervised.process.kill()
    supervised.process.communicate()
    watched.kill()


class Watch:
    """Descriptors of processes, taken while they live: a number alone could become another process's."""

    def __init__(self, pids: list[int]) -> None:
        self._descriptors: dict[int, int] = {}
        for pid in pids:
            with suppress(ProcessLookupError):
                self._descriptors[pid] = os.pidfd_open(pid)

    def survivors(self, timeout_seconds: float = PATIENCE_SECONDS) -> list[int]:
        """The processes that did not end in time."""
        return [pid for pid, descriptor in self._descriptors.items() if not has_ended(descriptor, timeout_seconds)]

    def kill(self) -> None:
        for pid in self.survivors():
            os.kill(pid, signal.SIGKILL)
        for descriptor in self._descriptors.values():
            os.close(descriptor)


def run_unprivileged(body: Callable[[], None], data_dir: Path) -> None:
    """Run ``body`` as an ordinary user: in a forked child that becomes nobody and owns ``data_dir``, if we are root."""
    if not is_root():
        body()
        return
    os.chown(data_dir, NOBODY.uid, NOBODY.gid)
    child = multiprocessing.get_context("fork").Process(target=become_nobody_and, args=(body,))
    child.start()
    child.join(PATIENCE_SECONDS)
    assert child.exitcode == 0


def become_nobody_and(body: Callable[[], None]) -> None:
    os.setgroups([])
    os.setgid(NOBODY.gid)
    os.setuid(NOBODY.uid)
    body()


NOBODY = Account(uid=65_534, gid=65_534)
needs_root = pytest.mark.skipif(not is_root(), reason="only root can become another user")
