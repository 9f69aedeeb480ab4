"""What holds for every method and every text: the same again, nothing protected lost, JSON byte for byte."""

import json
import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.core.compression.filler import drop_filler
from proxy.core.compression.lossless import SHORTEST_REPEATED, tidy
from proxy.core.compression.protect import Span, find_blocks, find_words, merge, split, survives
from proxy.core.compression.prune import prune_words
from proxy.core.compression.system_prompt import distil
from tests.sampling import examples

CODE = "def area(side):\n    total = side * side\n    return total\n"
PROSE = "The committee met in Oslo on 3 May 2021 and did not agree. It was a very long meeting, and there was coffee."
ODD = [
    "",
    " ",
    "x",
    "🙂🙂  🙂",
    "שלום   עולם\n\n\n\nלהתראות",
    "מה שלומך? 5 ק״ג",
    CODE,
    "Hi 你好   мир",
    "\u200f\ufeff",
    "a" * 1_000_000,
]

texts = st.one_of(
    st.text(max_size=300),
    st.lists(
        st.sampled_from(
            ["Please ", "could you ", "explain ", "this", ". ", "\n", "\n\n\n", "   ", "`x  y`", "{\"a\":  1}", "5 kg", "not ",
             "Thank you!", "\"a  b\"", "```\na  b\n```", "| a | b |\n", "Anna Lee ", "the ", "of ", "- ", "\t"]
        ),
        max_size=25,
    ).map("".join),
)  # fmt: skip


@given(texts)
@settings(max_examples=examples(150), deadline=None)
def test_doing_it_twice_changes_nothing_more(text: str) -> None:
    tidied = tidy(text)
    assert tidy(tidied) == tidied
    short = drop_filler(text)
    assert drop_filler(short) == short


@given(texts)
@settings(max_examples=examples(150), deadline=None)
def test_blocks_keep_every_byte(text: str) -> None:
    blocks = find_blocks(text)
    assert "".join(piece for piece, _ in split(text, blocks)) == text
    for shorten in (tidy, drop_filler, prune_words):
        assert survives(text, shorten(text), blocks)


@given(texts, st.sampled_from([0.0, 0.2, 0.5, 0.9]))
@settings(max_examples=examples(150), deadline=None)
def test_words_that_an_answer_hangs_on_survive_pruning(text: str, keep: float) -> None:
    assert survives(text, prune_words(text, keep), find_words(text))


@given(
    st.recursive(
        st.none() | st.integers() | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
        max_leaves=12,
    )
)
@settings(max_examples=examples(60), deadline=None)
def test_json_is_sent_byte_for_byte(value: object) -> None:
    text = json.dumps({"please": value}, indent=3)
    for shorten in (tidy, drop_filler, prune_words):
        assert shorten(text) == text


@pytest.mark.parametrize("text", ODD)
def test_every_kind_of_text_is_taken(text: str) -> None:
    for shorten in (tidy, drop_filler, prune_words):
        assert len(shorten(text)) <= len(text)
    assert distil(text).text == distil(text).text


def test_code_stays_as_it_is() -> None:
    for text in (CODE, f"```python\n{CODE}\n\n\n\nx  =  1\n```", f"Fix this:\n\n{CODE}"):
        assert prune_words(tidy(text)).endswith(tidy(text)[-len(CODE) + 1 :])


@pytest.mark.parametrize(
    ("text", "examples"),
    [
        ("Review: So so.\nSentiment: mixed\n\nReview: Fine.\nSentiment:", ["Review: So so.\nSentiment: mixed\n"]),
        ("Q: Two and two?\nA: Four.\nQ: And now?\nA:", ["Q: Two and two?\nA: Four.\n"]),
        ("**Input 1:** abc\n**Output 1:** def\n", ["**Input 1:** abc\n**Output 1:** def\n"]),
        ("User: Hi.\nAssistant: Hello.\nHow are you?\n\nUser: Well.", ["User: Hi.\nAssistant: Hello.\nHow are you?\n"]),
        (
            "great movie -> positive\nawful plot -> negative\n\nAnd this?",
            ["great movie -> positive\nawful plot -> negative\n\n"],
        ),
        ("In French.\nExample 1: red is rouge.\nSo it is.\n\nGo on.", ["Example 1: red is rouge.\nSo it is.\n"]),
        # A dialogue has no answers, and what asks has none yet.
        ("Ada: Shall we go?\nBob: No.\nA: Why?\nB: It rains.", []),
        ("Context: They met.\nQuestion: Who came?\nAnswer:", []),
        ("The answer: nobody knows it.", []),
    ],
)
def test_what_is_an_example(text: str, examples: list[str]) -> None:
    assert [text[span.start : span.end] for span in find_blocks(text)] == examples


