"""Versions: what is in them, and what is not."""

import numpy as np
import pytest

from proxy.learning.assembly import NothingLeft, Recipe, assemble
from proxy.learning.judging import judge
from tests.proxy.learning.examples import make_example, make_support, sources


def test_the_newest_are_held_out() -> None:
    examples = make_support(10)[::-1]
    made = assemble(examples, None, Recipe(held_out_percent=30))
    assert sources(examples, made.train) == [f"{number}".zfill(8) for number in range(0, 7_000, 1_000)]
    assert sources(examples, made.held_out) == ["00007000", "00008000", "00009000"]
    assert made.labels == {"refund": 4, "delivery": 3, "invoice": 3}
    assert made.scripts == {"latin": 10}
    assert made.dropped == {}


def test_the_order_in_which_examples_come_changes_nothing() -> None:
    examples = make_support(40)
    made = assemble(examples, None, Recipe())
    assert assemble(examples[::-1], None, Recipe()).sha256 == made.sha256
    assert assemble(examples[:-1], None, Recipe()).sha256 != made.sha256
    assert assemble(examples, None, Recipe(held_out_percent=50)).sha256 != made.sha256


def test_equal_questions_count_once_with_the_answer_of_most() -> None:
    examples = [
        make_example("Refund?", "yes", at_ms=1),
        make_example("refund?", "no", at_ms=2),
        make_example(" REFUND?", "yes", at_ms=3),
        make_example("Delivery?", "yes", at_ms=4),
        make_example("delivery?", "no", at_ms=5),
        make_example("Invoice?", "yes", at_ms=6),
    ]
    made = assemble(examples, None, Recipe())
    assert sources(examples, (*made.train, *made.held_out)) == ["00000003", "00000006"]
    assert made.dropped == {"contradictory": 3, "duplicate": 1}


def test_what_is_near_and_answered_alike_counts_once() -> None:
    vectors = np.array([[1, 0], [0.999, 0.0447], [0.999, 0.0447], [0, 1]], np.float32)
    examples = [
        make_example("a", "one", at_ms=1),
        make_example("b", "one", at_ms=2),
        make_example("c", "two", at_ms=3),
        make_example("d", "one", at_ms=4),
    ]
    made = assemble(examples, vectors, Recipe())
    assert sources(examples, (*made.train, *made.held_out)) == ["00000001", "00000003", "00000004"]
    assert made.dropped == {"near duplicate": 1}
    assert len(assemble(examples, vectors, Recipe(near=1.0)).train) == 3


def test_near_ones_are_found_in_other_blocks_too() -> None:
    draw = np.random.default_rng(7)
    vectors = draw.normal(size=(600, 64)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors = np.vstack([vectors, vectors])
    examples = [make_example(f"question {place}", "one", at_ms=place) for place in range(1_200)]
    assert assemble(examples, vectors, Recipe()).dropped == {"near duplicate": 600}


def test_answers_that_are_no_labels_are_not_outvoted() -> None:
    """Each is said once: neighbours prove nothing of it."""
    examples = [make_example(f"Question {number}", f"Answer {number}", at_ms=number) for number in range(8)]
    vectors = np.tile(np.eye(1, 384, dtype=np.float32), (8, 1))
    same = [example._replace(answer="Yes.") for example in examples[:7]] + [examples[7]]
    assert assemble(same, vectors, Recipe(near=1.0, drops_outvoted=True)).dropped == {"outvoted": 1}
    long = [example._replace(answer="Yes. " * 20) for example in examples[:7]] + [examples[7]]
    assert assemble(long, vectors, Recipe(near=1.0, drops_outvoted=True)).dropped == {}


def test_a_poisoned_label_is_outvoted_by_its_neighbours() -> None:
    vectors = np.array([[1, number / 100] for number in range(8)] + [[number / 100, 1] for number in range(8)])
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    examples = [make_example(f"q{place}", "up" if place < 8 else "down", at_ms=place) for place in range(16)]
    examples[3] = examples[3]._replace(answer="down")
    made = assemble(examples, vectors, Recipe(near=1.0, drops_outvoted=True))
    assert made.dropped == {"outvoted": 1}
    assert 3 not in (*made.train, *made.held_out)


def test_scripts_are_told_apart() -> None:
    texts = ["where is it", "где это", "どこですか", "它在哪里", "أين هو", "12345", "어디 있어요"]
    made = assemble([make_example(text, "a", at_ms=at) for at, text in enumerate(texts)], None, Recipe())
    assert made.scripts == dict.fromkeys(("latin", "cyrillic", "japanese", "chinese", "arabic", "none", "korean"), 1)


@pytest.mark.parametrize(
    ("examples", "says"),
    [
        ([], "Of 0 examples 0 can be used:"),
        ([make_example("Hi", "Hello")], "Of 1 examples 1 can be used:"),
        (
            [make_example("Hi", "I'm sorry, I can't help."), make_example("Ho", "a"), make_example("ho", "a")],
            "Of 3 examples 1 can be used (1 duplicate, 1 refusal left out):",
        ),
    ],
)
def test_too_little(examples: list[object], says: str) -> None:
    with pytest.raises(NothingLeft) as raised:
        assemble(examples, None, Recipe())  # type: ignore[arg-type]
    assert str(raised.value).startswith(says)


@pytest.mark.parametrize(
    ("question", "answer", "reason"),
    [
        ("Hi", "Hello", ""),
        (" ", "Hello", "empty"),
        ("Hi", "I cannot help with that.", "refusal"),
        ("Hi", "la la la " * 30, "repetition"),
    ],
)
def test_judges(question: str, answer: str, reason: str) -> None:
    assert judge(make_example(question, answer)) == reason
