"""One process of the stack: how it is started, watched and stopped.

Every part has the same shape: ``start()`` returns at once, ``wait_ready(timeout)`` returns when the part answers,
``stop()`` returns when nothing of it is left.
"""

import os
import signal
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, ClassVar, Final

from costhub.lib import clock
from costhub.stack.account import Account
from costhub.stack.private_files import make_passable
from costhub.stack.processes import die_with_parent, has_ended, send_signal

#: how soon a starting part is first asked whether it answers; each next time later, up to the second figure
FIRST_POLL_SECONDS: Final = 0.02
LONGEST_POLL_SECONDS: Final = 0.3
LOG_ROTATION_BYTES: Final = 20 * 1024 * 1024


class PartFailed(Exception):
    """A part of the stack could not be started or did not answer. The message is a sentence for a person."""


class Part(ABC):
    """A server process in a session of its own, which the kernel ends when the process that started it dies.

    A part must be started by a thread that lives as long as the part shall: the kernel's promise is about the thread.
    """

    name: ClassVar[str]
    #: the signals that ask the part to stop, each with the seconds it is given, before it is killed
    stop_signals: tuple[tuple[signal.Signals, float], ...] = ((signal.SIGTERM, 10.0),)
    #: what the kernel sends when the supervisor dies without a word
    orphan_signal: ClassVar[signal.Signals] = signal.SIGTERM

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir.absolute()
        self.log_path = self.data_dir / "logs" / f"{self.name}.log"
        #: descriptors that the process inherits
        self.shared_descriptors: tuple[int, ...] = ()
        self._process: subprocess.Popen[bytes] | None = None
        self._pidfd: int | None = None
        self._log_start = 0

    @abstractmethod
    def prepare(self) -> None:
        """Bring about all that the process needs. Called before every start, so it repairs what a crash left."""

    @abstractmethod
    def command(self) -> list[str]:
        """The program and its arguments. No secret may be in it: everybody can read it."""

    @abstractmethod
    def is_ready(self) -> bool:
        """True when the part answers. Never raises, never takes more than a few seconds."""

    def environment(self) -> dict[str, str]:
        """The environment of the process: of the caller's, only what every program needs."""
        return {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}

    def account(self) -> Account | None:
        """Who runs the process; None for whoever runs this one."""
        return None

    def working_directory(self) -> Path | None:
        return None

    @property
    def pid(self) -> int | None:
        """The process id while the part is alive, else None."""
        return self._process.pid if self._process is not None and self.is_alive() else None

    @property
    def pidfd(self) -> int | None:
        """A descriptor that becomes readable when the process ends."""
        return self._pidfd

    def is_alive(self) -> bool:
        """True until the process has ended, reaped or not."""
        return self._pidfd is not None and not has_ended(self._pidfd, 0)

    def start(self) -> None:
        """Start the process and return at once. Raises PartFailed or OSError when that is impossible, and RuntimeError
        for a part that was started already."""
        if self._process is not None:
            raise RuntimeError(f"{self.name} is started already: stop() it first")
        self.prepare()
        account = self.account()
        with self._open_log() as log:
            self._process = subprocess.Popen(
                self.command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self.environment(),
                cwd=self.working_directory(),
                user=account.uid if account else None,
                group=account.gid if account else None,
                extra_groups=[] if account else None,
                umask=0o077,
                start_new_session=True,
                pass_fds=self.shared_descriptors,
                preexec_fn=die_with_parent(self.orphan_signal),  # noqa: PLW1509 - one prctl call, no lock, no import
            )
        self._pidfd = os.pidfd_open(self._process.pid)

    def wait_ready(self, timeout_seconds: float = 30.0) -> None:
        """Return when the part answers. Raises PartFailed when it ended or did not answer in time."""
        self._wait_until(self.is_ready, timeout_seconds)

    def wait_exit(self, timeout_seconds: float) -> bool:
        """True as soon as the process has ended, False when the time is up."""
        return self._pidfd is None or has_ended(self._pidfd, timeout_seconds)

    def stop(self) -> None:
        """Ask the part to stop, kill it when it does not, and return when no process of it is left."""
        for number, seconds in self.stop_signals:
            if not self.is_alive():
                break
            self.signal(number)
            self.wait_exit(seconds)
        self.reap()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the part's main process, if it is alive."""
        if self._pidfd is not None:
            send_signal(self._pidfd, number)

    def kill(self) -> None:
        """Kill the part's whole process group now, without waiting."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def reap(self) -> int | None:
        """Kill whatever is left of the part and collect it. Gives the exit code, None when it was not started."""
        process, pidfd = self._process, self._pidfd
        if process is None or pidfd is None:
            return None
        # The dead leader is collected last: until then no other process can get its number, which is also the group's.
        self.kill()
        has_ended(pidfd, None)
        code = process.wait()
        os.close(pidfd)
        self._process = self._pidfd = None
        return code

    def log_tail(self, lines: int = 8) -> str:
        """The last lines that the part wrote since its last start."""
        try:
            with self.log_path.open("rb") as log:
                log.seek(self._log_start)
                text = log.read()[-16_384:].decode(errors="replace")
        except OSError:
            return ""
        return "\n".join(text.strip().splitlines()[-lines:])

    def _wait_until(self, is_true: Callable[[], bool], timeout_seconds: float) -> None:
        deadline = clock.ends_in(timeout_seconds)
        pause = FIRST_POLL_SECONDS
        while not is_true():
            if not self.is_alive():
                code = self.reap()
                raise PartFailed(f"{self.name} ended with exit code {code} while it was starting.{self._said()}")
            if clock.monotonic_ns() > deadline:
                raise PartFailed(f"{self.name} did not answer within {timeout_seconds:g} seconds.{self._said()}")
            self.wait_exit(pause)
            pause = min(pause * 1.3, LONGEST_POLL_SECONDS)

    def _said(self) -> str:
        tail = self.log_tail()
        return f" The last lines of {self.log_path}:\n{tail}" if tail else f" Its log is {self.log_path}."

    def _open_log(self) -> BinaryIO:
        make_passable(self.log_path.parent)
        if self.log_path.exists() and self.log_path.stat().st_size > LOG_ROTATION_BYTES:
            self.log_path.replace(self.log_path.with_suffix(".log.1"))
        log = open(self.log_path, "ab", opener=_open_private)  # noqa: SIM115 - the caller closes it; Path has no opener
        self._log_start = log.seek(0, os.SEEK_END)
        return log


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
