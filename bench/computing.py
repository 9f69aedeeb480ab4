"""What programs compute: their time on a processor, which other jobs on the machine change little, unlike the clock."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import psutil

#: what a server of ours is told by
SERVERS: Final[Mapping[str, str]] = {"postgres": "PostgreSQL", "valkey": "Valkey", "redis": "Valkey"}


@dataclass(frozen=True, slots=True)
class Computing:
    """This program, under a name of its ``own``, and those below it, by what of a command line tells them."""

    own: str
    names: Mapping[str, str]

    def read(self) -> dict[str, float]:
        """Seconds that each has spent on a processor so far, its children that have ended included."""
        own = psutil.Process()
        found: dict[str, float] = {self.own: sum(own.cpu_times()[:2])}
        for process in own.children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                # Zombies have no command line any more.
                command = " ".join(process.cmdline()) or process.name()
                name = next((name for mark, name in self.names.items() if mark in command), "others")
                found[name] = found.get(name, 0.0) + sum(process.cpu_times()[:4])
        return found

    def since(self, before: Mapping[str, float]) -> dict[str, float]:
        """Seconds of each since then; of those that have none nothing."""
        spent = {name: seconds - before.get(name, 0.0) for name, seconds in self.read().items()}
        return {name: seconds for name, seconds in spent.items() if seconds > 0.005}


def show_computing(spent: Mapping[str, float], pieces: int) -> str:
    """Microseconds a piece, in all and by program."""
    shares = ", ".join(f"{name} {seconds / pieces * 1e6:,.0f}" for name, seconds in spent.items())
    return f"{sum(spent.values()) / pieces * 1e6:,.0f} ({shares})"
