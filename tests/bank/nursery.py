"""Forks banks: one process that has imported what they need, so that a test waits for no interpreter to start.

It is asked over a Unix socket: a bank's arguments as JSON, with its three standard files. It answers with the number of
the process. That is not a child of whoever asked, who watches it by a descriptor (``Forked``).
"""

import atexit
import gc
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import IO, Final, NoReturn

import orjson

ROOT: Final = Path(__file__).resolve().parents[2]
_MOST_BYTES: Final = 64 * 1024


class Forked:
    """A process that was forked for us: as much of ``subprocess.Popen`` as a bank needs."""

    def __init__(self, pid: int, stdin: IO[bytes], stdout: IO[bytes]) -> None:
        self.pid = pid
        self.stdin = stdin
        self.stdout = stdout
        try:
            self._watch = os.pidfd_open(pid)
        except ProcessLookupError:
            self._watch = -1

    def send_signal(self, number: int) -> None:
        """Does nothing to one that has ended."""
        if self._watch >= 0:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._watch, number)

    def wait(self, timeout: float) -> None:
        """Return when it has ended. Raises TimeoutError."""
        if self._watch < 0:
            return
        poll = select.poll()
        poll.register(self._watch, select.POLLIN)
        if not poll.poll(timeout * 1000):
            raise TimeoutError(f"the bank {self.pid} does not end")
        os.close(self._watch)
        self._watch = -1


class Nursery:
    """The process that forks, as long as this one lives."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._door, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            command = [sys.executable, "-c", "from tests.bank.nursery import main; main()", str(theirs.fileno())]
            self._process = subprocess.Popen(
                command,
                cwd=ROOT,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )
        atexit.register(self.close)

    def close(self) -> None:
        """End it. The banks live on, each until its standard input ends."""
        self._door.close()
        self._process.wait()

    def fork(self, arguments: Sequence[str], stderr: IO[bytes]) -> Forked:
        """A bank with these arguments, whose complaints go to ``stderr``."""
        their_stdin, stdin = os.pipe()
        stdout, their_stdout = os.pipe()
        files = [their_stdin, their_stdout, stderr.fileno()]
        try:
            with self._lock:
                socket.send_fds(self._door, [orjson.dumps(arguments)], files)
                pid = int(self._door.recv(_MOST_BYTES))
        finally:
            os.close(their_stdin)
            os.close(their_stdout)
        return Forked(pid, os.fdopen(stdin, "wb"), os.fdopen(stdout, "rb"))


@cache
def nursery() -> Nursery:
    """One for the whole process, started when the first bank is."""
    return Nursery()


def main() -> None:
    """Fork until whoever started this is gone."""
    from tests.bank import __main__  # noqa: F401 - what every bank imports

    door = socket.socket(fileno=int(sys.argv[1]))
    # Whoever asked waits for it, in their own way.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.collect()
    gc.freeze()
    while True:
        message, files, _, _ = socket.recv_fds(door, _MOST_BYTES, 3)
        if not message:
            return
        if (pid := os.fork()) == 0:
            door.close()
            _become(orjson.loads(message), files)
        for file in files:
            os.close(file)
        door.send(b"%d" % pid)


def _become(arguments: list[str], files: Sequence[int]) -> NoReturn:
    from tests.bank.__main__ import main as serve

    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for place, file in enumerate(files):
        os.dup2(file, place)
        os.close(file)
    sys.argv = ["tests.bank", *arguments]
    code = 0
    try:
        serve()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
