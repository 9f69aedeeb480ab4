"""Takes people's names and postal addresses out of examples, as a model that reads texts has marked their words. Pure.

They have no form of their own, so that what is found is likely, and not certain: see docs/learning.md for how much of
it is. A city or a street alone tells of nobody and stays.
"""

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import repeat
from typing import Final, NamedTuple

from proxy.learning.assembly import count_labels
from proxy.learning.conversations import Example, Message
from proxy.learning.scrubbing import Span

NAME: Final = "NAME"
ADDRESS: Final = "ADDRESS"
#: what the model calls the parts of a name, and of an address
NAMES: Final = frozenset({"GIVEN_NAME", "SURNAME"})
PLACES: Final = frozenset({"BUILDING_NUMBER", "STREET_NAME", "SECONDARY_ADDRESS", "CITY", "STATE", "ZIP_CODE"})
#: what makes parts of an address one that tells where somebody lives
_ENOUGH: Final = (
    {"STREET_NAME", "BUILDING_NUMBER"},
    {"STREET_NAME", "CITY"},
    {"STREET_NAME", "ZIP_CODE"},
    {"CITY", "ZIP_CODE"},
)
#: between two words of one name: Anne-Marie, O'Neill, J. Smith
_IN_NAME: Final = re.compile(r"[ \t]{0,3}|[-'’]|\.[ \t]{0,2}")
#: between two parts of one address: commas and line ends, no words
_IN_ADDRESS: Final = re.compile(r"[\s,;:./#|–—-]{0,6}")
_WORD: Final = re.compile(r"\w+")
_MARK: Final = re.compile(r"\[(?P<kind>[A-Z]+)_(?P<number>\d+)\]")
#: a name so long is looked for in the rest of its example as well
_TELLING: Final = 4
#: and so many of them, the longest: who sends a list of names is not served by looking for each of them everywhere
_MOST_AGAIN: Final = 200
#: Instructions that so many share to the letter, and one in so many of all who ask, were written for everybody: a name
#: in them is the assistant's. Students answer under instructions that they know to the letter.
_SHARED_BY: Final = 20
_SHARED_PART: Final = 20


class Piece(NamedTuple):
    """What the model says of a part of a word: from, to, what it is, and how sure that is."""

    start: int
    stop: int
    label: str
    sureness: float


#: what finds names and addresses in a text, in their order
Find = Callable[[str], Sequence[Span]]


class _Word(NamedTuple):
    start: int
    stop: int
    label: str


def join(text: str, pieces: Sequence[Piece]) -> list[Span]:
    """Names and addresses, of pieces that are neither nothing nor doubtful; whole words, in their order."""
    words = list(_name_words(text, pieces))
    spans = []
    for kind, labels, between in ((NAME, NAMES, _IN_NAME), (ADDRESS, PLACES, _IN_ADDRESS)):
        groups = list(_group(text, [word for word in words if word.label in labels], between))
        for group in _trim(text, groups):
            said = {word.label for word in group}
            if kind == NAME or any(enough <= said for enough in _ENOUGH):
                spans.append((group[0].start, group[-1].stop, kind))
    return sorted(spans)


def _trim(text: str, groups: Sequence[list[_Word]]) -> Iterator[list[_Word]]:
    """Groups without what is none of them: the model reads no capitals, but whoever writes some names with them writes
    all so. Small words before a name, such as *van der*, are of it."""
    has_capitals = any(text[word.start].isupper() for group in groups for word in group)
    for group in groups:
        while has_capitals and group and text[group[-1].start].islower():
            group.pop()
        if group:
            yield group


def _name_words(text: str, pieces: Sequence[Piece]) -> Iterator[_Word]:
    """Every word of which a piece says something, with what its pieces together are surest of."""
    marks = [match.span() for match in _MARK.finditer(text)]
    place = 0
    for match in _WORD.finditer(text):
        start, stop = match.span()
        while place < len(pieces) and pieces[place].stop <= start:
            place += 1
        said: dict[str, float] = {}
        at = place
        while at < len(pieces) and pieces[at].start < stop:
            said[pieces[at].label] = said.get(pieces[at].label, 0.0) + pieces[at].sureness
            at += 1
        if said and not any(first <= start < last for first, last in marks):
            yield _Word(start, stop, max(said, key=said.__getitem__))


def _group(text: str, words: Sequence[_Word], between: re.Pattern[str]) -> Iterator[list[_Word]]:
    group: list[_Word] = []
    for word in words:
        if group and not between.fullmatch(text, group[-1].stop, word.start):
            yield group
            group = []
        group.append(word)
    if group:
        yield group


class Kept(NamedTuple):
    """What is the same for everybody, and is not looked over: instructions by their text, and answers where they are
    labels."""

    instructions: Collection[str]
    answers: bool


