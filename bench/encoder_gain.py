"""What an encoder of its own adds to a student: a classifier on plain vectors, beside one whose encoder learned too.

    .venv-learning/bin/python -m bench.encoder_gain DIR [--rows 1000] [--tests 2000] [--epochs 1] [--minutes 25]

``DIR`` has HEADLINES as docs/quality.md says. The teacher is the one of ``costhub eval distillation``: 14 of 100 of its
answers are wrong by chance. Both learn from the same answers as a job does, with its defaults but for ``epochs``, and
say what the same headlines of the other part are, whose right answers are known. One thread; wants the extra. The
encoder's training is left where ``--minutes`` are over, and how far it came is said.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from costhub.eval.data import read_headlines
from costhub.eval.distillation import TEACHER_ERRS
from proxy.cache.minilm import MiniLM
from proxy.learning.encoders.served import Encoders
from proxy.learning.evaluation import Share, bound
from proxy.learning.head import Course, number_labels, rate_labels
from proxy.learning.head_learner import HeadLearner, Lesson

EMBED_AT_ONCE = 32
REPORT_SECONDS = 30.0


def main(arguments: Sequence[str]) -> int:
    """Measure and print; 1 where the time was too short."""
    parser = argparse.ArgumentParser(prog="python -m bench.encoder_gain")
    parser.add_argument("data", type=Path)
    parser.add_argument("--rows", type=int, default=1_000, help="headlines that are learned from")
    parser.add_argument("--tests", type=int, default=2_000, help="other headlines, that both are asked")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--batch-rows", type=int, default=16)
    parser.add_argument("--minutes", type=float, default=25)
    options = parser.parse_args(arguments)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "costhub.settings")
    import torch  # noqa: PLC0415 - one import that only this needs

    from proxy.learning.encoders.learner import EncoderLearner, load_encoder  # noqa: PLC0415

    torch.set_num_threads(1)
    draw = np.random.default_rng(0)
    rows, tests = read_headlines(options.data, "train"), read_headlines(options.data, "test")
    rows = [rows[place] for place in draw.permutation(len(rows))[: options.rows]]
    tests = [tests[place] for place in draw.permutation(len(tests))[: options.tests]]
    labels = sorted({label for _, label in rows})
    said = [
        str(draw.choice([other for other in labels if other != label]))
        if draw.random() < TEACHER_ERRS["headlines"]
        else label
        for _, label in rows
    ]
    answers = number_labels(labels, said)
    texts, asked = [text for text, _ in rows], [text for text, _ in tests]
    right = np.array([labels.index(label) if label in labels else -1 for _, label in tests])
    print(f"{len(rows):,} headlines to learn from, {len(tests):,} others, {len(labels)} labels", flush=True)

    plain = partial(_embed_all, MiniLM().embed)
    before = time.perf_counter()
    learned_on, asked_on = plain(texts), plain(asked)
    per_text = (time.perf_counter() - before) / (len(texts) + len(asked))
    print(f"plain vectors: {per_text * 1000:.0f} ms each", flush=True)
    head = _learn_head(learned_on, answers, len(labels))
    without = rate_labels(head, asked_on).argmax(axis=1) == right
    _print("on plain vectors", without)

    course = Course(options.epochs, options.batch_rows, 0.001, 0)
    learner = EncoderLearner(load_encoder(rank=8, seed=0), texts, answers, head, course, "rows")
    began = reported = time.perf_counter()
    while learner.step < learner.steps:
        loss = learner.take_step(lambda: False)
        now = time.perf_counter()
        if now - reported > REPORT_SECONDS or learner.step == learner.steps:
            pace = learner.step / (now - began)
            print(f"step {learner.step} of {learner.steps}, loss {loss:.3f}, {pace:.2f} steps a second", flush=True)
            reported = now
        if now - began > options.minutes * 60 and learner.step < learner.steps:
            print("the time is over")
            return 1
    changed = learner.export()
    own = partial(_embed_all, partial(Encoders().embed, "own", lambda: changed))
    with_one = rate_labels(_learn_head(own(texts), answers, len(labels)), own(asked)).argmax(axis=1) == right
    _print("with an encoder of its own", with_one)
    gain, low, high = _compare(without, with_one)
    print(f"gain: {gain:+.1%} [{low:+.1%}, {high:+.1%}], paired bootstrap, 95 %")
    return 0


def _embed_all(embed: Callable[[Sequence[str]], NDArray[np.float32]], texts: Sequence[str]) -> NDArray[np.float32]:
    return np.vstack([embed(texts[start : start + EMBED_AT_ONCE]) for start in range(0, len(texts), EMBED_AT_ONCE)])


def _learn_head(vectors: NDArray[np.float32], answers: NDArray[np.int64], labels: int) -> NDArray[np.float64]:
    learner = HeadLearner(Lesson(vectors, answers, labels, "rows"), Course())
    while learner.step < learner.steps:
        learner.take_step(lambda: False)
    return learner.state.weights


def _print(name: str, is_right: NDArray[np.bool_]) -> None:
    share: Share = bound(int(is_right.sum()), len(is_right))
    print(
        f"{name}: right in {share.found} of {share.of}, {share.found / share.of:.1%} "
        f"[{share.low:.1%}, {share.high:.1%}]",
        flush=True,
    )


def _compare(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> tuple[float, float, float]:
    """How much more often the other is right, and between what that lies: both were asked the same."""
    difference = other.astype(float) - one.astype(float)
    draw = np.random.default_rng(1)
    means = [draw.choice(difference, len(difference)).mean() for _ in range(5_000)]
    low, high = np.quantile(means, [0.025, 0.975])
    return float(difference.mean()), float(low), float(high)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
