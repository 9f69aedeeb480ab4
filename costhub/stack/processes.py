"""What the kernel can do for whoever starts other processes: tell when one ends, and end one with its parent."""

import ctypes
import os
import select
import signal
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from costhub.lib import clock

_PR_SET_PDEATHSIG: Final = 1
_LIBC: Final = ctypes.CDLL(None, use_errno=True)


def die_with_parent(number: signal.Signals) -> Callable[[], None]:
    """For ``preexec_fn``: has the kernel send ``number`` to the new process when the thread that started it ends."""
    parent = os.getpid()

    def ask_kernel() -> None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0)
        # The parent may have died before the kernel was asked: nobody would tell us any more.
        if os.getppid() != parent:
            os._exit(1)

    return ask_kernel


def has_ended(pidfd: int, timeout_seconds: float | None) -> bool:
    """Wait for a process to end: True as soon as it has, False when the time (None: no limit) is up."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(None if timeout_seconds is None else timeout_seconds * 1000))


def send_signal(pidfd: int, number: signal.Signals) -> None:
    """Signal exactly this process, never another one that got its number. One that has ended is no error."""
    with suppress(ProcessLookupError):
        signal.pidfd_send_signal(pidfd, number)


def signal_and_wait(pids: list[int], number: signal.Signals | None, timeout_seconds: float) -> None:
    """Signal every process (None: only wait), then return when all have ended or the time is up."""
    descriptors = []
    for pid in pids:
        with suppress(ProcessLookupError):
            descriptors.append(os.pidfd_open(pid))
    if number is not None:
        for descriptor in descriptors:
            send_signal(descriptor, number)
    deadline = clock.ends_in(timeout_seconds)
    for descriptor in descriptors:
        has_ended(descriptor, max(0.0, (deadline - clock.monotonic_ns()) / 1e9))
        os.close(descriptor)