def find_kept(examples: Sequence[Example], end_users: Sequence[str] = ()) -> Kept:
    """What all of a dataset's examples say is for everybody. ``end_users`` are theirs, empty where nobody has said: an
    end user counts once, however often they have called, and so does a conversation, by its first question."""
    told_to: dict[str, set[tuple[str, str]]] = {}
    everybody: set[tuple[str, str]] = set()
    for example, end_user in zip(examples, end_users or repeat(""), strict=False):
        asks = next((message.content for message in example.prompt if message.role == "user"), "")
        asker = (end_user, "") if end_user else ("", asks)
        everybody.add(asker)
        for message in example.prompt:
            if message.role in ("system", "developer"):
                told_to.setdefault(message.content, set()).add(asker)
    least = max(_SHARED_BY, len(everybody) // _SHARED_PART)
    kept = frozenset(text for text, askers in told_to.items() if len(askers) >= least)
    return Kept(kept, bool(count_labels(examples)))


def count_characters(example: Example) -> int:
    """How many characters an example has in all of its texts."""
    return sum(len(message.content) for message in example.prompt) + len(example.answer) + len(example.gold)


def take_out(example: Example, find: Find, kept: Kept) -> tuple[Example, Mapping[str, int]]:
    """The example with marks such as ``[NAME_1]`` and ``[ADDRESS_1]``, and how many of each kind there are: 0 where
    none was found. Raises what ``find`` does."""
    messages = [message.content for message in example.prompt]
    is_kept = [
        message.role in ("system", "developer") and message.content in kept.instructions for message in example.prompt
    ]
    texts = [*messages, example.answer]
    skipped = [*is_kept, kept.answers]
    found = [() if skip else find(text) for text, skip in zip(texts, skipped, strict=True)]
    marks = _Marks(texts)
    for text, spans in zip(texts, found, strict=True):
        for start, stop, kind in spans:
            marks.name(text[start:stop], kind)
    counts = Counter({NAME: 0, ADDRESS: 0})
    cleaned = [
        text if skip else marks.replace(text, spans, counts)
        for text, spans, skip in zip(texts, found, skipped, strict=True)
    ]
    prompt = tuple(Message(message.role, text) for message, text in zip(example.prompt, cleaned[:-1], strict=True))
    # What is right gets the same marks, and is no other place at which something was found.
    gold = (
        example.gold if kept.answers or not example.gold else marks.replace(example.gold, find(example.gold), Counter())
    )
    return example._replace(prompt=prompt, answer=cleaned[-1], gold=gold), dict(counts)


class _Marks:
    """Which mark stands for which value, throughout an example."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._by_value: dict[tuple[str, str], str] = {}
        self._parts: dict[str, str] = {}
        self._last: Counter[str] = Counter()
        # An export that was imported again has marks of its own.
        for text in texts:
            for match in _MARK.finditer(text):
                self._last[match["kind"]] = max(self._last[match["kind"]], int(match["number"][:6]))

    def name(self, value: str, kind: str) -> str:
        """The mark of a value; a part of a name that was met before has that one's."""
        words = _fold(value)
        if (kind, words) in self._by_value:
            return self._by_value[kind, words]
        if kind == NAME and words in self._parts:
            mark = self._by_value[kind, words] = self._parts[words]
            return mark
        self._last[kind] += 1
        mark = self._by_value[kind, words] = f"[{kind}_{self._last[kind]}]"
        if kind == NAME:
            for part in words.split():
                self._parts.setdefault(part, mark)
        return mark

    def replace(self, text: str, spans: Sequence[Span], counts: Counter[str]) -> str:
        """The text with marks where something was found, and where a name stands again that was found elsewhere."""
        chosen = sorted([*spans, *self._find_again(text, spans)])
        parts, end = [], 0
        for start, stop, kind in chosen:
            parts += [text[end:start], self.name(text[start:stop], kind)]
            counts[kind] += 1
            end = stop
        return "".join([*parts, text[end:]])

    def _find_again(self, text: str, spans: Sequence[Span]) -> Iterator[Span]:
        names = sorted((words for kind, words in self._by_value if kind == NAME and len(words) >= _TELLING), key=len)
        taken = list(spans)
        for words in names[: -_MOST_AGAIN - 1 : -1]:
            pattern = r"(?<!\w)" + r"\W{1,3}".join(map(re.escape, words.split())) + r"(?!\w)"
            for match in re.finditer(pattern, text, re.IGNORECASE):
                # The same word in small letters may be another one: Rose and rose.
                is_name = " " in words or match[0][0].isupper()
                if is_name and all(match.end() <= start or match.start() >= stop for start, stop, _ in taken):
                    taken.append((match.start(), match.end(), NAME))
                    yield taken[-1]


def _fold(value: str) -> str:
    return " ".join(_WORD.findall(value.casefold()))
