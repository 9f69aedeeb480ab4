"""What a decision costs: routing, rules of compression, extraction with cached vectors, guards. CPU time of one core.

    python -m bench --only costhub --scenario methods
    python -m bench.methods [--write docs/benchmarks.md]

Every figure is the median of five rounds; a text of our own stands for a prompt. ``--write`` puts the table between its
marks of a page.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np

from bench.figures import Figures, span
from bench.report import put_between_markers
from proxy.cache.guards import find_veto, read
from proxy.core.compression import extract
from proxy.core.compression.bm25 import Bm25
from proxy.core.compression.filler import drop_filler
from proxy.core.compression.lossless import tidy
from proxy.core.compression.passages import find_passages, keep_passages
from proxy.core.compression.prune import prune_words
from proxy.core.routes.router import Router, predict
from proxy.core.routes.text_features import FEATURES, PLACES
from proxy.core.tokens import count_text
from tenants.choices import Tokenizer

SENTENCE = "The committee of the harbour met in Oslo on 3 May 2021 and did not agree on the fees for smaller ships. "
QUESTION = "How many ships did the harbour of Oslo refuse in May, and why did the committee not agree on their fees?"


ROUNDS: Final = 5


BEGIN: Final = "<!-- methods -->"
END: Final = "<!-- /methods -->"

_UNTIDY: Final = "lossless, to tidy: ms a kilotoken"
_FILLER: Final = "filler: ms a kilotoken"
_WORDS: Final = "words by rule: ms a kilotoken"
_CHOSEN: Final = "extraction of a dialogue, chosen by cached vectors: ms a kilotoken"
_SERVED: Final = "extraction of a dialogue, found, chosen and joined: ms a kilotoken"
_DECISION: Final = "routing decision: ms"
#: the most that each may take, ms
GOALS: Final[Mapping[str, float]] = {_UNTIDY: 1, _FILLER: 1, _WORDS: 1, _CHOSEN: 5, _SERVED: 5, _DECISION: 0.1}


def main(arguments: Sequence[str]) -> int:
    """Measure and print, and write if that is wanted."""
    parser = argparse.ArgumentParser(prog="python -m bench.methods")
    parser.add_argument("--write", type=Path, metavar="PAGE")
    page: Path | None = parser.parse_args(arguments).write
    table = make_table(measure_methods())
    print(table)
    if page is not None and not put_between_markers(page, table, BEGIN, END):
        print(f"{page} has no marks {BEGIN} and {END}.", file=sys.stderr)
        return 1
    return 0


def make_table(found: Mapping[str, Figures]) -> str:
    """The figures in Markdown, beside their goals, and when and on how busy a machine they were measured."""
    lines = ["| method | median | range | goal |", "|---|---:|---:|---:|"]
    for name, figures in found.items():
        told, goal = span(figures.rounds), GOALS.get(name)
        wanted = "" if goal is None else f"{goal:g}, {'met' if told.middle <= goal else '**not met**'}"
        lines.append(f"| {name} | {told.middle:.3f} | {told.low:.3f}–{told.high:.3f} | {wanted} |")
    lines.append(f"\n{datetime.now(UTC).date()}, at a load of {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores.")
    return "\n".join(lines)


def measure_methods() -> dict[str, Figures]:
    """Milliseconds of one core for each method, a kilotoken or a decision."""
    draw = np.random.default_rng(1)
    speakers = ("Ada", "Ben", "Cleo")
    dialogue = "\n".join(f"{speakers[place % 3]}: {SENTENCE * 2}".strip() for place in range(200))
    told = f"{dialogue}\n\n{QUESTION}"
    served = find_passages(told)
    assert served is not None
    assert served.windows
    known = draw.normal(size=(len(served.windows), 384)).astype(np.float32)
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

    def serve() -> None:
        found = find_passages(told)
        assert found is not None
        keep_passages(found, asked, known)

    methods: tuple[tuple[str, Callable[[], object], float], ...] = (
        ("lossless, nothing to tidy: ms a kilotoken", lambda: tidy(tidy_text), thousands),
        (_UNTIDY, lambda: tidy(untidy_text), thousands),
        (_FILLER, lambda: drop_filler(untidy_text), thousands),
        (_WORDS, lambda: prune_words(tidy_text), thousands),
        (_CHOSEN, select, float(lengths.sum()) / 1_000),
        (_SERVED, serve, count_text(told, Tokenizer.O200K) / 1_000),
        (_DECISION, lambda: predict(router, QUESTION, "a", asked), 1.0),
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
    sys.exit(main(sys.argv[1:]))
