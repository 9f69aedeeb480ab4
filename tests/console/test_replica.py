"""Pages and lists through a real streaming replica: fresh ones only, and what somebody wrote he finds."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.patience import PATIENCE_SECONDS, wait_until
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
        with httpx2.Client(trust_env=False, verify=NO_TLS, timeout=PATIENCE_SECONDS) as http:
            return http.request(method, f"{self._root}/api/v1{path}", headers=self._headers, **fields)

    def wait_read_from(self, server: str, path: str) -> httpx2.Response:
        """The first answer that was read from the ``"replica"`` or the ``"primary"``."""
        answers = list[httpx2.Response]()

        def is_so() -> bool:
            answers.append(self.ask(path))
            assert answers[-1].status_code == 200, answers[-1].text
            return answers[-1].headers.get(FROM, "primary") == server

        wait_until(is_so)
        return answers[-1]


@pytest.fixture
def replica(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replica]:
    stack = request.config.stash.get(STACK, None)
    assert stack is not None, "this test copies the run's own server"
    with replica_of(stack.postgres, tmp_path_factory.mktemp("replica")) as found:
        yield found


def names_in(answer: httpx2.Response) -> set[str]:
    return {project["name"] for project in answer.json()["data"]}


def test_lists_come_from_a_fresh_replica(committed_world: World, replica: Replica, tmp_path: Path) -> None:
    acme, mallcorp = committed_world.acme, committed_world.mallcorp
    with deploy(tmp_path, COSTHUB_READ_DATABASE_URL=replica.url, COSTHUB_READ_STALENESS_MS=str(STALENESS_MS)) as proxy:
        reader, other = Reader(proxy, acme.admin_token), Reader(proxy, mallcorp.admin_token)
        assert acme.project.name in names_in(reader.wait_read_from("replica", "/projects"))
        # What somebody writes he finds at once: it is read from the primary for a while.
        made = reader.ask("/projects", "POST", json={"name": "Read after write"})
        assert made.status_code == 201, made.text
        listed = reader.ask("/projects")
        assert FROM not in listed.headers
        assert "Read after write" in names_in(listed)
        assert "Read after write" in names_in(reader.wait_read_from("replica", "/projects"))
        # A replica that stands still is not believed for longer than the bound, once there is something that it lacks:
        # while nobody writes it lacks nothing, however long it stands still.
        replica.pause()
        try:
            written = other.ask("/projects", "POST", json={"name": "While it stands still"})
            assert written.status_code == 201, written.text
            reader.wait_read_from("primary", "/projects")
            assert FROM not in reader.ask("/projects").headers
        finally:
            replica.resume()
        reader.wait_read_from("replica", "/projects")
        # Another organisation's token sees nothing of it there either.
        theirs = other.wait_read_from("replica", "/projects").json()["data"]
        assert {project["id"] for project in theirs} == {str(mallcorp.project.pk), written.json()["id"]}
        assert other.ask(f"/projects/{acme.project.pk}").status_code == 404


def test_without_the_replica_the_primary_answers(committed_world: World, replica: Replica, tmp_path: Path) -> None:
    nowhere = replica.url.replace(f":{replica.url.rsplit(':', 1)[1].split('/')[0]}/", ":1/")
    with deploy(tmp_path, COSTHUB_READ_DATABASE_URL=nowhere) as proxy:
        answer = Reader(proxy, committed_world.acme.admin_token).ask("/projects")
        assert answer.status_code == 200
        assert FROM not in answer.headers
