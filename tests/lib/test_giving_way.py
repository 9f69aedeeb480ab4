"""What a process that gives way changes, and what it leaves as it is."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from costhub.lib.giving_way import give_way

#: waits until its input is closed
_WAITS = "import sys; sys.stdin.read()"


@pytest.fixture(params=[True, False], ids=["leads a session", "in ours"])
def process(request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        [sys.executable, "-c", _WAITS], stdin=subprocess.PIPE, start_new_session=request.param
    ) as running:
        yield running
        running.kill()


def session_of(pid: int) -> str:
    """What the kernel says of its session: a name and its niceness; empty where it has no such feature."""
    found = Path(f"/proc/{pid}/autogroup")
    return found.read_text().strip() if found.exists() else ""


def test_a_process_gives_way_and_the_session_that_it_leads(process: subprocess.Popen[bytes]) -> None:
    leads, ours = os.getsid(process.pid) == process.pid, session_of(os.getpid())
    give_way(10, process.pid)
    assert os.getpriority(os.PRIO_PROCESS, process.pid) == 10
    if leads and ours:
        assert session_of(process.pid).endswith("nice 10")
    assert session_of(os.getpid()) == ours


def test_somebody_elses_process_is_left_alone(
    process: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(which: int, pid: int, niceness: int) -> None:
        raise PermissionError

    before = session_of(process.pid)
    monkeypatch.setattr(os, "setpriority", refuse)
    give_way(10, process.pid)
    assert session_of(process.pid) == before
