"""Guards: near misses are no hits, paraphrases are."""

import itertools

import pytest

from proxy.cache.guards import Unfit, Veto, find_unfit, find_veto, read


def veto(asked: str, kept: str) -> Veto | None:
    found = find_veto(read(asked), read(kept))
    # Which of the two was first changes nothing.
    assert (find_veto(read(kept), read(asked)) is None) == (found is None)
    return found


@pytest.mark.parametrize(
    ("asked", "kept"),
    [
        ("How do I reset a password?", "how can I reset a password"),
        ("translate hello into Spanish", "how do you say hello in Spanish"),
        ("What is 1,000 m in feet?", "what's 1000 meters in feet"),
        ("Who wrote Hamlet?", "tell me who the author of hamlet was"),
        ("what is the wifi code", "tell me the code of the wifi"),
        ("which birds fly in storms", "tell me which birds fly in storms"),
        ("which birds fly in storms", "which birds fly in storms at sea"),
        ("", ""),
        ("👍", "👍"),
    ],
)
def test_what_asks_the_same_may_be_a_hit(asked: str, kept: str) -> None:
    assert veto(asked, kept) is None


@pytest.mark.parametrize(
    ("asked", "kept", "expected"),
    [
        ("wake me at 7 am", "wake me at 8 am", Veto.NUMBERS),
        ("convert 5 km to miles", "convert 5 miles to km", Veto.NUMBERS),
        ("book two seats", "book four seats", Veto.NUMBERS),
        ("is $5 enough", "is €5 enough", Veto.NUMBERS),
        ("fly on Monday", "fly on tuesday", Veto.DATES),
        ("what happened in March", "what happened in May", Veto.DATES),
        ("is it safe", "is it not safe", Veto.NEGATION),
        ("can I pay with a card", "can't I pay with a card", Veto.NEGATION),
        ("explain read_file", "explain write_file", Veto.IDENTIFIERS),
        ("open https://a.example/x", "open https://a.example/y", Veto.IDENTIFIERS),
        ('define "lease"', 'define "license"', Veto.QUOTATIONS),
        ("what did the firm Acme earn", "what did the firm Globex earn", Veto.NAMES),
        ("is aspirin safe for children", "is ibuprofen safe for children", Veto.MINIMAL_PAIR),
        ("move money from savings to checking", "move money from checking to savings", Veto.MINIMAL_PAIR),
        ("turn the heating up", "turn the heating down", Veto.MINIMAL_PAIR),
        ("北京的天气怎么样", "上海的天气怎么样", Veto.MINIMAL_PAIR),
        ("which birds rarely fly in storms", "which birds fly in storms", Veto.MINIMAL_PAIR),
        ("which birds fly in storms", "which birds refuse to fly in storms", Veto.MINIMAL_PAIR),
        ("which alloys lack nickel", "which alloys have nickel", Veto.MINIMAL_PAIR),
    ],
)
def test_a_near_miss_is_vetoed(asked: str, kept: str, expected: Veto) -> None:
    assert veto(asked, kept) is expected


def test_five_hundred_near_misses_in_words_that_no_list_has() -> None:
    frames = [
        "how long does the {} take to reach the {}",
        "which permit does a {} need before it may use the {}",
        "compare the price of the {} with that of the {}",
        "who is liable when a {} damages a {}",
        "recommend a {} that fits on a {}",
    ]
    things = [
        "barge", "lock", "trawler", "gantry", "hopper", "tender", "buoy", "quay", "winch", "davit", "skiff", "slipway",
    ]  # fmt: skip
    pairs = [
        (frame.format(thing, place), frame.format(other, place))
        for frame in frames
        for thing, place, other in itertools.permutations(things, 3)
    ][::13][:500]

    assert len(pairs) == 500
    assert [pair for pair in pairs if veto(*pair) is None] == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("continue", Unfit.CONTINUATION),
        ("Yes, go on please!", Unfit.CONTINUATION),
        ("what is the weather like", Unfit.TIME_BOUND),
        ("show me my balance", Unfit.PERSONAL),
        ("how much do I owe", Unfit.PERSONAL),
        ("How do I open the lid?", None),
        ("what is a lease", None),
    ],
)
def test_what_means_something_only_here_and_now_is_not_looked_up(text: str, expected: Unfit | None) -> None:
    assert find_unfit(text) is expected


def test_a_long_text_is_compared_in_time() -> None:
    first, second = read("word other " * 9_000), read("word other " * 9_000 + "more")

    assert find_veto(first, second) is None
