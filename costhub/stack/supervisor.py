"""Starts the parts of the stack in order, starts again what dies, and stops everything in reverse.

One thread and no polling: the supervisor sleeps in the kernel until a part ends, a restart is due, or a signal comes.
"""

import select
import signal
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType, TracebackType
from typing import Final, Self

from costhub.lib import clock
from costhub.stack.part import Part, PartFailed

#: a part that ends sooner after its start than this died quickly
QUICK_DEATH_SECONDS: Final = 10.0
#: so many quick deaths in a row, and the part is named as failing
FAILING_AFTER_DEATHS: Final = 5
FIRST_DELAY_SECONDS: Final = 0.5
LONGEST_DELAY_SECONDS: Final = 30.0
#: how often a restarted part is asked whether it answers yet
RECOVERY_POLL_SECONDS: Final = 0.25
#: how soon a change that could not be told is told again
TELL_AGAIN_SECONDS: Final = 10.0
#: a restarted part that does not answer for so long is named
SLOW_RECOVERY_SECONDS: Final = 30.0

STOP_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopRequested(BaseException):
    """Somebody asked the stack to stop. Not an Exception: nothing on the way may take it for a failure."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = signal.Signals(number)


@dataclass
class _Watched:
    """A part and what its past says about its future."""

    part: Part
    started_ns: int
    quick_deaths: int = 0
    restart_at_ns: int | None = None
    recovering: bool = False
    named_slow: bool = False


class Supervisor:
    """Owns the stack's processes from start to stop; use it in a ``with`` statement on the main thread.

    ``say`` receives every sentence for the person at the terminal, ``on_change`` is called when process ids have
    changed, and once more after an OSError of its own. Every part inherits ``shared_descriptors``.
    """

    def __init__(
        self,
        say: Callable[[str], None],
        *,
        first_delay_seconds: float = FIRST_DELAY_SECONDS,
        shared_descriptors: tuple[int, ...] = (),
    ) -> None:
        self._shared_descriptors = shared_descriptors
        self._first_delay_seconds = first_delay_seconds
        self.on_change: Callable[[], None] = lambda: None
        self._tell_again_at_ns: int | None = None
        self._say = say
        self._watched: list[_Watched] = []
        self._stopping = False
        self._previous: dict[signal.Signals, object] = {}

    def __enter__(self) -> Self:
        self._previous = {number: signal.signal(number, self._on_signal) for number in STOP_SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping = True
        if isinstance(error, StopRequested):
            self._say(f"Stopping after {error}. Ask once more to kill what is slow.")
        self.stop()
        for number, previous in self._previous.items():
            signal.signal(number, previous)  # type: ignore[arg-type]  # what signal.signal() itself gave

    @property
    def pids(self) -> dict[str, int | None]:
        """The process id of every part by its name; None while a part is down."""
        return {watched.part.name: watched.part.pid for watched in self._watched}

    def start(self, *parts: Part, timeout_seconds: float = 60.0) -> None:
        """Start the parts together and return when every one answers. Raises PartFailed, StopRequested."""
        self.launch(*parts)
        self.wait_ready(*parts, timeout_seconds=timeout_seconds)

    def launch(self, *parts: Part) -> None:
        """Start the parts without waiting for them."""
        for part in parts:
            part.shared_descriptors = self._shared_descriptors
            self._watched.append(_Watched(part, clock.monotonic_ns()))
            part.start()

    def wait_ready(self, *parts: Part, timeout_seconds: float = 60.0) -> None:
        """Return when every one of the parts answers. Raises PartFailed, StopRequested."""
        for part in parts:
            part.wait_ready(timeout_seconds)

    def run(self) -> None:
        """Keep every part running until a signal comes, which leaves as StopRequested."""
        while True:
            self._wait()
            for watched in self._watched:
                self._look_after(watched)
            if self._tell_again_at_ns is not None and self._tell_again_at_ns <= clock.monotonic_ns():
                self._tell_change()

    def stop(self) -> None:
        """Stop every part, the last one started first. Returns when no process is left."""
        while self._watched:
            part = self._watched[-1].part
            part.stop()
            self._watched.pop()

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if not self._stopping:
            self._stopping = True
            raise StopRequested(number)
        # Asked twice: whoever asks has no patience left for anybody's last words.
        for watched in self._watched:
            watched.part.kill()

    def _wait(self) -> None:
        """Sleep until a part has ended or the next thing is due."""
        poll = select.poll()
        for watched in self._watched:
            if watched.part.pidfd is not None:
                poll.register(watched.part.pidfd, select.POLLIN)
        due = [watched.restart_at_ns for watched in self._watched if watched.restart_at_ns is not None]
        if any(watched.recovering for watched in self._watched):
            due.append(clock.ends_in(RECOVERY_POLL_SECONDS))
        if self._tell_again_at_ns is not None:
            due.append(self._tell_again_at_ns)
        poll.poll(max(0.0, (min(due) - clock.monotonic_ns()) / 1e6) if due else None)

    def _look_after(self, watched: _Watched) -> None:
        if watched.restart_at_ns is not None:
            if watched.restart_at_ns <= clock.monotonic_ns():
                self._restart(watched)
        elif not watched.part.is_alive():
            code = watched.part.reap()
            self._note_death(watched, f"ended with exit code {code}")
        elif watched.recovering:
            self._check_recovery(watched)

    def _restart(self, watched: _Watched) -> None:
        watched.restart_at_ns = None
        watched.started_ns = clock.monotonic_ns()
        watched.recovering, watched.named_slow = True, False
        try:
            watched.part.start()
        except (PartFailed, OSError) as error:
            self._note_death(watched, f"could not be started: {error}")
        else:
            self._tell_change()

    def _tell_change(self) -> None:
        """A disk that is full, say, ends nothing that runs."""
        try:
            self.on_change()
        except OSError as error:
            if self._tell_again_at_ns is None:
                self._say(f"Which processes run cannot be noted: {error}. It is tried again, and they go on.")
            self._tell_again_at_ns = clock.ends_in(TELL_AGAIN_SECONDS)
        else:
            self._tell_again_at_ns = None

    def _note_death(self, watched: _Watched, how: str) -> None:
        """Say what happened and set the time of the next try: at once for the first death, later for every next."""
        name, now_ns = watched.part.name, clock.monotonic_ns()
        quick = now_ns - watched.started_ns < QUICK_DEATH_SECONDS * 1e9
        watched.quick_deaths = watched.quick_deaths + 1 if quick else 0
        delay = min(self._first_delay_seconds * 2**watched.quick_deaths, LONGEST_DELAY_SECONDS)
        watched.restart_at_ns = now_ns + int(delay * 1e9)
        watched.recovering = False
        if watched.quick_deaths >= FAILING_AFTER_DEATHS:
            self._say(
                f"{name} is FAILING: it {how}, {watched.quick_deaths} times within {QUICK_DEATH_SECONDS:g} s of its start. "
                f"Its log is {watched.part.log_path}. The next try is in {delay:g} s."
            )
        else:
            self._say(f"{name} {how}. It is started again in {delay:g} s.")

    def _check_recovery(self, watched: _Watched) -> None:
        if watched.part.is_ready():
            watched.recovering = False
            self._say(f"{watched.part.name} answers again.")
        elif not watched.named_slow and clock.monotonic_ns() - watched.started_ns > SLOW_RECOVERY_SECONDS * 1e9:
            watched.named_slow = True
            self._say(
                f"{watched.part.name} was started again but has not answered for {SLOW_RECOVERY_SECONDS:g} s. "
                f"Its log is {watched.part.log_path}."
            )
