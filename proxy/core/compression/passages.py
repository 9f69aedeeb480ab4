"""Passages of a message that its question does not need, left out: which pieces there are, and which stay.

A message whose last paragraph asks about what stands before it is what applications send that look things up first, or
that ask about a meeting. Each paragraph is a passage; of a dialogue each turn is one. The question and the first piece,
which mostly says what is to be done, always stay.
"""

import re
from collections.abc import Sequence
from itertools import zip_longest
from typing import Final, NamedTuple

import numpy as np

from proxy.core.compression.bm25 import Bm25
from proxy.core.compression.extract import (
    PASSAGE_TEMPERATURE,
    TURN_TEMPERATURE,
    WINDOW_WORDS,
    Array,
    Vectors,
    asks_for_everything,
    keep_mass,
    keep_tokens,
    score_passages,
    score_turns,
    split_windows,
)
from proxy.core.compression.protect import find_blocks

#: fewer passages, or turns, are few enough
FEWEST_PASSAGES: Final = 6
FEWEST_TURNS: Final = 20
#: more vectors would take too long
MOST_PASSAGES: Final = 400
#: the share of the scores' mass that is kept (docs/quality.md: 4 times shorter with 0.999 of golds kept)
KEPT_MASS: Final = 0.95
#: the same of a dialogue, whose answers lie over many turns
KEPT_MASS_OF_TURNS: Final = 0.85

GAP: Final = re.compile(r"\n[ \t]*\n\s*")
#: where the next one speaks: a line of a name, a colon and what is said
_TURN: Final = re.compile(r"\n[^\S\n]*+(?=[^\W\d][^:\n]{0,60}:[ \t]++\S)")
_MOST_QUESTION: Final = 2_000
#: in a dialogue who speaks speaks again, and says some words; lines of settings do neither
_FEWEST_TURNS_A_SPEAKER: Final = 3
_FEWEST_WORDS_A_TURN: Final = 5
_TOKENS_A_WORD: Final = 1.3


class Passages(NamedTuple):
    """A text's pieces with the gaps between them, and the places of those that may go. ``windows``: of a dialogue, the
    stretches of those that have a vector each, with the first and the last of them."""

    pieces: tuple[str, ...]
    gaps: tuple[str, ...]
    movable: tuple[int, ...]
    windows: tuple[tuple[str, int, int], ...] = ()

    @property
    def question(self) -> str:
        """The last paragraph."""
        return self.pieces[-1]

    @property
    def passages(self) -> tuple[str, ...]:
        """Those that may go."""
        return tuple(self.pieces[place] for place in self.movable)

    @property
    def texts(self) -> tuple[str, ...]:
        """What a vector is wanted of."""
        return tuple(text for text, _, _ in self.windows) or self.passages


def find_passages(text: str) -> Passages | None:
    """The pieces of a text that asks about them at its end; None where there are few, or it asks for all of it.
    Paragraphs of code, JSON or tables stay."""
    pieces, gaps = GAP.split(text), GAP.findall(text)
    question = pieces[-1].strip()
    if not gaps or not question or len(question) > _MOST_QUESTION or asks_for_everything(question):
        return None
    if (turns := _find_turns(text, pieces[-1], gaps[-1])) is not None:
        return turns
    if not FEWEST_PASSAGES + 2 <= len(pieces) <= MOST_PASSAGES:
        return None
    movable = tuple(
        place for place, piece in enumerate(pieces[:-1]) if place and piece.strip() and not find_blocks(piece)
    )
    return Passages(tuple(pieces), tuple(gaps), movable) if len(movable) >= FEWEST_PASSAGES else None


def _find_turns(text: str, question: str, gap: str) -> Passages | None:
    """The turns of a dialogue; None for a text that is none."""
    told = "\n" + text[: len(text) - len(question) - len(gap)]
    starts = list(_TURN.finditer(told))
    if len(starts) < FEWEST_TURNS:
        return None
    pieces, gaps = [told[1 : starts[0].start()]], list[str]()
    for start, following in zip_longest(starts, starts[1:]):
        gaps.append(start.group())
        pieces.append(told[start.end() : len(told) if following is None else following.start()])
    # Empty lines belong to the gap behind them: a pattern that took them would read a run of them again from each.
    gaps = [piece[len(piece.rstrip()) :] + between for piece, between in zip(pieces, [*gaps, gap], strict=True)]
    opening, *turns = pieces = [piece.rstrip() for piece in pieces]
    speakers = {turn.partition(":")[0] for turn in turns}
    words = sum(len(turn.split()) for turn in turns)
    if len(turns) < _FEWEST_TURNS_A_SPEAKER * len(speakers) or words < _FEWEST_WORDS_A_TURN * len(turns):
        return None
    # Each has a stretch of words of its own.
    if words > (MOST_PASSAGES + 1) * WINDOW_WORDS:
        return None
    # What stands before the first turn says what it is; without that the first turn stays.
    if not opening:
        pieces, gaps = turns, gaps[1:]
    movable = [place for place, piece in enumerate(pieces) if place and not find_blocks(piece)]
    windows = split_windows([pieces[place] for place in movable])
    if len(windows) > MOST_PASSAGES:
        return None
    return Passages((*pieces, question), tuple(gaps), tuple(movable), tuple(windows))


def keep_passages(found: Passages, question_vector: Vectors, vectors: Vectors, keep: float = 0) -> str:
    """The text without the passages that its question does not need, or with the best of them that are so much of all,
    from 0 to 1, where that is not 0. ``vectors``: one of each of ``texts``."""
    return join(found, choose_passages(found, question_vector, vectors, keep))


def choose_passages(found: Passages, question_vector: Vectors, vectors: Vectors, keep: float = 0) -> list[int]:
    """As ``keep_passages``: the places of those that stay, of those that may go."""
    passages = found.passages
    lengths: Array = np.array([max(len(passage.split()), 1) for passage in passages]) * _TOKENS_A_WORD
    if found.windows:
        counted = Bm25(passages)
        scores = score_turns(found.question, counted, found.windows, question_vector, vectors, lengths)
        kept = keep_mass(scores, lengths, KEPT_MASS_OF_TURNS, TURN_TEMPERATURE)
    else:
        scores = score_passages(found.question, passages, question_vector, vectors)
        kept = keep_mass(scores, np.ones(len(scores)), KEPT_MASS, PASSAGE_TEMPERATURE)
    if keep:
        kept = keep_tokens(scores, lengths, float(lengths.sum()) * keep)
    return [found.movable[place] for place in kept]


def join(found: Passages, kept: Sequence[int]) -> str:
    """The text with those of the passages that may go which are kept, by their places."""
    gone = set(found.movable).difference(kept)
    said: list[str] = []
    for place, piece in enumerate(found.pieces):
        if place in gone:
            continue
        if said:
            said.append(found.gaps[place - 1])
        said.append(piece)
    return "".join(said)
