"""The measurement of the semantic cache, on requests of our own."""

import numpy as np

from costhub.eval.cache import STATIC_THRESHOLDS, Stream, run_stream

INTENTS = 12


def make_stream(seed: int, count: int) -> Stream:
    """Requests of twelve intents, near one another within each, and one in ten of none."""
    draw = np.random.default_rng(seed)
    middles = draw.normal(size=(INTENTS, 16))
    texts, truths, vectors = [], [], []
    for place in range(count):
        intent = int(draw.integers(INTENTS))
        is_stray = draw.random() < 0.1
        vector = draw.normal(size=16) if is_stray else middles[intent] + 0.25 * draw.normal(size=16)
        texts.append(f"subject{'' if is_stray else intent} question")
        truths.append(-1 - place if is_stray else intent)
        vectors.append(vector / np.linalg.norm(vector))
    return Stream(texts, truths, np.array(vectors, np.float32))


def test_a_stream_is_served_and_counted() -> None:
    result = run_stream(make_stream(1, 1_500), seed=1)

    assert result.gated.requests == 1_500
    assert 0.4 < result.gated.hit_rate < 0.9
    assert result.gated.error_rate < 0.03
    assert result.gated.error_upper > result.gated.error_rate
    assert 0 < result.gated.rechecked < result.gated.hits
    assert [threshold for threshold, _ in result.static] == list(STATIC_THRESHOLDS)
    hits = [run.hits for _, run in result.static]
    assert hits == sorted(hits, reverse=True)
    assert result.gated.curve[-1][0] == 1_500


def test_the_same_seed_gives_the_same_figures() -> None:
    stream = make_stream(2, 700)
    assert run_stream(stream, seed=3) == run_stream(stream, seed=3)


def test_a_judge_that_says_no_to_everything_leaves_no_answer_shared() -> None:
    result = run_stream(make_stream(4, 700), seed=1, judge=lambda fresh, kept: False)
    # Until a gate can be fitted, near texts are served; every re-check then says that it was wrong.
    assert result.gated.rechecked <= result.gated.hits
