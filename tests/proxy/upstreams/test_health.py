"""Whom a call is planned for first, and which call finds out whether an upstream answers again."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from costhub.lib import clock
from proxy.core.cooldowns import FAILURES, FIRST_NANOS
from proxy.core.plan import make_plan
from proxy.upstreams.health import UpstreamHealth
from tests.proxy.core.examples import KEY, MODEL, NO_CONTROLS, NOON_MS, ORG, UPSTREAM, make_chat

SPARE = replace(UPSTREAM, id="spare")
MODELS = {
    "small": replace(MODEL, fallbacks=("other",)),
    "other": replace(MODEL, name="other", upstream_id="spare"),
}
PLAN = make_plan(
    make_chat(),
    NO_CONTROLS,
    KEY,
    replace(ORG, models=MODELS, upstreams={UPSTREAM.id: UPSTREAM, "spare": SPARE}),
    NOON_MS,
)
Wait = Callable[[int], None]


@pytest.fixture
def wait(monkeypatch: pytest.MonkeyPatch) -> Wait:
    """Lets so many nanoseconds pass; none pass by themselves."""
    now = [clock.monotonic_ns()]
    monkeypatch.setattr(clock, "monotonic_ns", lambda: now[0])

    def pass_by(nanos: int) -> None:
        now[0] += nanos

    return pass_by


@pytest.fixture
def health(wait: Wait) -> UpstreamHealth:
    """The first upstream has just begun to cool down."""
    health = UpstreamHealth()
    for _ in range(FAILURES):
        health.note_failure(UPSTREAM)
    return health


def first(health: UpstreamHealth) -> str:
    return health.prefer_healthy(PLAN).first.model.name


def test_one_that_fails_is_asked_last_while_it_cools_down(health: UpstreamHealth, wait: Wait) -> None:
    assert first(health) == "other"
    wait(FIRST_NANOS - 1)
    assert first(health) == "other"
    wait(1)
    assert first(health) == "small"


def test_a_call_that_is_planned_and_asks_nobody_is_no_probe(health: UpstreamHealth, wait: Wait) -> None:
    """It may be refused by a budget, or answered from the cache."""
    wait(FIRST_NANOS)
    assert [first(health) for _ in range(3)] == ["small"] * 3


def test_the_first_that_asks_is_the_probe_and_the_others_wait(health: UpstreamHealth, wait: Wait) -> None:
    wait(FIRST_NANOS)
    health.note_asked(UPSTREAM)
    assert first(health) == "other"
    health.note_success(UPSTREAM)
    assert first(health) == "small"


def test_a_probe_of_which_nobody_tells_is_followed_by_another(health: UpstreamHealth, wait: Wait) -> None:
    wait(FIRST_NANOS)
    health.note_asked(UPSTREAM)
    wait(FIRST_NANOS)
    assert first(health) == "small"


def test_asking_one_that_cools_down_changes_nothing(health: UpstreamHealth, wait: Wait) -> None:
    """As the last resort it is asked all the same."""
    health.note_asked(UPSTREAM)
    wait(FIRST_NANOS - 1)
    assert first(health) == "other"
    wait(1)
    assert first(health) == "small"


def test_one_that_answers_is_not_remembered(wait: Wait) -> None:
    health = UpstreamHealth()
    health.note_asked(UPSTREAM)
    assert health.prefer_healthy(PLAN) is PLAN


def test_each_cool_down_is_told_of_once_with_its_length(wait: Wait) -> None:
    told: list[tuple[str, int]] = []
    health = UpstreamHealth(lambda place_id, length_ms: told.append((place_id, length_ms)))
    for _ in range(FAILURES + 1):
        health.note_failure(UPSTREAM)
    assert told == [(UPSTREAM.id, 5_000)]
    wait(FIRST_NANOS)
    health.note_asked(UPSTREAM)
    health.note_failure(UPSTREAM)
    assert told == [(UPSTREAM.id, 5_000), (UPSTREAM.id, 10_000)]


def test_one_that_failed_once_and_is_never_asked_again_keeps_nobody_from_anything(wait: Wait) -> None:
    """A tenant's upstream that is gone: all plans of the process would be made for it for ever."""
    health = UpstreamHealth()
    health.note_failure(SPARE)
    seen = [health.is_all_well]
    for _ in range(FAILURES - 1):
        health.note_failure(SPARE)
    for nanos in (0, FIRST_NANOS - 1, 1):
        wait(nanos)
        seen.append(health.is_all_well)
    assert seen == [True, False, False, True]


def test_while_one_call_finds_out_whether_it_answers_all_is_not_well(health: UpstreamHealth, wait: Wait) -> None:
    wait(FIRST_NANOS)
    health.note_asked(UPSTREAM)
    assert (health.is_all_well, first(health)) == (False, "other")
    health.note_success(UPSTREAM)
    assert (health.is_all_well, first(health)) == (True, "small")
