"""Real proxy processes for a test: the web server with so many workers, on the test run's own PostgreSQL and Valkey."""

import os
import signal
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx2
import psutil

from costhub.stack.ports import find_free_port
from tests.nursery import Forked
from tests.patience import PATIENCE_SECONDS
from tests.proxy.nursery import fork_proxy

ROOT = Path(__file__).resolve().parents[2]
STOP_SECONDS = 3
#: a twentieth of a second each, and more: on a busy machine imports take their time
START_TRIES = 4_000
#: For clients that speak plain HTTP to loopback: reading the machine's certificates for each of them would take longer
#: than its calls.
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
PATIENT = {
    "COSTHUB_ALLOWED_NETWORKS": "127.0.0.0/8",
    "PYTHONWARNINGS": "",
    # Reading one takes a process half a second: those tests that count have it read.
    "COSTHUB_VOCABULARIES": "",
}


#: the ports of those that are deployed now
living: set[int] = set()


class Deployment:
    """Proxy processes behind one port."""

    def __init__(self, process: "Forked | subprocess.Popen[bytes]", port: int, log: Path) -> None:
        self._process = process
        self.port = port
        self.log = log

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def root_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def worker_pids(self) -> list[int]:
        """The children that serve. Python's own resource tracker, which starts first, does not."""
        found = []
        for child in psutil.Process(self._process.pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                if "resource_tracker" not in " ".join(child.cmdline()):
                    found.append(child.pid)
        return found

    def wait_until_it_answers(self) -> None:
        """Return when a worker takes requests. Raises AssertionError with the log when none ever does."""
        pause = threading.Event()
        with httpx2.Client(trust_env=False, verify=NO_TLS, timeout=5) as http:
            for _ in range(START_TRIES):
                if self._process.poll() is not None:
                    break
                try:
                    # Who asks the pages has a worker import all of them.
                    http.get(f"{self.base_url}/models")
                    return
                except httpx2.TransportError:
                    pause.wait(0.05)
        raise AssertionError(f"the proxy did not start:\n{self.log.read_text()}")

    def find_asking(self, port: int) -> int:
        """The worker that has most connections to an upstream's port, or 0 where none has any."""
        asking = {pid: count_connections(pid, port) for pid in self.worker_pids}
        pid = max(asking, key=lambda pid: asking[pid])
        return pid if asking[pid] else 0

    def kill_worker(self, port: int) -> int:
        """kill -9 of the worker that asks an upstream most, by its port; another is started."""
        pid = self.find_asking(port)
        assert pid, "nobody asks it"
        os.kill(pid, signal.SIGKILL)
        return pid

    def kill(self) -> None:
        """kill -9 of all of it at once."""
        for pid in [*self.worker_pids, self._process.pid]:
            os.kill(pid, signal.SIGKILL)
        self._process.wait()

    def terminate(self) -> int:
        """SIGTERM, and its exit code when it has ended by itself."""
        self._process.terminate()
        return self._process.wait(timeout=PATIENCE_SECONDS)

    def stop(self) -> None:
        """Make sure that nothing is left: politely, and when that takes long, not."""
        if self._process.poll() is not None:
            return
        children = psutil.Process(self._process.pid).children(recursive=True)
        self._process.terminate()
        try:
            self._process.wait(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            # a worker that was told to stop while it was still starting may take its time
            self._process.kill()
            self._process.wait()
        for child in children:
            if child.is_running():
                child.kill()


def count_connections(pid: int, port: int) -> int:
    """How many connections a process has from or to a port."""
    return sum(
        connection.status == psutil.CONN_ESTABLISHED
        and port in {end.port for end in (connection.laddr, connection.raddr) if end}
        for connection in psutil.Process(pid).net_connections("tcp")
    )


@contextmanager
def deploy(
    directory: Path,
    *,
    workers: int = 1,
    port: int | None = None,
    app: str = "costhub.asgi:application",
    **environment: str,
) -> Iterator[Deployment]:
    """Start proxy processes and wait until one answers. ``environment`` goes over the test run's own. They are forked
    where that can be (tests/proxy/nursery.py); a setting of their own has them spawned.

    Loopback is on the operator's list of networks, because the bank lives there. Valkey may take its time: how fast a
    busy machine is says nothing about the product.
    """
    port = port or find_free_port()
    log = directory / f"proxy-{port}.log"
    arguments = ["--port", str(port), "--workers", str(workers), "--app", app]
    whole = os.environ | PATIENT | environment
    process: Forked | subprocess.Popen[bytes] | None
    with log.open("ab") as sink:
        process = fork_proxy(arguments, whole, environment, sink.fileno())
        if process is None:
            command = [sys.executable, "-m", "costhub.serve", *arguments]
            process = subprocess.Popen(command, cwd=ROOT, env=whole, stdout=sink, stderr=sink)
    deployment = Deployment(process, port, log)
    living.add(port)
    try:
        deployment.wait_until_it_answers()
        yield deployment
    finally:
        deployment.stop()
        living.discard(port)
