"""One stack to a data directory: a lock that every process of the stack holds, so that it ends with the last of
them."""

import fcntl
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from costhub.stack.part import PartFailed
from costhub.stack.processes import signal_and_wait

#: how long processes of a killed stack may take to end by themselves, and then to be killed
LEFTOVER_SECONDS: Final = 15.0
KILL_SECONDS: Final = 5.0


@contextmanager
def hold(data_dir: Path) -> Iterator[int]:
    """Hold the data directory and give the descriptor that the stack's processes shall inherit.

    Processes that a killed stack left are waited for, then killed. Raises PartFailed when another stack runs.
    """
    path = data_dir / "lock"
    with path.open("a+b") as file:
        if not _try_lock(file):
            _clear(path, file, data_dir)
        file.truncate(0)
        file.write(str(os.getpid()).encode())
        file.flush()
        yield file.fileno()


def _clear(path: Path, file: BinaryIO, data_dir: Path) -> None:
    """Take the lock over from what a killed supervisor has left. Raises PartFailed where there is one that lives, also
    where it has only now come to say so: two that start at once must not take each other for leftovers."""
    leftovers = _find_leftovers(path, data_dir)
    # Nobody is signalled by the first round: whoever lost its supervisor has been told by the kernel.
    signal_and_wait(leftovers, None, LEFTOVER_SECONDS)
    if _try_lock(file):
        return
    still_there = [pid for pid in _find_leftovers(path, data_dir) if pid in leftovers]
    signal_and_wait(still_there, signal.SIGKILL, KILL_SECONDS)
    if _try_lock(file):
        return
    others = _find_leftovers(path, data_dir)
    raise PartFailed(
        f"processes {others} of an earlier stack on {data_dir} do not end: end them first."
        if others
        else _tell_running(data_dir, "unknown")
    )


def _find_leftovers(path: Path, data_dir: Path) -> list[int]:
    """Who holds the lock. Raises PartFailed where the supervisor that it names is among them."""
    holders, text = _find_holders(path), path.read_text(errors="replace").strip()
    if text.isdigit() and int(text) in holders:
        raise PartFailed(_tell_running(data_dir, text))
    return holders


def _tell_running(data_dir: Path, process: str) -> str:
    return f"a stack is running on {data_dir} already (process {process}): stop it, or give another --data-dir."


def _try_lock(file: BinaryIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _find_holders(path: Path) -> list[int]:
    """Every other process that holds the lock: it has been given the descriptor, and did not merely open the file, as
    somebody does who waits for it."""
    found, wanted = [], path.stat()
    for process in Path("/proc").iterdir():
        if not process.name.isdigit() or int(process.name) == os.getpid():
            continue
        try:
            opened = [
                descriptor.name
                for descriptor in (process / "fd").iterdir()
                if (one := descriptor.stat()).st_ino == wanted.st_ino and one.st_dev == wanted.st_dev
            ]
            if any("FLOCK" in (process / "fdinfo" / name).read_text() for name in opened):
                found.append(int(process.name))
        except OSError:
            continue
    return found
