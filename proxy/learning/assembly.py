"""What a version of a dataset is made of: which examples, in which order, learned from or held out. Pure.

The same examples, vectors and recipe give the same version, to the byte of its export, whose SHA-256 is its hash.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from proxy.learning.conversations import Example, digest, write_line
from proxy.learning.judging import JUDGES, Judge, judge

Vectors = NDArray[np.float32]

#: questions at least so alike, with the same answer, count as one
NEAR: Final = 0.97
#: neighbours that must all have one other answer before an example counts as mislabelled
OUTVOTED_BY: Final = 5
#: how near these must be
_VOTERS_NEAR: Final = 0.6
_BLOCK: Final = 512


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a version is made. ``held_out_percent``: the newest so many are never learned from. ``near``: see ``NEAR``;
    1 compares texts alone. ``drops_outvoted``: where answers are labels, examples whose answer all near neighbours
    contradict go."""

    held_out_percent: int = 20
    near: float = NEAR
    drops_outvoted: bool = False


@dataclass(frozen=True, slots=True)
class Assembled:
    """Places of the examples, in the order in which they are learned from; and how many went, by the reason."""

    train: tuple[int, ...]
    held_out: tuple[int, ...]
    dropped: Mapping[str, int]
    sha256: str
    #: answers by how many examples have them, the commonest first; empty where they are no labels
    labels: Mapping[str, int]
    #: examples by the script of their letters
    scripts: Mapping[str, int]


class NothingLeft(Exception):
    """No example is left to learn from, or none to test on. The message says why."""


def assemble(
    examples: Sequence[Example], vectors: Vectors | None, recipe: Recipe, judges: Sequence[Judge] = JUDGES
) -> Assembled:
    """Make a version. ``vectors``: the questions' unit vectors, for what is near; None compares texts alone.

    Raises NothingLeft where fewer than two examples remain.
    """
    dropped: Counter[str] = Counter()
    places = sorted(range(len(examples)), key=lambda place: (examples[place].at_ms, examples[place].source))
    judged = []
    for place in places:
        if reason := judge(examples[place], judges):
            dropped[reason] += 1
        else:
            judged.append(place)
    kept = _drop_equal(examples, judged, dropped)
    if vectors is not None:
        if recipe.drops_outvoted and count_labels([examples[place] for place in kept]):
            kept = _drop_outvoted(examples, kept, vectors, dropped)
        if recipe.near < 1:
            kept = _drop_near(examples, kept, vectors, recipe.near, dropped)
    if len(kept) < 2:
        why = ", ".join(f"{count} {reason}" for reason, count in sorted(dropped.items()))
        raise NothingLeft(
            f"Of {len(examples)} examples {len(kept)} can be used{f' ({why} left out)' if why else ''}: "
            "two are the least, one to learn from and one to test on."
        )
    # In time, so that the future tests the past, and never the reverse.
    first_held = min(len(kept) - 1, max(1, len(kept) - round(len(kept) * recipe.held_out_percent / 100)))
    train, held_out = kept[:first_held], kept[first_held:]
    content = hashlib.sha256()
    for name, part in (("train", train), ("held_out", held_out)):
        content.update(f"{name}\n".encode())
        for place in part:
            content.update(write_line(examples[place]) + b"\n")
    return Assembled(
        train=tuple(train),
        held_out=tuple(held_out),
        dropped=dict(dropped),
        sha256=content.hexdigest(),
        labels=count_labels([examples[place] for place in kept]),
        scripts=dict(Counter(_script_of(examples[place].question) for place in kept).most_common()),
    )


def count_labels(examples: Sequence[Example]) -> dict[str, int]:
    """Answers by how often they are given, where they look like labels: short, and most of them given again."""
    counts = Counter(example.answer.strip() for example in examples)
    is_like_labels = all(len(label) <= 64 and "\n" not in label for label in counts) and 2 * len(counts) <= len(
        examples
    )
    return dict(counts.most_common()) if is_like_labels else {}


