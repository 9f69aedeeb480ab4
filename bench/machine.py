"""The machine under the measurement: which core does what, what else it is busy with, and the processes we start."""

import os
import platform
import signal
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

STOP_SECONDS: Final = 10.0
QUIET_SHARE: Final = 0.15
QUIET_WAIT_SECONDS: Final = 3.0


@dataclass(frozen=True, slots=True)
class Cores:
    """The server under test has one core to itself; all else shares the others."""

    server: int
    load: frozenset[int]

    @property
    def are_apart(self) -> bool:
        """Whether the load really runs beside the server and not on its core."""
        return self.server not in self.load


def share_out_cores() -> Cores:
    """The first core of this process for the server, the rest for the load (the same one if there is only one)."""
    allowed = sorted(os.sched_getaffinity(0))
    return Cores(allowed[0], frozenset(allowed[1:] or allowed))


@contextmanager
def running_on(cores: Iterable[int]) -> Iterator[None]:
    """Processes started inside inherit these cores."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, set(cores))
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def free_port() -> int:
    """A TCP port of the loopback address that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(slots=True)
class Program:
    """A program in a process group of its own."""

    process: subprocess.Popen[bytes]
    log: Path

    def stop(self, patience_seconds: float = STOP_SECONDS) -> None:
        """End the whole group: politely, then not."""
        group = self.process.pid
        for kind, patience in ((signal.SIGTERM, patience_seconds), (signal.SIGKILL, STOP_SECONDS)):
            with suppress(ProcessLookupError):
                os.killpg(group, kind)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(patience)
                break
        with suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)

    def last_words(self, lines: int = 6) -> str:
        """The end of what it printed."""
        return " | ".join(self.log.read_text(errors="replace").splitlines()[-lines:])[-600:]


def start_program(
    command: Sequence[str], cores: Iterable[int], log: Path, environment: Mapping[str, str] | None = None
) -> Program:
    """Start a program on the given cores, with a small environment and its output in a file."""
    base = {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(log.parent), "LANG": "C.UTF-8"}
    with running_on(cores), log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=log.parent,
            env=base | dict(environment or {}),
            start_new_session=True,
        )
    return Program(process, log)


def pin_process(pid: int, cores: Iterable[int]) -> None:
    """Move a running process to the given cores, every thread of it."""
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with suppress(ProcessLookupError):
            os.sched_setaffinity(int(thread.name), set(cores))


def descendants(pid: int) -> list[int]:
    """The process and all that it started, itself first."""
    children: dict[int, list[int]] = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = status.read_text().rpartition(")")[2].split()
            children.setdefault(int(fields[1]), []).append(int(status.parent.name))
    found, waiting = [], [pid]
    while waiting:
        found.append(waiting.pop())
        waiting += children.get(found[-1], [])
    return found


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes of a set of processes: resident, and with shared pages divided among their sharers."""

    resident: int
    proportional: int


def memory_of(pids: Iterable[int]) -> Memory:
    """What these processes hold now; one that is gone counts for nothing."""
    resident = proportional = 0
    for pid in pids:
        with suppress(OSError):
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                name, _, rest = line.partition(":")
                if name == "Rss":
                    resident += int(rest.split()[0]) * 1024
                elif name == "Pss":
                    proportional += int(rest.split()[0]) * 1024
    return Memory(resident, proportional)


@dataclass(slots=True)
class BusyMeter:
    """How busy each core was since ``start``, as a share of 1."""

    began: dict[int, tuple[int, int]]

    @classmethod
    def start(cls) -> "BusyMeter":
        return cls(_core_ticks())

    def read(self) -> dict[int, float]:
        """Core -> share of the time that it did not idle."""
        shares = {}
        for core, (busy, total) in _core_ticks().items():
            busy_before, total_before = self.began.get(core, (0, 0))
            shares[core] = (busy - busy_before) / max(total - total_before, 1)
        return shares


def cpu_seconds(pid: int) -> float:
    """Processor time of a process so far, of its threads and in the kernel for it, to a hundredth of a second."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def wait_until_quiet(cores: Cores) -> float:
    """Wait, a few seconds at most, until nobody else works on our cores; gives the busiest core's share then.

    A server that still writes down what the last round made it do would otherwise be paid for by the next one.
    """
    deadline = time.perf_counter() + QUIET_WAIT_SECONDS
    while True:
        meter = BusyMeter.start()
        time.sleep(0.2)
        busiest = max(share for core, share in meter.read().items() if core == cores.server or core in cores.load)
        if busiest <= QUIET_SHARE or time.perf_counter() > deadline:
            return busiest


def describe_machine(cores: Cores) -> dict[str, str | int | bool]:
    """What a reader needs to know of the machine; nothing that names it."""
    model = "unknown"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return {
        "cpu": model,
        "cores_used": 1 + len(cores.load - {cores.server}),
        "load_on_other_cores": cores.are_apart,
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": f"{platform.python_version()} ({platform.python_compiler()})",
    }


def _core_ticks() -> dict[int, tuple[int, int]]:
    ticks = {}
    for line in Path("/proc/stat").read_text().splitlines():
        name, *numbers = line.split()
        if name.startswith("cpu") and name != "cpu":
            counts = [int(number) for number in numbers[:8]]
            ticks[int(name[3:])] = (sum(counts) - counts[3] - counts[4], sum(counts))
    return ticks
