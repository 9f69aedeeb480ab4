"""Compression: what is still there of what an answer needs, at the ratio that was really reached.

Ratios are of tokens in OpenAI's vocabulary (o200k), which is what is billed.
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from costhub.eval.data import Passages, read_key_values, read_meetings, read_passages
from costhub.eval.statistics import Array, resample
from costhub.eval.vectors import Vectors
from proxy.core.compression import extract
from proxy.core.compression.bm25 import Bm25
from proxy.core.compression.filler import drop_filler
from proxy.core.compression.lossless import tidy
from proxy.core.compression.passages import Passages as PassagesOf
from proxy.core.compression.passages import choose_passages, find_passages, join
from proxy.core.compression.protect import find_words
from proxy.core.compression.prune import prune_words
from proxy.core.tokens import count_text
from proxy.core.words import split_words
from tenants.choices import Tokenizer

#: passages in a prompt: the gold one and the hardest others
PASSAGES: Final = 20
PASSAGE_RATIOS: Final = (2.0, 4.0, 8.0)
WORD_RATIOS: Final = (1.39, 2.0)
TURN_RATIOS: Final = (1.5, 1.75, 2.0, 4.0)

_NO_WORD: Final = re.compile(r"[^\w\s]")


@dataclass(frozen=True, slots=True)
class Point:
    """What a method reached: the ratio that was aimed at, the one that came out, what was kept, its 95 % interval."""

    aimed: float
    achieved: float
    kept: float
    low: float
    high: float


#: of a question: tokens before and after, the share of its evidence that is kept, and its meeting
_Sent = tuple[int, int, float, int]


def measure_passages(folder: Path, vectors: Vectors) -> dict[str, list[Point]]:
    """The share of prompts that keep their gold passage among 19 distractors, by method. Raises DataMissing."""
    rows = read_passages(folder)
    texts = [f"{row.title}\n{row.gold}" for row in rows]
    passages = vectors.embed(texts)
    questions = vectors.embed([row.question for row in rows])
    tokens = np.array([count_text(text, Tokenizer.O200K) for text in texts], np.float64)
    prompts = _make_prompts(rows, texts, passages, questions)
    methods: dict[str, Callable[[int, list[int]], Array]] = {
        "cosine and BM25": lambda row, places: extract.score_passages(
            rows[row].question, [texts[place] for place in places], questions[row], passages[places]
        ),
        "cosine": lambda row, places: (passages[places] @ questions[row]).astype(np.float64),
        "BM25": lambda row, places: Bm25([texts[place] for place in places]).score(rows[row].question),
        "random": lambda row, places: np.random.default_rng(row).random(len(places)),
    }
    results = {}
    for name, score in methods.items():
        scores = [score(row, places) for row, places in enumerate(prompts)]
        results[name] = [_select_passages(scores, prompts, tokens, ratio) for ratio in PASSAGE_RATIOS]
    return results


def _make_prompts(
    rows: Sequence[Passages], texts: Sequence[str], passages: NDArray[np.float32], questions: NDArray[np.float32]
) -> list[list[int]]:
    """For each question its gold passage among the nearest others: half by cosine, half by BM25.

    Another passage that holds an answer, or is the same, is no distractor.
    """
    counted = Bm25(texts)
    prompts = []
    for row, (asked, cosines) in enumerate(zip(rows, questions @ passages.T, strict=True)):
        places = [row]
        by_cosine, by_words = np.argsort(-cosines), np.argsort(-counted.score(asked.question), kind="stable")
        for ranking, most in ((by_cosine, 1 + PASSAGES // 2), (by_words, PASSAGES)):
            for place in ranking:
                if len(places) == most:
                    break
                if place not in places and not _answers(asked, texts[place]) and texts[place] != texts[row]:
                    places.append(int(place))
        # The gold passage's place must tell nothing.
        np.random.default_rng(row).shuffle(places)
        prompts.append(places)
    return prompts


def _answers(asked: Passages, text: str) -> bool:
    folded = text.casefold()
    return any(answer.casefold() in folded for answer in asked.answers)


def _select_passages(scores: list[Array], prompts: list[list[int]], tokens: Array, ratio: float) -> Point:
    """Keep the best passages of each prompt up to its share of the tokens, so that all prompts together reach it."""
    before = after = 0.0
    kept = np.zeros(len(prompts))
    # A passage that does not fit whole is left out, so a little more room than the share is what reaches it.
    for row, (places, score) in enumerate(zip(prompts, scores, strict=True)):
        lengths = tokens[places]
        chosen = extract.keep_tokens(score, lengths, lengths.sum() / ratio)
        before += lengths.sum()
        after += lengths[chosen].sum()
        kept[row] = places.index(row) in chosen
    low, high = resample(len(kept), lambda sample: float(kept[sample].mean()))
    return Point(ratio, before / after, float(kept.mean()), low, high)


def measure_meetings(folder: Path, vectors: Vectors) -> dict[str, list[Point]]:
    """The share of a question's evidence, by turns, that is kept of a meeting, by method. Raises DataMissing."""
    meetings = read_meetings(folder)
    smoothed: list[tuple[Array, Array, frozenset[int], int]] = []
    by_words: list[tuple[Array, Array, frozenset[int], int]] = []
    for number, meeting in enumerate(meetings):
        tokens = np.array([count_text(turn, Tokenizer.O200K) for turn in meeting.turns], np.float64)
        counted = Bm25(meeting.turns)
        windows = extract.split_windows(meeting.turns)
        found = vectors.embed([text for text, _, _ in windows])
        asked = vectors.embed([question for question, _ in meeting.questions])
        for (question, evidence), vector in zip(meeting.questions, asked, strict=True):
            scores = extract.score_turns(question, counted, windows, vector, found, tokens)
            smoothed.append((scores, tokens, evidence, number))
            by_words.append((counted.score(question), tokens, evidence, number))
    return {
        "smoothed, by mass": [_by_mass(smoothed, ratio) for ratio in TURN_RATIOS],
        "smoothed, by length": [_by_length(smoothed, ratio) for ratio in TURN_RATIOS],
        "BM25, by length": [_by_length(by_words, ratio) for ratio in TURN_RATIOS],
    }


