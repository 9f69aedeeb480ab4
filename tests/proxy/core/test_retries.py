"""How long a call may go on, pauses and all."""

from dataclasses import replace

from proxy.core.plan import make_plan
from proxy.core.retries import longest_call_ms
from tenants.snapshots import EndpointSnapshot
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
