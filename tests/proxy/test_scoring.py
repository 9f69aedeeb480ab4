"""A scorer's answer: its tokens are those of the prompt, or nothing of it is believed."""

from typing import Any

import orjson
import pytest

from proxy.core.compression.perplexity import ScoredToken
from proxy.routing.compressor import ScoringFailed
from proxy.scoring import read_scores


def body(tokens: Any, logprobs: Any) -> bytes:
    return orjson.dumps({"choices": [{"text": "", "logprobs": {"tokens": tokens, "token_logprobs": logprobs}}]})


def test_tokens_are_laid_over_the_prompt() -> None:
    expected = [ScoredToken(0, 2, None), ScoredToken(2, 8, -1.5)]
    assert read_scores(body(["Hi", " there", "!"], [None, -1.5, -2.0]), "Hi there") == expected
    # A mark before the prompt is none of it; a probability that is no number is unknown.
    assert read_scores(body(["<s>", "Hi", " there"], [None, None, "x"]), "Hi there") == [
        ScoredToken(0, 2, None),
        ScoredToken(2, 8, None),
    ]


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"not json",
        b"[]",
        b'{"choices": []}',
        b'{"choices": [{"text": "Hi", "logprobs": null}]}',
        body(["Hi"], [None, -1.0]),
        body(["Hi"], [None]),
        body(["Hi", " you"], [None, -1.0]),
        body(["a", "b", "Hi there"], [None, None, None]),
        body(["Hi", ""], [None, -1.0]),
        body(["Hi", 5], [None, -1.0]),
        body("Hi", [None, None]),
    ],
)
def test_what_is_no_score_of_the_prompt_is_refused(raw: bytes) -> None:
    with pytest.raises(ScoringFailed):
        read_scores(raw, "Hi there")
