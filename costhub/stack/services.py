"""CostHub's own processes: the ASGI server, the Celery worker and Celery beat."""

import http
import secrets
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Final, TypeVar

import redis
from celery import Celery
from kombu.exceptions import OperationalError

from costhub.lib import draining
from costhub.lib.broker import broker_options
from costhub.lib.keyspace import BATCH_QUEUE, QUICK_QUEUE, SLOW_QUEUE
from costhub.lib.process_slots import ProcessSlots
from costhub.lib.redis import connect
from costhub.stack.model_server import get_status, get_status_at
from costhub.stack.part import Part
from costhub.stack.ports import HOST
from costhub.stack.private_files import make_passable
from costhub.stack.pulse import PULSE, Pulse

Answer = TypeVar("Answer")

#: pages leave the cores to calls first, as far as the kernel's scheduler goes
GIVES_WAY: Final = 10
#: a Unix socket's path has no more bytes than this
MAX_SOCKET_BYTES: Final = 100
#: a worker has the same few processes for all of its tasks, and one database connection in each
KEPT_SECONDS: Final = 60


class Service(Part):
    """A process that runs our code: it gets the whole environment."""

    def __init__(self, data_dir: Path, environment: dict[str, str]) -> None:
        super().__init__(data_dir)
        self._environment = environment

    def prepare(self) -> None:
        """Nothing is needed beyond the process."""

    def environment(self) -> dict[str, str]:
        return self._environment


class Silent(Service):
    """One that answers nobody, and shows in files that it lives."""

    def prepare(self) -> None:
        Pulse(self._pulse).forget()

    def environment(self) -> dict[str, str]:
        return super().environment() | {PULSE: str(self._pulse)}

    @property
    def _pulse(self) -> Path:
        return self.data_dir / self.name


class Proxy(Service):
    """The web server with the ASGI app: the LLM API, the management API and the console on one port."""

    name: ClassVar[str] = "proxy"

    def __init__(
        self,
        data_dir: Path,
        environment: dict[str, str],
        *,
        port: int,
        workers: int,
        host: str = HOST,
        app: str = "costhub.asgi:application",
    ) -> None:
        super().__init__(data_dir, environment)
        self.stop_signals = ((signal.SIGTERM, _drain_seconds(environment)),)
        self.host = host
        self.port = port
        self.workers = workers
        self.app = app

    def prepare(self) -> None:
        # What was counted before the whole server stopped is over: Prometheus takes a counter that begins anew. Pages
        # that live on beside it keep their files: they would write into deleted ones, which nobody reads.
        make_passable(self._metrics)
        for number in ProcessSlots(self._metrics).find_free():
            for file in self._metrics.glob(f"*_{number}.db"):
                file.unlink()

    def environment(self) -> dict[str, str]:
        return {"PROMETHEUS_MULTIPROC_DIR": str(self._metrics)} | super().environment()

    def command(self) -> list[str]:
        return [
            *(sys.executable, "-m", "costhub.serve", "--host", self.host, "--port", str(self.port)),
            *("--workers", str(self.workers), "--app", self.app),
        ]

    def is_ready(self) -> bool:
        return get_status(self.port, "/readyz", timeout_seconds=5) == http.HTTPStatus.OK

    @property
    def _metrics(self) -> Path:
        return self.data_dir / "metrics"


class Pages(Service):
    """The processes that answer pages and the management API, behind the web server and apart from calls."""

    name: ClassVar[str] = "pages"

    def __init__(self, data_dir: Path, environment: dict[str, str], *, workers: int = 1) -> None:
        super().__init__(data_dir, environment)
        self.stop_signals = ((signal.SIGTERM, _drain_seconds(environment)),)
        self.workers = workers
        self._socket = environment["COSTHUB_PAGES_SOCKET"]

    def environment(self) -> dict[str, str]:
        # The figures that /metrics shows are those of the processes that take calls.
        return {"PROMETHEUS_MULTIPROC_DIR": str(self.data_dir / "metrics")} | super().environment()

    def command(self) -> list[str]:
        return [
            *(sys.executable, "-m", "costhub.serve", "--socket", self._socket, "--workers", str(self.workers)),
            *("--nice", str(GIVES_WAY), "--app", "costhub.asgi:pages"),
        ]

    def is_ready(self) -> bool:
        return get_status_at(self._socket, "/healthz", timeout_seconds=5) == http.HTTPStatus.OK


