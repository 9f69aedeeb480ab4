"""A batch of embeddings is read for what stands beside its vectors, and those are handed on as they came."""

from typing import Any

import orjson
import pytest

from proxy.upstreams import lenient_json, vectors
from proxy.upstreams.openai import EmbeddingsReader
from proxy.values.attempt import Certainty
from proxy.values.vendor import NotAnAnswer

#: more numbers than any answer may hold values that are read
COUNT, LENGTH = 340, 3_072


def make_answer(vector: str = f"[{', '.join(['-0.015625'] * LENGTH)}]", **fields: Any) -> bytes:
    """An answer with so many vectors, as a server writes it."""
    items = ",".join(f'{{"object": "embedding", "index": {place}, "embedding": {vector}}}' for place in range(COUNT))
    more = orjson.dumps({"model": "vectors", "usage": {"prompt_tokens": 7, "total_tokens": 7}} | fields).decode()
    return f'{{"object": "list", "data": [{items}], {more[1:]}'.encode()


def test_a_large_batch_is_lawful_and_exact() -> None:
    raw = make_answer()
    reader = EmbeddingsReader()
    assert reader.read_answer(raw) is raw
    assert reader.report is not None
    assert (reader.model, reader.report.usage.input, reader.certainty) == ("vectors", 7, Certainty.EXACT)


def test_its_vectors_are_written_as_they_came() -> None:
    answer = vectors.read(make_answer())
    assert len(answer["data"]) == COUNT
    assert orjson.dumps(answer["data"][-1]) == (
        b'{"object":"embedding","index":339,"embedding":[%b]}' % b", ".join([b"-0.015625"] * LENGTH)
    )


def test_short_answers_are_read_whole() -> None:
    assert vectors.read(b'{"data": [{"embedding": [1.5]}]}') == {"data": [{"embedding": [1.5]}]}


@pytest.mark.parametrize("vector", ["[%s]" % ("1..5, " * 500), "[%s]" % ("1.5 " * 500), "[%s" % ("1.5, " * 500)])
def test_what_only_looks_like_vectors_is_no_answer(vector: str) -> None:
    with pytest.raises(lenient_json.Unreadable):
        vectors.read(make_answer(vector))
    with pytest.raises(NotAnAnswer):
        EmbeddingsReader().read_answer(make_answer(vector))


def test_a_refusal_beside_vectors_is_one() -> None:
    reader = EmbeddingsReader()
    with pytest.raises(NotAnAnswer):
        reader.read_answer(make_answer(error={"message": "Slow down", "code": 429}))
    assert reader.refusal is not None
    assert (reader.refusal.message, reader.refusal.status) == ("Slow down", 429)


def test_no_vector_is_had_by_its_number() -> None:
    raw = make_answer().replace(b'"data": [', b'"data": [{"index": 999, "embedding": [[400]]}, ')
    assert vectors.read(raw)["data"][0] == {"index": 999, "embedding": [[400]]}
