"""Extraction keeps what a question needs, and as little else as it is told."""

import numpy as np
import pytest

from proxy.core.compression import extract
from proxy.core.compression.bm25 import Bm25

PASSAGES = [
    "The lighthouse of Alexandria stood on the island of Pharos.",
    "Barley is sown in spring and harvested in late summer.",
    "Lighthouses use lenses that Fresnel designed.",
]


def test_bm25_finds_the_text_with_the_rare_words() -> None:
    scores = Bm25(PASSAGES).score("Where did the lighthouse of Alexandria stand?")
    assert scores.argmax() == 0
    assert scores[1] == 0.0
    assert Bm25(PASSAGES).score("").tolist() == [0, 0, 0]
    assert Bm25([]).score("anything").tolist() == []


def test_passages_are_scored_by_meaning_and_a_little_by_words() -> None:
    vectors = np.eye(3, dtype=np.float32)
    asked = np.array([0.0, 1.0, 0.0], np.float32)
    scores = extract.score_passages("lighthouse of Alexandria", PASSAGES, asked, vectors)
    assert scores.argmax() == 1
    assert scores[0] > scores[2] > 0


def test_a_share_of_the_mass_is_kept_in_the_texts_order() -> None:
    scores = np.log(np.array([1.0, 6.0, 1.0, 2.0]))
    one = np.ones(4)
    assert extract.keep_mass(scores, one, 0.6, 1.0) == [1]
    assert extract.keep_mass(scores, one, 0.61, 1.0) == [1, 3]
    assert extract.keep_mass(scores, one, 1.0, 1.0) == [0, 1, 2, 3]
    assert extract.keep_mass(np.zeros(0), np.zeros(0), 0.5, 1.0) == []


def test_a_number_of_tokens_is_not_exceeded_but_one_is_always_kept() -> None:
    scores, tokens = np.array([0.1, 0.9, 0.5]), np.array([10.0, 30.0, 20.0])
    assert extract.keep_tokens(scores, tokens, 50) == [1, 2]
    assert extract.keep_tokens(scores, tokens, 45) == [0, 1]
    assert extract.keep_tokens(scores, tokens, 1) == [1]


def test_windows_cover_every_word_once() -> None:
    turns = ["a " * 50, "b " * 200, "", "c"]
    windows = extract.split_windows(turns)
    assert " ".join(text for text, _, _ in windows).split() == " ".join(turns).split()
    assert [(first, last) for _, first, last in windows] == [(0, 1), (1, 1), (1, 3)]
    assert extract.split_windows([]) == []


def test_a_turns_neighbours_are_kept_with_it() -> None:
    tokens = np.full(9, 100.0)
    scores = np.zeros(9)
    scores[4] = 1.0
    smoothed = extract.smooth(scores, tokens, reach=100.0)
    assert smoothed.argmax() == 4
    assert smoothed[3] == pytest.approx(smoothed[4] * np.exp(-0.5), rel=0.02)
    assert extract.smooth(np.ones(9), tokens).tolist() == pytest.approx([1.0] * 9)


def test_a_dialogues_turns_are_scored_by_windows_and_words() -> None:
    turns = ["Ann: we talk of barley " * 20, "Ben: and of the lighthouse " * 20, "Ann: of nothing " * 40]
    windows = extract.split_windows(turns)
    vectors = np.zeros((len(windows), 2), np.float32)
    vectors[:, 1] = [1.0 if "lighthouse" in text else 0.0 for text, _, _ in windows]
    tokens = np.full(3, 4_000.0)
    scores = extract.score_turns(
        "the lighthouse", Bm25(turns), windows, np.array([0.0, 1.0], np.float32), vectors, tokens
    )
    assert scores.argmax() == 1


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("Summarize the whole meeting.", True),
        ("Give me a summary.", True),
        ("Summarise the discussion about the budget.", False),
        ("What did Ann say?", False),
    ],
)
def test_a_question_about_everything_is_known(question: str, expected: bool) -> None:
    assert extract.asks_for_everything(question) is expected
