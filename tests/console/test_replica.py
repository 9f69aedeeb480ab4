"""Pages and lists through a real streaming replica: fresh ones only, and what somebody wrote he finds."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from costhub.lib import clock
from tests.plugin import STACK
from tests.proxy.deployment import NO_TLS, Deployment, deploy
from tests.stack.replica import Replica, replica_of
from tests.world import World

pytestmark = pytest.mark.processes
FROM = "x-costhub-read-from"
#: a busy machine's replica may lag; nothing here waits so long
STALENESS_MS = 5_000


class Reader:
    """Acme's owner, over HTTP."""

    def __init__(self, proxy: Deployment, token: str) -> None:
        self._root, self._headers = proxy.root_url, {"authorization": f"Bearer {token}"}

    def ask(self, path: str, method: str = "GET", **fields: Any) -> httpx2.Response:
        with httpx2.Client(trust_env=False, verify=NO_TLS, timeout=60) as http:
            return http.request(method, f"{self._root}/api/v1{path}", headers=self._headers, **fields)

    def wait_read_from_replica(self, path: str) -> httpx2.Response:
        """Once what was written lately is old enough."""
        pause, ends = threading.Event(), clock.monotonic_ns() + 60_000_000_000
        while clock.monotonic_ns() < ends:
            answer = self.ask(path)
            assert answer.status_code == 200, answer.text
            if answer.headers.get(FROM) == "replica":
                return answer
            pause.wait(0.1)
        raise AssertionError("the replica is never asked")


@pytest.fixture
def replica(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replica]:
    stack = request.config.stash.get(STACK, None)
    assert stack is not None, "this test copies the run's own server"
    with replica_of(stack.postgres, tmp_path_factory.mktemp("replica")) as found:
        yield found


def test_lists_come_from_a_fresh_replica(committed_world: World, replica: Replica, tmp_path: Path) -> None:
    acme = committed_world.acme
    with deploy(tmp_path, COSTHUB_READ_DATABASE_URL=replica.url, COSTHUB_READ_STALENESS_MS=str(STALENESS_MS)) as proxy:
        reader = Reader(proxy, acme.admin_token)
        names = {project["name"] for project in reader.wait_read_from_replica("/projects").json()["data"]}
        assert acme.project.name in names
        # What somebody writes he finds at once: it is read from the primary for a while.
        made = reader.ask("/projects", "POST", json={"name": "Read after write"})
        assert made.status_code == 201, made.text
        listed = reader.ask("/projects")
        assert FROM not in listed.headers
        assert "Read after write" in {project["name"] for project in listed.json()["data"]}
        # A replica that stands still is not believed for longer than the bound.
        reader.wait_read_from_replica("/projects")
        replica.pause()
        try:
            pause, ends = threading.Event(), clock.monotonic_ns() + 60_000_000_000
            while reader.ask("/projects").headers.get(FROM) == "replica":
                assert clock.monotonic_ns() < ends
                pause.wait(0.2)
        finally:
            replica.resume()
        # Another organisation's token sees nothing of it there either.
        other = Reader(proxy, committed_world.mallcorp.admin_token)
        theirs = other.wait_read_from_replica("/projects").json()["data"]
        assert acme.project.pk not in {project["id"] for project in theirs}
        assert other.ask(f"/projects/{acme.project.pk}").status_code == 404


def test_without_the_replica_the_primary_answers(committed_world: World, replica: Replica, tmp_path: Path) -> None:
    nowhere = replica.url.replace(f":{replica.url.rsplit(':', 1)[1].split('/')[0]}/", ":1/")
    with deploy(tmp_path, COSTHUB_READ_DATABASE_URL=nowhere) as proxy:
        answer = Reader(proxy, committed_world.acme.admin_token).ask("/projects")
        assert answer.status_code == 200
        assert FROM not in answer.headers
