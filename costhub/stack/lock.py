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
    file.seek(0)
    text = file.read().decode(errors="replace").strip()
    supervisor = int(text) if text.isdigit() else 0
    holders = _find_holders(path)
    if supervisor in holders or not holders:
        raise PartFailed(
            f"a stack is running on {data_dir} already (process {text or 'unknown'}): stop it, or give another --data-dir."
        )
    # Nobody is signalled by the first round: whoever lost its supervisor has been told by the kernel.
    signal_and_wait(holders, None, LEFTOVER_SECONDS)
    signal_and_wait(_find_holders(path), signal.SIGKILL, KILL_SECONDS)
    if not _try_lock(file):
        raise PartFailed(
            f"processes {_find_holders(path)} of an earlier stack on {data_dir} do not end: end them first."
        )


def _try_lock(file: BinaryIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _find_holders(path: Path) -> list[int]:
    """Every other process that has the lock's file open."""
    found, wanted = [], path.stat()
    for process in Path("/proc").iterdir():
        if not process.name.isdigit() or int(process.name) == os.getpid():
            continue
        try:
            opened = [descriptor.stat() for descriptor in (process / "fd").iterdir()]
        except OSError:
            continue
        if any((one.st_dev, one.st_ino) == (wanted.st_dev, wanted.st_ino) for one in opened):
            found.append(int(process.name))
    return found
