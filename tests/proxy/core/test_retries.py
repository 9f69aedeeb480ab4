"""Which try follows one that failed, and how long a call may go on, pauses and all."""

from dataclasses import replace

import pytest

from proxy.core.plan import make_plan
from proxy.core.retries import Next, Tries, longest_call_ms, next_try
from tenants.snapshots import EndpointSnapshot, UpstreamSnapshot
from tests.proxy.core.examples import KEY, MODEL, NO_CONTROLS, NOON_MS, ORG, UPSTREAM, make_chat


def test_tries_what_they_may_learn_and_the_pauses_between_them_count() -> None:
    """A try and two more, four that a refused habit costs, each 1 s to connect and 60 s to answer; two pauses of 5 s,
    which an upstream may ask for."""
    plan = make_plan(make_chat(), NO_CONTROLS, KEY, ORG, NOON_MS)
    assert longest_call_ms(plan) == 7 * 61_000 + 2 * 5_000
    assert longest_call_ms(plan._replace(delay_ms=700)) == 7 * 61_000 + 2 * 5_000 + 700


def test_many_retries_pause_longer_than_any_upstream_asks_for() -> None:
    """0.1 s doubled with every try: the sixth pause is the first above 5 s."""
    org = replace(ORG, upstreams={UPSTREAM.id: replace(UPSTREAM, max_retries=8)})
    plan = make_plan(make_chat(), NO_CONTROLS, KEY, org, NOON_MS)
    assert longest_call_ms(plan) == 13 * 61_000 + 5 * 5_000 + 6_400 + 12_800 + 25_600


def test_every_candidate_may_be_tried_to_its_end() -> None:
    other = replace(UPSTREAM, id="other", timeout_ms=1_000, max_retries=0)
    models = {
        "small": replace(MODEL, fallbacks=("spare",)),
        "spare": replace(MODEL, name="spare", upstream_id="other"),
    }
    org = replace(ORG, models=models, upstreams={UPSTREAM.id: UPSTREAM, "other": other})
    plan = make_plan(make_chat(), NO_CONTROLS, KEY, org, NOON_MS)
    assert longest_call_ms(plan) == 7 * 61_000 + 2 * 5_000 + 5 * 2_000


def test_endpoints_that_are_not_reached_take_their_time_beside_the_retries() -> None:
    """Eight of them, each 1 s to find that out."""
    server = EndpointSnapshot("server", UPSTREAM.base_url, UPSTREAM.origin, None, 1)
    org = replace(ORG, upstreams={UPSTREAM.id: replace(UPSTREAM, endpoints=(server,))})
    plan = make_plan(make_chat(), NO_CONTROLS, KEY, org, NOON_MS)
    assert longest_call_ms(plan) == 7 * 61_000 + 2 * 5_000 + 8 * 1_000


#: an upstream with two retries, alone and with servers of its own
ALONE = UPSTREAM
SPREAD = replace(UPSTREAM, endpoints=(EndpointSnapshot("server", UPSTREAM.base_url, UPSTREAM.origin, None, 1),))


def walk(upstream: UpstreamSnapshot, reason: str, rounds: int, **known: bool) -> list[Next]:
    """Who is asked, round after round, where every try fails for the same reason."""
    tries, asked = Tries(), []
    for _ in range(rounds):
        then, tries = next_try(tries, upstream, reason, **known)
        asked.append(then)
    return asked


def test_a_transient_failure_is_tried_again_twice() -> None:
    asked = walk(ALONE, "status 503", 3, is_transient=True, has_server=False, has_others=True)
    assert asked == [Next.AGAIN, Next.AGAIN, Next.OTHER_CANDIDATE]


def test_what_is_no_passing_failure_is_not_tried_again() -> None:
    asked = walk(ALONE, "upstream_malformed", 1, is_transient=False, has_server=False, has_others=False)
    assert asked == [Next.OTHER_CANDIDATE]


@pytest.mark.parametrize(("has_others", "then"), [(True, Next.OTHER_CANDIDATE), (False, Next.AGAIN)])
def test_a_time_out_is_waited_for_again_only_where_nobody_else_can_be_asked(has_others: bool, then: Next) -> None:
    asked = walk(ALONE, "upstream_timeout", 1, is_transient=True, has_server=False, has_others=has_others)
    assert asked == [then]


def test_servers_that_are_not_reached_count_as_no_retry() -> None:
    """Eight of them, and then the two retries, at other servers still."""
    asked = walk(SPREAD, "upstream_unreachable", 11, is_transient=True, has_server=True, has_others=True)
    assert asked == [*[Next.OTHER_SERVER] * 10, Next.OTHER_CANDIDATE]


def test_another_server_is_asked_also_where_the_failure_would_not_pass() -> None:
    asked = walk(SPREAD, "status 501", 3, is_transient=False, has_server=True, has_others=False)
    assert asked == [Next.OTHER_SERVER, Next.OTHER_SERVER, Next.OTHER_CANDIDATE]


def test_the_same_server_is_asked_again_where_no_other_is_left() -> None:
    asked = walk(SPREAD, "upstream_unreachable", 3, is_transient=True, has_server=False, has_others=False)
    assert asked == [Next.AGAIN, Next.AGAIN, Next.OTHER_CANDIDATE]