def _drop_equal(examples: Sequence[Example], places: Sequence[int], dropped: Counter[str]) -> list[int]:
    """One of those that ask the same: the newest, with the answer that more than half of them have."""
    groups: dict[bytes, list[int]] = defaultdict(list)
    for place in places:
        groups[digest(examples[place].prompt)].append(place)
    kept = []
    for group in groups.values():
        answer, votes = Counter(examples[place].answer.strip() for place in group).most_common(1)[0]
        if len(group) > 1 and 2 * votes <= len(group):
            # Nobody knows which of them is right.
            dropped["contradictory"] += len(group)
            continue
        agreeing = [place for place in group if examples[place].answer.strip() == answer]
        kept.append(agreeing[-1])
        dropped["contradictory"] += len(group) - len(agreeing)
        dropped["duplicate"] += len(agreeing) - 1
    for reason in ("contradictory", "duplicate"):
        if not dropped[reason]:
            del dropped[reason]
    order = {place: number for number, place in enumerate(places)}
    return sorted(kept, key=order.__getitem__)


def _drop_near(
    examples: Sequence[Example], places: Sequence[int], vectors: Vectors, near: float, dropped: Counter[str]
) -> list[int]:
    """Those without the ones that say again what an earlier one said."""
    kept: list[int] = []
    known = np.empty((len(places), vectors.shape[1]), np.float32)
    for block in _blocks(places):
        old = len(kept)
        like_old = vectors[block] @ known[:old].T
        like_new = vectors[block] @ vectors[block].T
        new: list[int] = []
        for row, place in enumerate(block):
            answer = examples[place].answer.strip()
            twins = [kept[column] for column in np.flatnonzero(like_old[row] >= near)]
            twins += [block[other] for other in new if like_new[row, other] >= near]
            if any(examples[twin].answer.strip() == answer for twin in twins):
                dropped["near duplicate"] += 1
                continue
            known[old + len(new)] = vectors[place]
            new.append(row)
        kept += [block[row] for row in new]
    return kept


def _drop_outvoted(
    examples: Sequence[Example], places: Sequence[int], vectors: Vectors, dropped: Counter[str]
) -> list[int]:
    """Those without the ones whose nearest neighbours all have one other answer."""
    if len(places) <= OUTVOTED_BY:
        return list(places)
    inside = vectors[list(places)]
    kept = []
    for start in range(0, len(places), _BLOCK):
        likeness = inside[start : start + _BLOCK] @ inside.T
        for row in range(len(likeness)):
            likeness[row, start + row] = -1
            nearest = np.argpartition(-likeness[row], OUTVOTED_BY)[:OUTVOTED_BY]
            said = {examples[places[other]].answer.strip() for other in nearest}
            own = examples[places[start + row]].answer.strip()
            if len(said) == 1 and own not in said and likeness[row, nearest].min() >= _VOTERS_NEAR:
                dropped["outvoted"] += 1
            else:
                kept.append(places[start + row])
    return kept


def _blocks(places: Sequence[int]) -> Iterator[list[int]]:
    for start in range(0, len(places), _BLOCK):
        yield list(places[start : start + _BLOCK])


#: first code point of a range of letters, and what they are called
_SCRIPTS: Final = (
    (0x0000, "latin"),
    (0x0370, "greek"),
    (0x0400, "cyrillic"),
    (0x0530, "other"),
    (0x0590, "hebrew"),
    (0x0600, "arabic"),
    (0x0700, "other"),
    (0x0900, "indic"),
    (0x0E00, "thai"),
    (0x0E80, "other"),
    (0x1E00, "latin"),
    (0x1F00, "greek"),
    (0x2000, "other"),
    (0x3040, "japanese"),
    (0x3100, "other"),
    (0x3400, "chinese"),
    (0xA000, "other"),
    (0xAC00, "korean"),
    (0xD7B0, "other"),
)


def _script_of(text: str) -> str:
    """What most letters of a text are written in."""
    letters = Counter(
        next(name for first, name in reversed(_SCRIPTS) if ord(character) >= first)
        for character in text[:2_000]
        if character.isalpha()
    )
    return letters.most_common(1)[0][0] if letters else "none"