class Worker(Silent):
    """The Celery worker: it drains the ledger stream and runs everything else that is not a call."""

    name: ClassVar[str] = "worker"
    queue: ClassVar[str] = QUICK_QUEUE
    concurrency: ClassVar[int] = 2
    # Warm: finish the tasks in hand; then cold: leave them in the queue.
    stop_signals = ((signal.SIGTERM, 15.0), (signal.SIGQUIT, 5.0))
    # When the supervisor dies so does Valkey: a worker that is merely asked would wait for it for ever.
    orphan_signal: ClassVar = signal.SIGKILL

    def __init__(self, data_dir: Path, environment: dict[str, str], *, app: str = "costhub.celery") -> None:
        super().__init__(data_dir, {"COSTHUB_DATABASE_CONN_MAX_AGE": str(KEPT_SECONDS)} | environment)
        self.app = app
        # Unique, so that a ping on a broker shared with others is answered by this worker and no other.
        self.node = f"costhub-{secrets.token_hex(4)}@localhost"

    def command(self) -> list[str]:
        return [
            *(sys.executable, "-m", "celery", "-A", self.app, "worker", "--hostname", self.node),
            *(
                "--queues",
                self.queue,
                "--pool",
                "prefork",
                "--concurrency",
                str(self.concurrency),
                "--loglevel",
                "INFO",
            ),
            *("--without-gossip", "--without-mingle"),
        ]

    def is_ready(self) -> bool:
        return ping_worker(self._environment.get("COSTHUB_BROKER_URL") or self._environment["REDIS_URL"], self.node)


class SlowWorker(Worker):
    """The Celery worker for jobs that take their time: sums, forecasts, corrections, recounts."""

    name: ClassVar[str] = "slow-worker"
    queue: ClassVar[str] = SLOW_QUEUE
    concurrency: ClassVar[int] = 1


class BatchWorker(Worker):
    """The Celery worker for batches: it waits for upstreams, many calls at a time."""

    name: ClassVar[str] = "batch-worker"
    queue: ClassVar[str] = BATCH_QUEUE
    concurrency: ClassVar[int] = 1


#: every worker of Celery's
WORKERS: Final = (Worker, SlowWorker, BatchWorker)


class Beat(Silent):
    """Celery beat: it puts what is due into the queue, together with every other beat on the same Valkey."""

    name: ClassVar[str] = "beat"
    stop_signals = ((signal.SIGTERM, 5.0),)
    orphan_signal: ClassVar = signal.SIGKILL

    def __init__(self, data_dir: Path, environment: dict[str, str], *, app: str = "costhub.celery") -> None:
        super().__init__(data_dir, environment)
        self.app = app

    def prepare(self) -> None:
        super().prepare()
        # After a kill the number in it may be another process's by now, which Celery would take for a running beat.
        self._pid_path.unlink(missing_ok=True)

    def command(self) -> list[str]:
        return [
            *(sys.executable, "-m", "celery", "-A", self.app, "beat", "--loglevel", "INFO"),
            *("--scheduler", "costhub.ops.beat.SharedScheduler", "--pidfile", str(self._pid_path)),
        ]

    def is_ready(self) -> bool:
        """Beat answers nobody: it counts as ready once it has written its number, which it does to begin ticking."""
        return self.is_alive() and self._pid_path.exists()

    @property
    def _pid_path(self) -> Path:
        return self.data_dir / "beat.pid"


def _drain_seconds(environment: dict[str, str]) -> float:
    """How long a web server may take to stop. A bad value is told by the settings, which it reads itself."""
    said = environment.get(draining.DRAIN, "")
    return (int(said) if said.isdecimal() else draining.DRAIN_SECONDS) + draining.GRACE_SECONDS


def choose_pages_socket(data_dir: Path) -> str:
    """Where pages listen: in the data directory, or, where that lies too deep for a socket's name, nowhere: pages are
    then answered by whoever takes calls."""
    path = str((data_dir / "pages.sock").absolute())
    return path if len(path.encode()) <= MAX_SOCKET_BYTES else ""


def ping_worker(broker_url: str, node: str, timeout_seconds: float = 1.0) -> bool:
    """True when the Celery worker ``node`` on this broker answers in time."""
    return bool(_ask_workers(broker_url, lambda all_: all_.ping(destination=[node], timeout=timeout_seconds, limit=1)))


def find_served_queues(broker_url: str, timeout_seconds: float) -> set[str]:
    """The queues that Celery workers on this broker take from. Waits so long, because it cannot know how many
    answer."""
    answers = _ask_workers(broker_url, lambda all_: all_.inspect(timeout=timeout_seconds).active_queues()) or {}
    return {queue["name"] for queues in answers.values() for queue in queues}


def _ask_workers(broker_url: str, question: Callable[[Any], Answer]) -> Answer | None:
    try:
        # Asked first because Celery would try again and again to reach a broker that is down.
        with connect(broker_url, seconds=2) as broker:
            broker.ping()
        with Celery(set_as_current=False) as client:
            client.conf.update(broker_options(broker_url))
            return question(client.control)
    except (redis.RedisError, OperationalError, OSError):
        return None
