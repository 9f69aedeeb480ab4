"""A small stack in a process of its own, for tests that kill it: `python -m tests.stack.supervised DATA_DIR PART...`.

It prints one JSON line, its parts' process ids and addresses, when all are ready and after every restart; what the
supervisor says to a person goes to stderr.
"""

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from costhub.stack.part import Part, PartFailed
from costhub.stack.postgres import Postgres
from costhub.stack.supervisor import StopRequested, Supervisor
from costhub.stack.valkey import Valkey


class Deaf(Part):
    """A part that ignores every request to stop and has a child that does so too."""

    name: ClassVar[str] = "deaf"
    stop_signals = ((signal.SIGTERM, 0.2),)
    orphan_signal: ClassVar = signal.SIGKILL

    def prepare(self) -> None:
        self.child_pid_path.unlink(missing_ok=True)

    def command(self) -> list[str]:
        script = f'trap "" TERM INT; sh -c \'trap "" TERM INT; while :; do sleep 60; done\' & echo $! > {self.child_pid_path}; wait; wait'
        return ["/bin/sh", "-c", script]

    def is_ready(self) -> bool:
        return self.child_pid_path.exists() and self.child_pid_path.read_text().endswith("\n")

    @property
    def child_pid_path(self) -> Path:
        return self.data_dir / "deaf-child.pid"


class Crasher(Part):
    """A part that is ready until it is first restarted, and from then on ends as soon as it has started."""

    name: ClassVar[str] = "crasher"
    starts = 0

    def prepare(self) -> None:
        self.starts += 1

    def command(self) -> list[str]:
        return ["/bin/sh", "-c", "exit 3" if self.starts > 1 else "sleep 600"]

    def is_ready(self) -> bool:
        return self.is_alive()


def main(data_dir: Path, names: list[str]) -> int:
    makers: dict[str, Callable[[], Part]] = {
        "postgres": lambda: Postgres(data_dir, durable=False),
        "valkey": lambda: Valkey(data_dir),
    }
    makers |= {"deaf": lambda: Deaf(data_dir), "crasher": lambda: Crasher(data_dir)}
    parts: dict[str, Part] = {name: makers[name]() for name in names}

    def tell() -> None:
        postgres, valkey = parts.get("postgres"), parts.get("valkey")
        told = {
            "uid": os.getuid(),
            "pids": supervisor.pids,
            "database_url": postgres.url_app if isinstance(postgres, Postgres) else None,
            "home": str(postgres.home) if isinstance(postgres, Postgres) else None,
            "redis_url": valkey.url if isinstance(valkey, Valkey) else None,
        }
        print(json.dumps(told), flush=True)

    try:
        with Supervisor(
            lambda sentence: print(sentence, file=sys.stderr, flush=True), first_delay_seconds=0.01
        ) as supervisor:
            supervisor.on_change = tell
            supervisor.start(*parts.values())
            tell()
            supervisor.run()
    except StopRequested:
        print("stopped", file=sys.stderr)
        return 0
    except PartFailed as error:
        print(error, file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
