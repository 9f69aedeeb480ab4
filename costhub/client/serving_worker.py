"""``costhub serving-worker``: one server of an upstream, on a machine that may be taken away.

It registers the server where it answers, renews its lease, and on a notice (SIGTERM, or the cloud's) has it drain: no
new call comes, those under way end, and only then is it gone. One that is killed does not renew any more; proxies find
before that that it cannot be reached, and ask another one.
"""

import logging
import re
import subprocess
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import httpx2

from costhub.lib import clock
from proxy.learning.interruptions import Interruption

#: a lease, and how often it is renewed
LEASE_SECONDS: Final = 15
BEAT_SECONDS: Final = 5.0
#: for so long after the word that it drains, a proxy may still send a call that it has planned
SETTLE_SECONDS: Final = 1.0
#: of the two minutes that a cloud gives
DRAIN_SECONDS: Final = 110.0
_POLL_SECONDS: Final = 0.25
_STOP_SECONDS: Final = 10.0
_TIMEOUT_SECONDS: Final = 10.0
#: gauges of requests that a server has or keeps waiting: vLLM's, SGLang's, llama.cpp's, TGI's
_BUSY: Final = re.compile(
    r"^(?:vllm:num_requests_(?:running|waiting)|sglang:num_(?:running|queue)_reqs"
    r"|llamacpp:requests_(?:processing|deferred)|tgi_queue_size|tgi_batch_current_size)(?:\{[^}]*\})? ([0-9.e+]+)\s*$",
    re.MULTILINE,
)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Serving:
    """What a worker serves: ``base_url`` is where proxies reach the server, ``busy_url`` tells in Prometheus' format
    how many requests it has, ``command`` starts it, unless somebody else does. ``per_hour``: USD of each of its
    ``gpus``, which ``project`` pays while nobody calls."""

    upstream: str
    base_url: str
    busy_url: str = ""
    command: Sequence[str] = ()
    name: str = ""
    weight: int = 1
    per_hour: str = ""
    gpus: str = "1"
    project: str = ""
    credential: str = ""
    lease_seconds: int = LEASE_SECONDS
    beat_seconds: float = BEAT_SECONDS
    drain_seconds: float = DRAIN_SECONDS


class Gone(Exception):
    """The worker cannot go on, for a reason that a person should read."""


