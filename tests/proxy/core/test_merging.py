"""Embeddings calls made one and taken apart again."""

from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.core import merging
from proxy.core.plan import make_plan
from proxy.dialects.openai_chat import parse_request
from proxy.values.request import Endpoint, Request
from tests.proxy.core.examples import KEY, MODEL, NO_CONTROLS, NOON_MS, ORG, PRICE, reprice


def embeddings(**fields: Any) -> Request:
    return parse_request(Endpoint.EMBEDDINGS, orjson.dumps({"model": "small", "input": "a", **fields}))


def sign(request: Request) -> merging.Signature | None:
    candidate = make_plan(request, NO_CONTROLS, KEY, ORG, NOON_MS).first
    return merging.sign(request, candidate, merging.find_inputs(request) or [])


@given(st.integers(0, 10**12), st.lists(st.integers(1, 10**6), min_size=1, max_size=64))
def test_parts_make_the_whole(total: int, weights: list[int]) -> None:
    parts = merging.share_out(total, weights)
    assert sum(parts) == total
    assert all(abs(part - total * weight / sum(weights)) <= 1 for part, weight in zip(parts, weights, strict=True))


def test_calls_go_together_that_differ_in_their_inputs_alone() -> None:
    first = sign(embeddings(input="a", dimensions=8))
    assert first == sign(embeddings(input=["b", "c"], dimensions=8))
    assert first != sign(embeddings(input="a", dimensions=9))
    assert first != sign(embeddings(input=[1, 2, 3], dimensions=8))
    assert sign(embeddings(input=["a"] * (merging.MOST_INPUTS + 1))) is None
    other = make_plan(embeddings(), NO_CONTROLS, KEY, replace(ORG, models={"small": replace(MODEL)}), NOON_MS).first
    assert merging.sign(embeddings(input="a", dimensions=8), other, ["a"]) == first


def test_calls_between_which_the_price_has_changed_are_asked_apart() -> None:
    """Each is billed at the price of its own moment."""
    dearer = replace(reprice(PRICE, input=300_000), id="later", effective_from_ms=NOON_MS)
    org = replace(ORG, models={"small": replace(MODEL, prices=(dearer, PRICE))})
    request = embeddings()
    before, after = (make_plan(request, NO_CONTROLS, KEY, org, at_ms).first for at_ms in (NOON_MS - 1, NOON_MS))
    assert (before.price, after.price) == (PRICE, dearer)
    assert merging.sign(request, before, ["a"]) != merging.sign(request, after, ["a"])


def test_an_answer_is_taken_apart_in_the_order_of_its_inputs() -> None:
    requests = [embeddings(input="a"), embeddings(input=["b", "c"])]
    merged = merging.merge(requests, [["a"], ["b", "c"]])
    assert (merged.body["input"], merged.choices) == (["a", "b", "c"], 3)
    data = [{"object": "embedding", "index": place, "embedding": [place]} for place in (2, 0, 1)]
    answer = {"object": "list", "model": "m", "data": data, "usage": {"prompt_tokens": 10, "total_tokens": 10}}
    first, second = map(orjson.loads, merging.split_answer(answer, [1, 2], [3, 7]))
    assert [item["embedding"] for item in first["data"]] == [[0]]
    assert [(item["index"], item["embedding"]) for item in second["data"]] == [(0, [1]), (1, [2])]
    assert (first["usage"]["prompt_tokens"], second["usage"]["total_tokens"], second["model"]) == (3, 7, "m")


@pytest.mark.parametrize("answer", [{}, {"data": [{"index": 0}]}, [], {"data": None}])
def test_an_answer_without_a_vector_for_each_is_none(answer: Any) -> None:
    with pytest.raises(merging.NotSplit):
        merging.split_answer(answer, [1, 1], [1, 1])
