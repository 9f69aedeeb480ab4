"""Where a call to an upstream with endpoints is sent, and what one that fails is worth to the others."""

from dataclasses import replace

import pytest

from proxy.core.cooldowns import FAILURES
from proxy.upstreams.health import UpstreamHealth
from tenants.snapshots import EndpointSnapshot, UpstreamSnapshot
from tests.proxy.core.examples import UPSTREAM

SERVERS = tuple(
    EndpointSnapshot(name, f"http://{name}:8000/v1", f"http://{name}:8000", name.encode(), 1) for name in ("one", "two")
)
POOL = replace(UPSTREAM, endpoints=SERVERS)


@pytest.fixture
def health() -> UpstreamHealth:
    return UpstreamHealth()


def asked(health: UpstreamHealth, *avoided: str, upstream: UpstreamSnapshot = POOL) -> str:
    return health.find_place(upstream, avoided).id


def test_an_upstream_without_endpoints_is_asked_itself(health: UpstreamHealth) -> None:
    assert health.find_place(UPSTREAM) is UPSTREAM


def test_a_place_is_the_upstream_with_the_url_and_the_credential_of_the_endpoint(health: UpstreamHealth) -> None:
    place = health.find_place(POOL)
    assert (place.id, place.base_url, place.origin, place.credential) == (
        "one",
        "http://one:8000/v1",
        "http://one:8000",
        b"one",
    )
    assert (place.name, place.kind, place.timeout_ms) == (UPSTREAM.name, UPSTREAM.kind, UPSTREAM.timeout_ms)
    assert health.find_place(POOL).id == "two"
    assert health.find_place(POOL) is place, "connections are known by it"


def test_a_busy_one_is_spared(health: UpstreamHealth) -> None:
    with health.busy(health.find_place(POOL)):
        assert [asked(health) for _ in range(3)] == ["two"] * 3
    assert {asked(health), asked(health)} == {"one", "two"}


def test_one_that_is_unreachable_is_left_alone_at_once(health: UpstreamHealth) -> None:
    health.note_failure(health.find_place(POOL), at_once=True)
    assert [asked(health) for _ in range(3)] == ["two"] * 3


def test_one_that_answers_badly_is_left_alone_after_some_failures(health: UpstreamHealth) -> None:
    first = health.find_place(POOL)
    for _ in range(FAILURES):
        health.note_failure(first)
    assert [asked(health) for _ in range(3)] == ["two"] * 3


def test_its_own_url_is_the_last_resort(health: UpstreamHealth) -> None:
    assert asked(health, "one", "two") == UPSTREAM.id
    for server in SERVERS:
        health.note_failure(replace(UPSTREAM, id=server.id), at_once=True)
    assert asked(health) == UPSTREAM.id


def test_what_has_failed_this_call_is_asked_again_where_nothing_else_is_left(health: UpstreamHealth) -> None:
    assert asked(health, "one", "two", UPSTREAM.id) in {"one", "two"}


def test_the_upstream_is_down_when_all_of_it_is(health: UpstreamHealth) -> None:
    places = [replace(UPSTREAM, id=server.id) for server in SERVERS]
    for place in places:
        health.note_failure(place, at_once=True)
    assert not health._is_down(POOL)
    health.note_failure(UPSTREAM, at_once=True)
    assert health._is_down(POOL)
    health.note_success(places[0])
    assert not health._is_down(POOL)


def test_an_endpoint_that_changed_is_another_place(health: UpstreamHealth) -> None:
    place = health.find_place(POOL, ["two"])
    moved = replace(POOL, endpoints=(replace(SERVERS[0], base_url="http://elsewhere:1/v1"), SERVERS[1]))
    again = health.find_place(moved, ["two"])
    assert (again.id, again.base_url) == (place.id, "http://elsewhere:1/v1")
