"""What a replica cannot answer yet, the primary does."""

from collections.abc import Iterator

import pytest
from django.db import connections
from django.test import Client
from pytest_django.fixtures import Settings

from costhub.lib import replica
from costhub.lib.replica import HEADER, REPLICA, Marks
from tests.world import World, make_client


@pytest.fixture
def lagging(db: None, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A replica that has got as far as the primary and has nothing of this test's world, whose transaction it does not
    see."""
    connections[REPLICA] = connections["default"].copy("default")
    monkeypatch.setattr(replica, "_REPLAYED", replica._WRITTEN)
    settings.HAS_REPLICA, settings.READ_STALENESS_MS = True, 2_000
    yield
    connections[REPLICA].close()
    del connections[REPLICA]


def signed_in(world: World) -> Client:
    client = make_client()
    client.force_login(world.ada)
    return client


@pytest.mark.usefixtures("lagging")
def test_a_page_that_has_not_arrived_is_the_primarys(world: World) -> None:
    answer = signed_in(world).get(f"/o/{world.acme.org.slug}/budgets")
    assert answer.status_code == 200
    assert HEADER not in answer.headers
    assert signed_in(world).get("/o/nobody-has-this-name/budgets").status_code == 404


@pytest.mark.usefixtures("lagging")
def test_a_page_that_needs_nothing_of_the_world_is_the_replicas() -> None:
    answer = make_client().get("/login/single-sign-on")
    assert answer.status_code == 200
    assert answer.headers[HEADER] == REPLICA


@pytest.mark.usefixtures("lagging")
@pytest.mark.parametrize("replayed", ["SELECT 1", "SELECT NULL"], ids=["far behind", "a primary"])
def test_one_that_is_behind_is_not_asked(replayed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replica, "_REPLAYED", replayed)
    answer = make_client().get("/login/single-sign-on")
    assert answer.status_code == 200
    assert HEADER not in answer.headers


def test_a_replica_is_as_old_as_what_it_lacks() -> None:
    bound, marks = 1_000, Marks()
    assert marks.is_due(0, bound)
    assert not marks.is_fresh(0, 10**9, bound), "nothing is known yet"
    marks.note(0, 50, bound)
    assert not marks.is_due(249, bound)
    assert marks.is_due(250, bound)
    marks.note(600, 90, bound)
    # It has what there was at 0, and not all that there was at 600.
    assert marks.is_fresh(1_000, 89, bound)
    assert not marks.is_fresh(1_001, 89, bound)
    assert marks.is_fresh(1_600, 90, bound)
    assert not marks.is_fresh(1_601, 90, bound)
    # A primary that writes nothing: it lacks nothing, however long ago the last change was.
    marks.note(9_000, 90, bound)
    assert marks.is_fresh(9_500, 90, bound)


@pytest.mark.usefixtures("lagging")
@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_a_stream_is_not_begun_twice(world: World) -> None:
    async def stream() -> None:
        raise AssertionError("it is begun by whoever serves it")

    stream.__module__ = "costhub.console.live"
    request = signed_in(world).get("/login").wsgi_request
    request.user = world.ada
    middleware = replica.ReplicaMiddleware(lambda _: None)  # type: ignore[arg-type,return-value]
    assert middleware.process_view(request, stream, (), {}) is None  # type: ignore[arg-type]