def measure_served(folder: Path, vectors: Vectors) -> dict[str, list[Point]]:
    """The same of meetings as a proxy is sent them, one turn a line and the question as the last paragraph, by which it
    finds the turns itself: as much as a question needs, and shares of ``extract_percent``. Raises DataMissing.

    What is not taken for a dialogue, or asks for all of it, is sent as it is, and counts as that.
    """
    meetings = read_meetings(folder)
    by_need = list[_Sent]()
    by_share = {ratio: list[_Sent]() for ratio in TURN_RATIOS}
    for number, meeting in enumerate(meetings):
        lines = [" ".join(turn.split()) for turn in meeting.turns]
        for question, evidence in meeting.questions:
            text = "\n".join(lines) + f"\n\n{question}"
            found = find_passages(text)
            whole = count_text(text, Tokenizer.O200K)
            if found is None:
                known = asked = np.empty(0, np.float32)
            else:
                known, asked = vectors.embed(found.texts), vectors.embed([found.question])[0]
            for rows, keep in ((by_need, 0.0), *((by_share[ratio], 1 / ratio) for ratio in TURN_RATIOS)):
                if found is None:
                    rows.append((whole, whole, 1.0, number))
                    continue
                places = choose_passages(found, asked, known, keep)
                sent = count_text(join(found, places), Tokenizer.O200K)
                gone = _lines_of(found, set(found.movable).difference(places))
                rows.append((whole, sent, 1 - len(evidence & gone) / len(evidence), number))
    return {
        "as served, by need": [_point(by_need, 0.0)],
        "as served, by `extract_percent`": [_point(rows, ratio) for ratio, rows in by_share.items()],
    }


def _lines_of(found: PassagesOf, places: set[int]) -> set[int]:
    """The lines of pieces of a text, from 0 on: a piece may have several, and a paragraph break is no line."""
    lines, first = set[int](), 0
    for place, piece in enumerate(found.pieces):
        after = first + len([line for line in piece.splitlines() if line.strip()])
        if place in places:
            lines.update(range(first, after))
        first = after
    return lines


def _point(rows: Sequence[_Sent], aimed: float) -> Point:
    meetings = np.array([row[3] for row in rows])
    kept = np.array([row[2] for row in rows])
    groups = [kept[meetings == number] for number in range(int(meetings.max()) + 1)]
    low, high = resample(len(groups), lambda sample: float(np.concatenate([groups[place] for place in sample]).mean()))
    ratio = sum(row[0] for row in rows) / sum(row[1] for row in rows)
    return Point(aimed or ratio, ratio, float(kept.mean()), low, high)


