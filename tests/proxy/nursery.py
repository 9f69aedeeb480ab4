"""Forks proxies: one process that has imported what they serve, so that a test pays for no interpreter and no import.

It is asked over a Unix socket, as the one that forks banks is (tests/bank/nursery.py): for a supervisor, which forks
its workers in the place of spawning them. All else is the product's: ``costhub.serve``, its sockets, signals, restarts.
A process that holds each supervisor tells how it ended.

Only who needs the environment that this one began with is forked here: settings are read from it.
"""

import atexit
import gc
import multiprocessing
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, Final, NoReturn

import orjson
import uvicorn._subprocess
from uvicorn._subprocess import subprocess_started
from uvicorn.supervisors.multiprocess import SIGNALS

ROOT: Final = Path(__file__).resolve().parents[2]
_MOST_BYTES: Final = 256 * 1024
#: what pytest notes there of the test that runs, what only a test's own modules read, and what Playwright's loop needs
_OF_NO_MEANING: Final = ("PYTEST_", "TEST_", "DJANGO_ALLOW_ASYNC_UNSAFE")


class Forked:
    """A supervisor that was forked for us: as much of ``subprocess.Popen`` as a deployment needs."""

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
        """Return when it has ended, with its exit code. Raises TimeoutExpired."""
        if self.returncode is None:
            watch = select.poll()
            watch.register(self._ended, select.POLLIN)
            if not watch.poll(None if timeout is None else timeout * 1000):
                raise subprocess.TimeoutExpired("costhub.serve", timeout or 0)
            self.returncode = int(os.read(self._ended, 16) or -signal.SIGKILL)
            os.close(self._ended)
        return self.returncode

    def terminate(self) -> None:
        """SIGTERM; nothing to one that has ended."""
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL; nothing to one that has ended."""
        self._send(signal.SIGKILL)

    def _send(self, number: int) -> None:
        # Its number is nobody else's before it is known to have ended.
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)


class Nursery:
    """The process that forks, as long as this one lives."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.environment = _that_matters(environment)
        self._lock = threading.Lock()
        self._door, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            command = [sys.executable, "-c", "from tests.proxy.nursery import main; main()", str(theirs.fileno())]
            self._process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=self.environment,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )
        atexit.register(self.close)

    def close(self) -> None:
        """End it. What it has forked lives on."""
        self._door.close()
        self._process.wait()

    def fork(self, arguments: Sequence[str], environment: Mapping[str, str], log: int) -> Forked:
        """A supervisor with these arguments of ``costhub.serve``, with more in its environment, which writes to an open
        file."""
        ended, theirs = os.pipe()
        try:
            with self._lock:
                socket.send_fds(self._door, [orjson.dumps([arguments, environment])], [log, theirs])
                pid = int(self._door.recv(_MOST_BYTES))
        finally:
            os.close(theirs)
        return Forked(pid, ended)


@cache
def _nursery() -> Nursery:
    from tests.proxy.deployment import PATIENT

    return Nursery(os.environ | PATIENT)


def nursery_for(environment: Mapping[str, str]) -> Nursery | None:
    """The one of this process, which is started when the first proxy is; None where it began with another environment
    than is asked for."""
    found = _nursery()
    return found if found.environment == _that_matters(environment) else None


def _that_matters(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if not name.startswith(_OF_NO_MEANING)}


def main() -> None:
    """Fork until whoever started this is gone."""
    from django.urls import get_resolver

    import costhub.asgi  # noqa: F401 - what every worker serves

    # Pages, which a worker imports when it is asked for the first.
    get_resolver().url_patterns  # noqa: B018
    door = socket.socket(fileno=int(sys.argv[1]))
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.collect()
    gc.freeze()
    while True:
        message, files, _, _ = socket.recv_fds(door, _MOST_BYTES, 2)
        if not message:
            return
        if os.fork() == 0:
            _hold(door, message, *files)
        for file in files:
            os.close(file)


def _hold(door: socket.socket, message: bytes, log: int, ended: int) -> NoReturn:
    """Fork the supervisor, and tell how it ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if (pid := os.fork()) == 0:
        door.close()
        os.close(ended)
        arguments, environment = orjson.loads(message)
        _supervise(arguments, environment, log)
    os.close(log)
    door.send(b"%d" % pid)
    door.close()
    _, status = os.waitpid(pid, 0)
    os.write(ended, b"%d" % os.waitstatus_to_exitcode(status))
    os._exit(0)


def _supervise(arguments: list[str], environment: dict[str, str], log: int) -> NoReturn:
    from costhub.serve.runner import main as serve

    signal.signal(signal.SIGINT, signal.default_int_handler)
    for place in (1, 2):
        os.dup2(log, place)
    os.close(log)
    os.environ |= environment
    uvicorn._subprocess.spawn = multiprocessing.get_context("fork")  # type: ignore[assignment]
    uvicorn._subprocess.subprocess_started = _work
    code = 0
    try:
        serve(arguments)
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _work(*given: Any, **more: Any) -> None:
    """As uvicorn's own, in a process that was not forked from one that listens to signals in its own way."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    subprocess_started(*given, **more)
