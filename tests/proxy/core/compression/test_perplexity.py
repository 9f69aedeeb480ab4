"""Pruning by perplexity: what could be guessed goes, what an answer hangs on stays."""

import math

import pytest

from proxy.core.compression.perplexity import ScoredToken, prune_by_perplexity

TEXT = "the cat was not on the mat in 1999"


def score(text: str, logprobs: dict[str, float]) -> list[ScoredToken]:
    tokens, place = [], 0
    for word in text.split(" "):
        end = place + len(word)
        tokens.append(ScoredToken(place, end, logprobs.get(word, -9.0)))
        place = end + 1
    return tokens


def test_words_that_could_be_guessed_go() -> None:
    scored = score(TEXT, {"the": -0.1, "was": -0.2, "on": -0.3, "not": 0.0, "1999": 0.0})
    assert prune_by_perplexity(TEXT, scored, 0.5) == "cat not mat in 1999"
    assert prune_by_perplexity(TEXT, scored, 1.0) == TEXT
    assert prune_by_perplexity(TEXT, scored, 0.0) == "not 1999"


def test_a_words_tokens_count_together() -> None:
    halves = [ScoredToken(0, 2, -0.1), ScoredToken(2, 5, -9.0), ScoredToken(5, 9, -1.0)]
    assert prune_by_perplexity("abcde xyz", halves, 0.5) == "abcde "


@pytest.mark.parametrize("unknown", [None, math.nan])
def test_an_unknown_probability_keeps_the_word(unknown: float | None) -> None:
    assert prune_by_perplexity("abc xyz", [ScoredToken(0, 3, unknown), ScoredToken(3, 7, -1.0)], 0.5) == "abc "


def test_scores_of_another_text_are_refused() -> None:
    with pytest.raises(ValueError, match="not of this text: one lies at 2 to 99, after 3"):
        prune_by_perplexity("abc", [ScoredToken(0, 3, -1.0), ScoredToken(2, 99, -1.0)], 0.5)
