"""Notices that a worker has to end: a signal, or the cloud's word that it takes the machine away."""

import logging
import signal
import threading
from types import FrameType
from typing import Final

from costhub.lib.instance_metadata import read_interruption

_log = logging.getLogger(__name__)

#: as the cloud advises; it tells two minutes before
POLL_SECONDS: Final = 5.0


class Interruption:
    """Whether to end, and why. Safe to ask from any thread."""

    def __init__(self) -> None:
        self._is_noticed = threading.Event()
        self._is_over = threading.Event()
        self.reason = ""

    def notice(self, reason: str) -> None:
        """It is time to end; the first reason counts."""
        if not self._is_noticed.is_set():
            self.reason = reason
            self._is_noticed.set()

    @property
    def is_noticed(self) -> bool:
        """Whether it is time to end."""
        return self._is_noticed.is_set()

    def wait(self, seconds: float) -> bool:
        """Wait for the notice, for so long at the most; says whether it came."""
        return self._is_noticed.wait(seconds)

    def listen_to_signals(self) -> None:
        """SIGTERM and SIGINT are notices from now on. Only in the main thread."""

        def notice(number: int, frame: FrameType | None) -> None:
            # Only a note: whatever runs now ends its step first.
            self.notice(signal.Signals(number).name)

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, notice)

    def poll_cloud(self, url: str, seconds: float = POLL_SECONDS) -> None:
        """Ask the cloud every few seconds, in a thread of its own, until ``stop``."""
        threading.Thread(target=self._poll, args=(url, seconds), name="interruptions", daemon=True).start()

    def stop(self) -> None:
        """Ask the cloud no more."""
        self._is_over.set()

    def _poll(self, url: str, seconds: float) -> None:
        while not self._is_over.is_set() and not self.is_noticed:
            told = read_interruption(url)
            if told is not None:
                _log.warning("the cloud takes this machine away", extra={"notice": told[:300]})
                self.notice("spot interruption")
            self._is_over.wait(seconds)
