"""What past calls would have cost by another route: by its conditions, its shares and its hold-out, call by call."""

from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.routes.core.route_replay import PastCall, Terms, find_shares, read_call, replay_route
from billing.routes.core.what_if import Band
from proxy.values.attempt import Usage
from tenants.price_snapshots import PriceSnapshot, ServiceTier, make_rates
from tenants.route_snapshots import ConditionSnapshot, RouteSnapshot, TargetSnapshot

SMALL = PriceSnapshot("s", 0, make_rates({"input": 150_000, "output": 600_000}))
LARGE = PriceSnapshot(
    "l",
    0,
    make_rates({"input": 3_000_000, "output": 12_000_000}),
    service_tiers=(ServiceTier("batch", make_rates({"input": 1_500_000, "output": 6_000_000})),),
)
PRICES = {"small": SMALL, "large": LARGE}
#: 1,000 tokens in and 100 out: 4.2 million nanos at the large model, 210,000 at the small one
CALL = PastCall({"team": "search"}, "u1", 4_200_000, "large", Usage(input=1_000, output=100), 4_200_000)
ALL = Terms()


def make(kind: str, *targets: TargetSnapshot, **fields: Any) -> RouteSnapshot:
    return RouteSnapshot("r", "smart", kind, "on", 1, targets, "large", **fields)


def target(model: str, weight: int = 0, **when: Any) -> TargetSnapshot:
    return TargetSnapshot(model, weight, ConditionSnapshot(**when))


@pytest.mark.parametrize(
    ("route", "shares"),
    [
        (make("fixed", target("small"), target("large")), {"small": 1}),
        (make("fixed", target("small", tags=(("team", "chat"),)), target("large")), {"large": 1}),
        (make("fixed", target("small", tags=(("team", "search"),)), target("large")), {"small": 1}),
        (make("fixed", target("small", end_users=("u2",)), target("large")), {"large": 1}),
        (make("fixed", target("small", min_tokens=1_001), target("large", max_tokens=1_000)), {"large": 1}),
        (make("fallbacks", target("gone"), target("small")), {"small": 1}),
        (make("weighted", target("small", 3), target("large", 1)), {"small": Fraction(3, 4), "large": Fraction(1, 4)}),
        (make("weighted", target("small", 3), target("gone", 1)), {"small": 1}),
        (make("canary", target("small"), target("large"), share_permille=50), {"small": 0.95, "large": 0.05}),
        (make("canary", target("small"), target("gone"), share_permille=50), {"small": 1}),
        (make("fixed", target("small"), holdout_permille=20), {"large": Fraction(1, 50), "small": Fraction(49, 50)}),
        (make("fixed", target("gone")), {}),
    ],
)
def test_where_a_call_would_go(route: RouteSnapshot, shares: dict[str, Any]) -> None:
    found = find_shares(route, CALL, PRICES)
    assert {model: float(share) for model, share in found.items()} == pytest.approx(
        {model: float(share) for model, share in shares.items()}
    )


def test_what_they_would_have_cost() -> None:
    calls = [CALL] * 100
    halves = make("weighted", target("small", 1), target("large", 1))
    # Fifty at 4.2 million and fifty at 210,000.
    assert replay_route(calls, halves, PRICES, {}, ALL) == Band(220_500_000, 220_500_000)
    assert replay_route(calls, halves, PRICES, {}, Terms(Fraction(1, 2))) == Band(320_250_000, 320_250_000)
    # Answers of the small model are twice as long: 270,000 each.
    assert replay_route(calls, halves, PRICES, {"small": Fraction(200)}, ALL) == Band(220_500_000, 223_500_000)
    # A tenth less input: 3.9 million and 195,000.
    off = Terms(off=(Fraction(0), Fraction(1, 10)))
    assert replay_route(calls, halves, PRICES, {}, off) == Band(204_750_000, 220_500_000)
    # The large model has a price for batches, the small one has none.
    assert replay_route(calls, halves, PRICES, {}, Terms(tier="batch")) == Band(115_500_000, 115_500_000)
    gone = make("fixed", target("gone"))
    assert replay_route(calls, gone, PRICES, {}, ALL) == Band(420_000_000, 420_000_000)


def test_what_was_answered_is_read_from_the_row() -> None:
    """A cascade that asked three and came back to the first; a hit of the cache asked nobody, and costs what it did."""
    tried = {"error": "", "status": 200, "is_sample": False, "input_tokens": 10, "output_tokens": 5}
    attempts = [
        tried | {"model": "small", "cost": 3, "list_cost": 60, "usage": {"input": 4, "cached_input": 6, "output": 5}},
        tried | {"model": "small", "cost": 3, "list_cost": 0, "is_sample": True},
        tried | {"model": "middle", "cost": 20, "list_cost": 0},
        tried | {"model": "large", "cost": 0, "list_cost": 0, "status": 503, "error": "upstream_error"},
    ]
    call = read_call({}, "", 26, attempts)
    assert call == PastCall({}, "", 26, "small", Usage(input=4, cached_input=6, output=5), 3)
    assert read_call({}, "", 30, attempts[2:]) == PastCall({}, "", 30, "middle", Usage(input=10, output=5), 20)
    hit = read_call({}, "", 0, [])
    assert replay_route([hit], make("fixed", target("large")), PRICES, {}, ALL) == Band(0, 0)


@given(
    st.integers(0, 10**6),
    st.integers(0, 10**5),
    st.integers(1, 9),
    st.integers(1, 9),
    st.integers(0, 100),
    st.integers(0, 95),
)
def test_a_route_costs_something_between_its_targets(
    into: int, out: int, one: int, other: int, share: int, off: int
) -> None:
    calls = [
        CALL._replace(
            usage=Usage(input=into, output=out), cost=into * 3_000 + out * 12_000, paid=into * 3_000 + out * 12_000
        )
    ] * 3
    terms = Terms(Fraction(share, 100), (Fraction(0), Fraction(off, 100)))
    both = make("weighted", target("small", one), target("large", other))
    found, cheap, dear = (
        replay_route(calls, route, PRICES, {"small": Fraction(50)}, terms)
        for route in (both, replace(both, targets=both.targets[:1]), replace(both, targets=both.targets[1:]))
    )
    assert 0 <= found.low <= found.high
    assert min(cheap.low, dear.low) <= found.low
    assert found.high <= max(cheap.high, dear.high)