def test_white_space_that_nobody_reads_goes() -> None:
    assert tidy("One   two \n\n\n\n\nthree\t \n") == "One two\n\nthree"
    assert tidy("- a\n    code   here\n") == "- a\n    code   here\n"


def test_a_paragraph_that_was_pasted_twice_stands_once() -> None:
    pasted = (PROSE * 2)[: SHORTEST_REPEATED + 9]
    assert tidy(f"{pasted}\n\nWhy?\n\n{pasted}") == f"{pasted}\n\nWhy?"


@pytest.mark.parametrize(
    ("text", "shorter"),
    [
        ("Please explain the plan.", "explain the plan."),
        ("Could you please explain the plan?", "explain the plan?"),
        ("I would like you to explain the plan. Thank you very much!", "explain the plan."),
        ("Give a detailed and comprehensive answer, please.", "Give a detailed answer."),
        ('Translate "please come"', 'Translate "please come"'),
        ("Could you be wrong?", "be wrong?"),
        ("please", "please"),
        ("Thank you", "Thank you"),
        ("The please button", "The please button"),
    ],
)
def test_empty_phrases_go(text: str, shorter: str) -> None:
    assert drop_filler(text) == shorter


def test_pruning_drops_words_of_grammar_first() -> None:
    pruned = prune_words(PROSE)
    assert pruned == "committee met Oslo 3 May 2021 and not agree. long meeting, coffee."
    assert len(prune_words(PROSE, 0.5)) < len(pruned)


def test_a_system_prompt_keeps_what_instructs() -> None:
    prompt = (
        "You are the assistant of a bank. Our bank was founded long ago by two brothers. Always answer in German. "
        "Customers love our branches. Never quote rates above 7 %. Always answer in German."
    )
    distilled = distil(prompt)
    assert distilled.text == "You are the assistant of a bank. Always answer in German. Never quote rates above 7 %."
    assert distilled.dropped == (
        "Our bank was founded long ago by two brothers.",
        "Customers love our branches.",
        "Always answer in German.",
    )


def test_a_system_prompt_of_thousands_of_instructions_is_read_in_time() -> None:
    """What is said again is found without a look at everything that was said before."""
    lines = [f"If w{number:x}" for number in range(6_000)]
    started = time.thread_time()
    assert distil("\n".join([*lines, "if wff"])) == ("\n".join(lines), ("if wff",))
    assert time.thread_time() - started < 3


def test_spans_that_overlap_are_one() -> None:
    assert merge([Span(5, 9), Span(0, 3), Span(2, 6), Span(9, 9)]) == [Span(0, 9)]
    assert not survives("one two", "two one", [Span(0, 3), Span(4, 7)])


def test_a_text_of_brackets_is_read_in_time() -> None:
    text = "".join(random.Random(1).choices('[{"1 }]\n', k=30_000))
    assert tidy(tidy(text)) == tidy(text)


def test_a_name_behind_a_word_of_grammar_stands_without_it() -> None:
    """The blank between goes with the word: a text that begins so is pruned as any other."""
    text = "With the North Sea Council it was the case that the harbour of Oslo had been of use."
    assert [text[span.start : span.end] for span in find_words(text)] == ["the North Sea Council", "Oslo"]
    pruned = prune_words(text)
    assert pruned == "the North Sea Council case harbour Oslo use."
    assert survives(text, pruned, find_words(text))
