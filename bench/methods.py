"""What a decision costs: routing, rules of compression, extraction with cached vectors, guards. CPU time of one core.

    python -m bench --only costhub --scenario methods
    python -m bench.methods

Every figure is the median of five rounds; a text of our own stands for a prompt.
"""

import time
from collections.abc import Callable
from typing import Final

import numpy as np

from bench.figures import Figures, span
from proxy.cache.guards import find_veto, read
from proxy.core.compression import extract
from proxy.core.compression.bm25 import Bm25
from proxy.core.compression.filler import drop_filler
from proxy.core.compression.lossless import tidy
from proxy.core.compression.prune import prune_words
from proxy.core.routes.router import Router, predict
from proxy.core.routes.text_features import FEATURES, PLACES
from proxy.core.tokens import count_text
from tenants.choices import Tokenizer

SENTENCE = "The committee of the harbour met in Oslo on 3 May 2021 and did not agree on the fees for smaller ships. "
QUESTION = "How many ships did the harbour of Oslo refuse in May, and why did the committee not agree on their fees?"


ROUNDS: Final = 5


def main() -> None:
    """Measure and print."""
    for name, figures in measure_methods().items():
        found = span(figures.rounds)
        print(f"{name}: {found.middle:.3f} ({found.low:.3f} to {found.high:.3f})")


def measure_methods() -> dict[str, Figures]:
    """Milliseconds of one core for each method, a kilotoken or a decision."""
    draw = np.random.default_rng(1)
    tidy_text = "\n\n".join(f"{number}. {SENTENCE * 8}".strip() for number in range(12))
    untidy_text = tidy_text.replace("met in", "met   in") + "Could you please explain this? Thank you."
    thousands = count_text(tidy_text, Tokenizer.O200K) / 1_000
    turns = [SENTENCE * 2] * 200
    lengths = np.array([count_text(turn, Tokenizer.O200K) for turn in turns], np.float64)
    windows = extract.split_windows(turns)
    vectors = draw.normal(size=(len(windows), 384)).astype(np.float32)
    asked = draw.normal(size=384).astype(np.float32)
    router = Router(
        task_gains={"a": 0.1, "b": 0.2},
        means=np.zeros(FEATURES),
        scales=np.ones(FEATURES),
        feature_weights=draw.normal(size=FEATURES),
        word_weights=draw.normal(size=PLACES),
        vector_weights=draw.normal(size=384),
    )
    first, second = read(QUESTION), read(QUESTION.replace("ships", "boats"))

    def select() -> None:
        scores = extract.score_turns(QUESTION, Bm25(turns), windows, asked, vectors, lengths)
        extract.keep_mass(scores, lengths, 0.8, extract.TURN_TEMPERATURE)

    methods: tuple[tuple[str, Callable[[], object], float], ...] = (
        ("lossless, nothing to tidy: ms a kilotoken", lambda: tidy(tidy_text), thousands),
        ("lossless, to tidy: ms a kilotoken", lambda: tidy(untidy_text), thousands),
        ("filler: ms a kilotoken", lambda: drop_filler(untidy_text), thousands),
        ("words by rule: ms a kilotoken", lambda: prune_words(tidy_text), thousands),
        ("extraction of a dialogue: ms a kilotoken", select, float(lengths.sum()) / 1_000),
        ("routing decision: ms", lambda: predict(router, QUESTION, "a", asked), 1.0),
        ("guards, a text read: ms", lambda: read(QUESTION), 1.0),
        ("guards, two readings compared: ms", lambda: find_veto(first, second), 1.0),
    )
    return {name: Figures([spent / unit for spent in _measure(run)]) for name, run, unit in methods}


def _measure(run: Callable[[], object]) -> list[float]:
    """Milliseconds of CPU for one call, round by round."""
    times = []
    for _ in range(ROUNDS):
        calls = 0
        start = time.process_time()
        while (spent := time.process_time() - start) < 0.05 or not calls:
            run()
            calls += 1
        times.append(spent / calls * 1_000)
    return times


if __name__ == "__main__":
    main()