def _by_mass(rows: list[tuple[Array, Array, frozenset[int], int]], ratio: float) -> Point:
    """The share of the mass at which all questions together reach the ratio, found by halving."""
    low, high = 0.0, 1.0
    for _ in range(30):
        middle = (low + high) / 2
        chosen = [extract.keep_mass(row[0], row[1], middle, extract.TURN_TEMPERATURE) for row in rows]
        low, high = (middle, high) if _ratio(rows, chosen) > ratio else (low, middle)
    return _recall(rows, [extract.keep_mass(row[0], row[1], low, extract.TURN_TEMPERATURE) for row in rows], ratio)


def _by_length(rows: list[tuple[Array, Array, frozenset[int], int]], ratio: float) -> Point:
    return _recall(rows, [extract.keep_tokens(row[0], row[1], row[1].sum() / ratio) for row in rows], ratio)


def _ratio(rows: list[tuple[Array, Array, frozenset[int], int]], chosen: list[list[int]]) -> float:
    before = sum(row[1].sum() for row in rows)
    return float(before / sum(row[1][kept].sum() for row, kept in zip(rows, chosen, strict=True)))


def _recall(rows: list[tuple[Array, Array, frozenset[int], int]], chosen: list[list[int]], aimed: float) -> Point:
    kept = np.array([len(row[2].intersection(places)) / len(row[2]) for row, places in zip(rows, chosen, strict=True)])
    meeting = np.array([row[3] for row in rows])
    # Questions of one meeting are alike, so meetings are drawn and not questions.
    groups = [kept[meeting == number] for number in range(int(meeting.max()) + 1)]
    low, high = resample(len(groups), lambda sample: float(np.concatenate([groups[place] for place in sample]).mean()))
    return Point(aimed, _ratio(rows, chosen), float(kept.mean()), low, high)


def measure_words(folder: Path) -> list[Point]:
    """The share of passages that still hold their answer when words are pruned by rule. Raises DataMissing.

    Texts are compared as SQuAD compares answers: without case, articles and punctuation.
    """
    rows = [row for row in read_passages(folder) if holds(row.gold, row.answers)]
    counts = Counter(word for row in rows for word in split_words(row.gold))
    before = sum(count_text(row.gold, Tokenizer.O200K) for row in rows)

    def prune(keep: float) -> tuple[float, Array]:
        shorter = [prune_words(row.gold, keep, counts=counts) for row in rows]
        after = sum(count_text(text, Tokenizer.O200K) for text in shorter)
        kept = [holds(text, row.answers) for text, row in zip(shorter, rows, strict=True)]
        return before / after, np.array(kept, np.float64)

    points = []
    for aimed in WORD_RATIOS:
        low, high = 0.0, 1.0
        for _ in range(6):
            middle = (low + high) / 2
            low, high = (middle, high) if prune(middle)[0] > aimed else (low, middle)
        achieved, kept = prune(low)
        interval = resample(len(kept), lambda sample, kept=kept: float(kept[sample].mean()))  # type: ignore[misc]
        points.append(Point(aimed, achieved, float(kept.mean()), *interval))
    return points


def measure_protected(folder: Path) -> tuple[int, int]:
    """How many protected spans of the passages stand after pruning to half of the words, in their order, and how many
    there are. Raises DataMissing."""
    kept = spans = 0
    for row in read_passages(folder):
        shorter, place = prune_words(row.gold, 0.5), 0
        for span in find_words(row.gold):
            part = row.gold[span.start : span.end]
            found = shorter.find(part, place)
            spans += 1
            if found >= 0:
                kept, place = kept + 1, found + len(part)
    return kept, spans


def holds(text: str, answers: Sequence[str]) -> bool:
    """Whether one of the answers is in a text, compared as SQuAD does."""
    bare = _bare(text)
    return any(_bare(answer) in bare for answer in answers)


def _bare(text: str) -> str:
    return " ".join(word for word in _NO_WORD.sub(" ", text.casefold()).split() if word not in ("a", "an", "the"))


def measure_key_values(folder: Path) -> tuple[int, int]:
    """How many of the JSON prompts stay equal byte for byte, and how many there are. Raises DataMissing."""
    equal = 0
    prompts = read_key_values(folder)
    for pairs in prompts:
        lines = ",\n ".join(f'"{name}": "{value}"' for name, value in pairs)
        body = "{" + lines + "}"
        prompt = f'Extract the value of the key below from the JSON object.\n\n{body}\n\nKey: "{pairs[0][0]}"\nValue:'
        equal += drop_filler(tidy(prompt)) == prompt and tidy(body) == body
    return equal, len(prompts)
