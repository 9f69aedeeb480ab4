"""CostHub itself, as `costhub up` runs it, with all of its accounting.

Every call is authenticated, reserved in four hard budgets (organisation, project, key, end user), settled, and written
to the ledger; the Celery worker drains the ledger into PostgreSQL while the load runs. The one proxy worker is alone on
the server's core; Valkey, PostgreSQL and Celery share the load's cores.
"""

import json
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from bench.load import Endpoint
from bench.machine import Cores, Program, descendants, free_port, memory_of, pin_process, start_program
from bench.peers.base import Peer, Unavailable
from bench.upstream import Kind, Upstream

ROOT: Final = Path(__file__).resolve().parent.parent.parent
START_SECONDS: Final = 180.0
#: PostgreSQL writes its last checkpoint, Celery ends its tasks
STOP_SECONDS: Final = 60.0
POPULATE_SECONDS: Final = 600.0
_POPULATE: Final = "import django; django.setup(); from bench.populate import main; main()"


@dataclass(frozen=True, slots=True)
class Order:
    """Tenants to be made. ``base_urls``: an upstream and a model, called ``bench-<name>``, for each. ``has_limits``:
    beside the budgets also rate limits and a ladder, so wide that none of them refuses or changes a call;
    ``has_cache``:
    equal calls are answered from the cache; ``has_routes``: that name is a router over two models, and prompts are
    shortened by what loses nothing."""

    base_urls: dict[str, str]
    organizations: int
    keys: int
    has_limits: bool = False
    has_cache: bool = False
    has_routes: bool = False


class Stack:
    """A running `costhub up` with nothing in its database, and one proxy worker unless more are asked for."""

    def __init__(self, python: str, program: Program, data: Path, settings: dict[str, str]) -> None:
        self.program = program
        self.port = 0
        self._python = python
        self._data = data
        self._settings = settings

    @classmethod
    def start(
        cls,
        upstream: Upstream,
        cores: Cores,
        work: Path,
        *,
        with_model: bool = False,
        workers: int = 1,
        checkout: Path = ROOT,
        **more: str,
    ) -> "Stack":
        """Start it and wait until every part answers. Raises Unavailable.

        ``checkout``: another version's folder, set up there, to be measured beside this one. ``more``: settings.
        """
        data, port = work / f"stack-{free_port()}", free_port()
        python = sys.executable if checkout == ROOT else str(checkout / ".venv" / "bin" / "python")
        command = [python, "-m", "costhub", "up", "--port", str(port), "--workers", str(workers), "--no-demo"]
        command += ["--data-dir", str(data)] + ([] if with_model else ["--no-model"])
        allowed = ",".join(f"127.0.0.1:{number}" for number in upstream.ports.values())
        settings = {"COSTHUB_ALLOWED_NETWORKS": allowed, "COSTHUB_LOG_LEVEL": "WARNING", "PYTHONPATH": str(checkout)}
        settings |= more
        program = start_program(command, cores.load, work / f"{data.name}.log", settings)
        stack = cls(python, program, data, settings)
        try:
            stack._wait(port)
            for pid in stack.proxy_pids():
                pin_process(pid, [cores.server])
        except BaseException:
            stack.stop()
            raise
        return stack

    def _wait(self, port: int) -> None:
        deadline = time.perf_counter() + START_SECONDS
        while not self._announcement.exists():
            if self.program.process.poll() is not None or time.perf_counter() > deadline:
                raise Unavailable("`costhub up` did not start", self.program.last_words())
            time.sleep(0.1)
        self.port = port

    def stop(self) -> None:
        """Ctrl-C, and wait until every part has ended."""
        self.program.stop(STOP_SECONDS)

    def proxy_pids(self) -> list[int]:
        """The web server and its worker."""
        return descendants(int(json.loads(self._announcement.read_text())["pids"]["proxy"]))

    def worker_pids(self) -> list[int]:
        """The processes that serve calls: what the web server started, without Python's own resource tracker."""
        return [pid for pid in self.proxy_pids()[1:] if b"--multiprocessing-fork" in _command_of(pid)]

    def worker_pid(self) -> int:
        """The only one of them, whatever version of CostHub runs: the largest."""
        return max(self.proxy_pids()[1:], key=lambda pid: memory_of([pid]).resident)

    def valkey_pid(self) -> int:
        """Valkey's own process."""
        return int(json.loads(self._announcement.read_text())["pids"]["valkey"])

    def all_pids(self) -> list[int]:
        """Every process of the stack."""
        parts = json.loads(self._announcement.read_text())["pids"].values()
        found = {pid for part in parts if part for pid in descendants(int(part))}
        return sorted(found | set(descendants(self.program.process.pid)))

    def populate(self, order: Order) -> list[list[str]]:
        """Make tenants; gives the secrets of each organisation's keys. Raises Unavailable."""
        ran = subprocess.run(
            [self._python, "-c", _POPULATE],
            # an older version need not know of what was not asked for
            input=json.dumps({name: value for name, value in asdict(order).items() if value is not False}),
            capture_output=True,
            text=True,
            env=self.environment(),
            cwd=self._data,  # what Python imports comes from the checkout, wherever this runs
            timeout=POPULATE_SECONDS,
        )
        if ran.returncode != 0:
            raise Unavailable("its tenants could not be made", ran.stderr.strip()[-600:])
        secrets: list[list[str]] = json.loads(ran.stdout)
        return secrets

    def environment(self) -> dict[str, str]:
        """What a management command needs to work on this stack."""
        own: dict[str, Any] = json.loads((self._data / "environment.json").read_text())
        return self._settings | {name: str(value) for name, value in own.items()}

    @property
    def _announcement(self) -> Path:
        return self._data / "stack.json"


class CostHub(Peer):
    """One proxy worker of CostHub, accounting on."""

    name = "costhub"
    title = "CostHub"
    note = (
        "Python; with key check, a reservation in four hard budgets, settlement and ledger, the drain into PostgreSQL "
        "running beside the load"
    )
    warm_up_seconds = 2.0

    def __init__(self) -> None:
        super().__init__()
        self.stack: Stack | None = None

    def start(self, upstream: Upstream, cores: Cores, work: Path) -> dict[Kind, Endpoint]:
        self.stack = Stack.start(upstream, cores, work)
        [[secret]] = self.stack.populate(
            Order({kind.value: upstream.base_url(kind) for kind in Kind}, organizations=1, keys=1)
        )
        return {kind: endpoint_for(self.stack, kind, secret) for kind in Kind}

    def stop(self) -> None:
        if self.stack is not None:
            self.stack.stop()
            self.stack = None

    def worker_pids(self) -> list[int]:
        return [self.stack.worker_pid()] if self.stack is not None else []

    def last_words(self) -> str:
        return self.stack.program.last_words() if self.stack is not None else ""


def _command_of(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


def endpoint_for(stack: Stack, kind: Kind, secret: str) -> Endpoint:
    """The way in with one key."""
    return Endpoint(stack.port, kind, model=f"bench-{kind}", headers={"authorization": f"Bearer {secret}"})
