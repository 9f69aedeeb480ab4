"""Forks processes from one that has imported what they need, so that a test waits for no interpreter and no import.

Who wants some says which module to import and what a fork becomes: a bank (tests/bank/nursery.py) or a proxy's
supervisor (tests/proxy/nursery.py). The nursery is asked over a Unix socket, for arguments, an environment and three
standard files. It answers with the number of the process, which is its child and not that of whoever asked, and tells
by a pipe how it ended.
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
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, NoReturn

import orjson

ROOT: Final = Path(__file__).resolve().parents[1]
_MOST_BYTES: Final = 256 * 1024
_NO_MORE: Final[Mapping[str, str]] = {}


class Forked:
    """A process that was forked for us: as much of ``subprocess.Popen`` as a test needs."""

    def __init__(self, pid: int, ended: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._ended = ended

    def poll(self) -> int | None:
        """How it ended, if it has: its exit code, or the signal's number below zero."""
        with suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Return when it has ended, with its exit code. Raises TimeoutExpired after so many seconds."""
        if self.returncode is None:
            watch = select.poll()
            watch.register(self._ended, select.POLLIN)
            if not watch.poll(None if timeout is None else timeout * 1000):
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0)
            self.returncode = int(os.read(self._ended, 16) or -signal.SIGKILL)
            os.close(self._ended)
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Does nothing to one that has ended."""
        # Its number is nobody else's before it is known to have ended.
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        """SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)


class Nursery:
    """The process that forks, as long as this one lives. ``module`` has a ``main`` that calls ``serve_forks``."""

    def __init__(self, module: str, environment: Mapping[str, str]) -> None:
        self._lock = threading.Lock()
        self._door, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            command = [sys.executable, "-c", f"from {module} import main; main()", str(theirs.fileno())]
            self._process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=environment,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )
        atexit.register(self.close)

    def close(self) -> None:
        """End it. What it has forked lives on."""
        self._door.close()
        self._process.wait()

    def fork(self, arguments: Sequence[str], files: Sequence[int], environment: Mapping[str, str] = _NO_MORE) -> Forked:
        """A process with these arguments, these files as its standard input, output and error, and more in its
        environment."""
        ended, theirs = os.pipe()
        try:
            with self._lock:
                socket.send_fds(self._door, [orjson.dumps([arguments, dict(environment)])], [*files, theirs])
                pid = int(self._door.recv(_MOST_BYTES))
        finally:
            os.close(theirs)
        return Forked(pid, ended)


def serve_forks(become: Callable[[list[str]], None]) -> None:
    """Fork until whoever started this is gone. Each fork calls ``become`` with its arguments, and ends with it."""
    door = socket.socket(fileno=int(sys.argv[1]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.collect()
    gc.freeze()
    #: by the descriptor that becomes readable with its end: the process, and the pipe on which that is told
    living: dict[int, tuple[int, int]] = {}
    watch = select.poll()
    watch.register(door, select.POLLIN)
    while True:
        for file, _ in watch.poll():
            if file != door.fileno():
                watch.unregister(file)
                _tell_end(file, *living.pop(file))
                continue
            message, files, _, _ = socket.recv_fds(door, _MOST_BYTES, 4)
            if not message:
                return
            *standard, ended = files
            if (pid := os.fork()) == 0:
                for other in [door.fileno(), ended, *living, *(pipe for _, pipe in living.values())]:
                    os.close(other)
                _run(become, message, standard)
            for each in standard:
                os.close(each)
            end = os.pidfd_open(pid)
            living[end] = (pid, ended)
            watch.register(end, select.POLLIN)
            door.send(b"%d" % pid)


def _tell_end(end: int, pid: int, ended: int) -> None:
    _, status = os.waitpid(pid, 0)
    with suppress(BrokenPipeError):
        os.write(ended, b"%d" % os.waitstatus_to_exitcode(status))
    os.close(ended)
    os.close(end)


def _run(become: Callable[[list[str]], None], message: bytes, standard: Sequence[int]) -> NoReturn:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for place, file in enumerate(standard):
        os.dup2(file, place)
        os.close(file)
    arguments, environment = orjson.loads(message)
    os.environ |= environment
    code = 0
    try:
        become(arguments)
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
