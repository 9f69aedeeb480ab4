"""Features of Anthropic's API that a header names, or a body."""

from dataclasses import replace
from typing import Any

import orjson
import pytest

from proxy.cache.key import make_key
from proxy.core.betas import add_betas, check_betas, list_dropped, list_sent, parse_betas
from proxy.core.plan import make_plan
from proxy.dialects.anthropic_messages import parse_request
from proxy.errors import InvalidRequest, ModelNotPriced
from proxy.values.request import Endpoint, Original
from tenants.price_snapshots import LongContext
from tests.proxy.cache.examples import POLICY
from tests.proxy.core.examples import KEY, NO_CONTROLS, NOON_MS, ORG, PRICE

RAW = b'{"model":"small","max_tokens":5,"messages":[{"role":"user","content":"Hi"}]}'


def ask_with(*names: str) -> Original:
    original = add_betas(parse_request(Endpoint.MESSAGES, RAW), names).original
    assert original is not None
    return original


def test_every_line_of_the_header_counts_and_each_name_once() -> None:
    headers = {"anthropic-beta": "b"}
    assert parse_betas(headers, {"anthropic-beta": ("a, b,,", "b")}) == ("a", "b")
    assert parse_betas(headers, {}) == ("b",)
    assert parse_betas({}, {}) == ()


@pytest.mark.parametrize(
    ("name", "is_sent"),
    [
        ("interleaved-thinking-2025-05-14", True),
        ("interleaved-thinking-2031-01-01", True),
        ("claude-code-20250219", True),
        ("interleaved-thinking", True),
        ("interleaved-thinking-too", False),
        ("managed-agents-2026-04-01", False),
    ],
)
def test_a_feature_is_known_whatever_its_version(name: str, *, is_sent: bool) -> None:
    original = ask_with(name)
    assert (list_sent(original), list_dropped(original)) == (((name,), ()) if is_sent else ((), (name,)))


def test_those_of_a_body_stand_beside_those_of_the_header() -> None:
    body = orjson.dumps({**orjson.loads(RAW), "betas": ["effort-2025-11-24", "strange-2031-01-01"]})
    request = parse_request(Endpoint.MESSAGES, body)
    assert add_betas(request, ()) == request
    original = add_betas(request, ["output-128k-2025-02-19", "effort-2025-11-24"]).original
    assert original is not None
    assert original.betas == ("effort-2025-11-24", "strange-2031-01-01", "output-128k-2025-02-19")
    assert original.unsaid.hints == original.betas
    # Anthropic reads them in a header alone.
    assert "betas" not in original.body


@pytest.mark.parametrize(
    "betas", ["effort-2025-11-24", [1], ["a b"], [""], [f"feature-{number}" for number in range(65)], {}]
)
def test_what_names_no_features_in_a_body_is_refused(betas: Any) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_request(Endpoint.MESSAGES, orjson.dumps({**orjson.loads(RAW), "betas": betas}))
    assert caught.value.param == "betas"


def test_header_and_body_have_no_more_together_than_each_alone() -> None:
    names = [f"feature-{number}" for number in range(64)]
    request = parse_request(Endpoint.MESSAGES, orjson.dumps({**orjson.loads(RAW), "betas": names}))
    add_betas(request, names)
    with pytest.raises(InvalidRequest, match="64 at most"):
        add_betas(request, ["one-more"])


@pytest.mark.parametrize("name", ["compact-2026-09-04", "server-side-fallback-2026-07-01", "context-1m-2025-08-07"])
def test_what_may_cost_more_needs_a_price(name: str) -> None:
    with pytest.raises(ModelNotPriced, match=name) as caught:
        check_betas(ask_with("effort-2025-11-24", name), PRICE)
    assert (caught.value.param, caught.value.error_code) == ("anthropic-beta", "feature_not_priced")


def test_long_prompts_may_be_asked_for_where_they_have_a_price() -> None:
    long = replace(PRICE, long_context=(LongContext(200_000, is_marginal=False, rates=PRICE.rates),))
    original = ask_with("context-1m-2025-08-07")
    check_betas(original, long)
    assert list_sent(original) == ("context-1m-2025-08-07",)


def test_an_answer_is_kept_for_the_features_that_it_was_asked_with() -> None:
    def key_with(*names: str) -> object:
        request = add_betas(parse_request(Endpoint.MESSAGES, RAW), names)
        return make_key(make_plan(request, NO_CONTROLS, KEY, ORG, NOON_MS), KEY, POLICY)

    first, second = "effort-2025-11-24", "output-128k-2025-02-19"
    assert key_with(first, second) == key_with(second, first) == key_with(first, second, "unknown")
    assert len({key_with(), key_with(first), key_with(second), key_with(first, second)}) == 4
    assert key_with() == key_with("unknown")
