"""Who asks the management API too often is told when to come again, and nobody else waits for that."""

import pytest
from pytest_django import Settings

from costhub.lib import redis as valkey
from costhub.lib.keyspace import management_calls_key
from costhub.lib.redis import client
from costhub.stack.ports import find_free_port
from tests.world import Api, World


@pytest.fixture(autouse=True)
def three_a_minute(settings: Settings) -> None:
    settings.API_CALLS_A_MINUTE = 3


def test_the_fourth_request_of_a_minute_is_refused_and_says_until_when(committed_world: World) -> None:
    acme = committed_world.acme
    program, person = Api(token=acme.admin_token), Api(user=committed_world.ada)
    assert [program.get("/keys").status_code for _ in range(3)] == [200, 200, 200]
    refused = program.post("/projects", {"name": "too many"})
    seconds = int(refused.headers["Retry-After"])
    assert 1 <= seconds <= 60
    assert (refused.status_code, refused["Content-Type"]) == (429, "application/problem+json")
    assert refused.json() == {
        "type": "urn:costhub:problem:too_many_requests",
        "title": "Too Many Requests",
        "status": 429,
        "code": "too_many_requests",
        "detail": f"More than 3 requests came within a minute: wait {seconds} s.",
    }
    # Another credential of the same organisation, and another organisation's, are counted by themselves.
    assert person.get("/keys").status_code == 200
    assert Api(token=committed_world.mallcorp.admin_token).get("/keys").status_code == 200
    assert "too many" not in {row["name"] for row in person.get("/projects").json()["data"]}
    # A new minute is a counter that is not there any more.
    counters = list(client().scan_iter(management_calls_key(acme.org_id, "").rpartition(":")[0] + ":*", count=1_000))
    assert len(counters) == 2
    client().delete(*counters)
    assert program.get("/keys").status_code == 200


def test_who_is_not_known_is_refused_for_that_and_not_counted(world: World) -> None:
    stranger = Api(token=world.acme.admin_token[:-1] + "_")
    assert [stranger.get("/keys").status_code for _ in range(5)] == [401] * 5
    assert [Api().get("/keys").status_code for _ in range(5)] == [401] * 5


def test_without_a_bound_and_without_valkey_nobody_is_refused(
    world: World, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = Api(token=world.acme.admin_token)
    settings.API_CALLS_A_MINUTE = 0
    assert [program.get("/keys").status_code for _ in range(5)] == [200] * 5
    settings.API_CALLS_A_MINUTE = 1
    gone = valkey.connect(f"redis://127.0.0.1:{find_free_port()}/0")
    monkeypatch.setattr("costhub.lib.tallies.client", lambda: gone)
    assert [program.get("/keys").status_code for _ in range(3)] == [200] * 3