class ServingWorker:
    """Serves until a notice comes. ``costhub`` is a client of the management API, with an admin token."""

    def __init__(self, serving: Serving, costhub: httpx2.Client, interruption: Interruption) -> None:
        self._serving = serving
        self._costhub = costhub
        self._interruption = interruption
        self._server: subprocess.Popen[bytes] | None = None
        self._endpoint = ""
        self._is_charged = False
        self._pause = threading.Event()

    def run(self) -> None:
        """Serve until a notice, and end well. Raises Gone."""
        try:
            # Its own session: what a terminal or an init system sends to a whole group must not end it in mid-answer.
            if self._serving.command:
                self._server = subprocess.Popen(self._serving.command, start_new_session=True)  # noqa: S603 - the operator's
            if self._wait_until_it_answers() and self._register():
                while not self._interruption.wait(self._serving.beat_seconds):
                    self._check_server()
                    self._beat()
                self._drain()
        finally:
            self._leave()
            self._stop_server()

    def _wait_until_it_answers(self) -> bool:
        """Says whether it does; not so where a notice came first. Raises Gone for a server that ends."""
        with httpx2.Client(trust_env=False, timeout=_TIMEOUT_SECONDS) as http:
            headers = {"authorization": f"Bearer {self._serving.credential}"} if self._serving.credential else {}
            while not self._interruption.is_noticed:
                self._check_server()
                try:
                    if http.get(f"{self._serving.base_url}/models", headers=headers).status_code < 500:
                        return True
                except httpx2.HTTPError:
                    pass  # a model takes minutes to load
                self._interruption.wait(_POLL_SECONDS)
        return False

    def _register(self) -> bool:
        serving = self._serving
        body: dict[str, Any] = {
            "upstream": serving.upstream,
            "base_url": serving.base_url,
            "name": serving.name,
            "weight": serving.weight,
            "lease_seconds": serving.lease_seconds,
            **({"credential": serving.credential} if serving.credential else {}),
        }
        while not self._interruption.is_noticed:
            answer = self._ask("POST", "/upstream-endpoints", body)
            if answer is not None and answer.status_code == 201:
                self._endpoint, self._is_charged = str(answer.json()["id"]), False
                _log.info("the server takes calls", extra={"endpoint": self._endpoint})
                self._charge()
                return True
            if answer is not None and answer.status_code < 500 and answer.status_code != 429:
                raise Gone(f"CostHub does not take this server: {answer.text[:500]}")
            self._interruption.wait(1.0)
        return False

    def _charge(self) -> None:
        """Say what its hours cost, unless that is said; they end with the server by themselves. Raises Gone."""
        serving = self._serving
        if self._is_charged or not serving.per_hour:
            return
        body = {
            "name": serving.name or serving.upstream,
            "upstream": serving.upstream,
            "server": self._endpoint,
            "project": serving.project,
            "gpus": serving.gpus,
            "per_hour": serving.per_hour,
            "basis": "allocation",
        }
        answer = self._ask("POST", "/gpu-endpoints", body)
        if answer is None or answer.status_code >= 500 or answer.status_code == 429:
            return  # with the next beat
        if answer.status_code != 201:
            raise Gone(f"CostHub does not charge this server's hours: {answer.text[:500]}")
        self._is_charged = True

    def _beat(self) -> None:
        answer = self._ask("PATCH", self._path, {"lease_seconds": self._serving.lease_seconds})
        if answer is not None and answer.status_code == 404:
            # The lease ran out while CostHub was not to be had, or somebody has removed it.
            self._register()
        else:
            self._charge()

    def _drain(self) -> None:
        ends = clock.ends_in(self._serving.drain_seconds)
        _log.info("the server drains", extra={"reason": self._interruption.reason})
        while self._ask("PATCH", self._path, {"is_draining": True}) is None and clock.monotonic_ns() < ends:
            self._pause.wait(_POLL_SECONDS)
        self._pause.wait(SETTLE_SECONDS)
        if not self._serving.busy_url:
            return
        with httpx2.Client(trust_env=False, timeout=_TIMEOUT_SECONDS) as http:
            while clock.monotonic_ns() < ends:
                try:
                    if count_requests(http.get(self._serving.busy_url).text) == 0:
                        return
                except httpx2.HTTPError:
                    return  # it has gone by itself
                self._pause.wait(_POLL_SECONDS)

    def _leave(self) -> None:
        if self._endpoint:
            self._ask("DELETE", self._path)
            self._endpoint = ""

    def _stop_server(self) -> None:
        server = self._server
        if server is None or server.poll() is not None:
            return
        server.terminate()
        try:
            # One that tells nobody how many requests it has ends them by itself, or not at all.
            server.wait(_STOP_SECONDS if self._serving.busy_url else self._serving.drain_seconds)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()

    def _check_server(self) -> None:
        if self._server is not None and (code := self._server.poll()) is not None:
            raise Gone(f"The server has ended with exit code {code}.")

    @property
    def _path(self) -> str:
        return f"/upstream-endpoints/{self._endpoint}"

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> httpx2.Response | None:
        """None where CostHub cannot be had at the moment."""
        try:
            return self._costhub.request(method, f"/api/v1{path}", json=body)
        except httpx2.HTTPError as error:
            _log.warning("CostHub cannot be reached", extra={"reason": str(error)})
            return None


def count_requests(metrics: str) -> int | None:
    """The requests that a server has and keeps waiting, by what it tells Prometheus; None where it tells nothing of
    that."""
    found = [float(value) for value in _BUSY.findall(metrics)]
    return int(sum(found)) if found else None


def open_costhub(url: str, token: str) -> httpx2.Client:
    """A client of the management API at a URL, with an admin token."""
    return httpx2.Client(
        base_url=url.rstrip("/").removesuffix("/v1"),
        headers={"authorization": f"Bearer {token}"},
        trust_env=False,
        timeout=_TIMEOUT_SECONDS,
    )
