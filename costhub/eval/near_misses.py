"""Questions that are all but equal and have different answers: how many the semantic cache would answer with each
other's answer.

Five hundred pairs, a hundred of a kind, each in a scope of its own: the kept question is all that there is. What makes
the difference is a number, a date, a name or a negation as the guards' lists of words do not know it (a quintet,
Michaelmas, a city without its capital, "seldom"), or any other word. Every hit is wrong.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from costhub.eval.vectors import Vectors
from proxy.cache.gate import COLD_THRESHOLD
from proxy.cache.guards import find_veto, read

#: of each kind
PAIRS: Final = 100

_NUMBERS: Final = (
    ("who ruled the country after henry the {}", "iv vi vii ix xi"),
    ("how many players are there in a {}", "duet quartet quintet sextet septet octet nonet"),
    ("what can be cooked with a {} of eggs", "couple handful score gross brace trio"),
    ("is a {} mm bolt strong enough for the bracket", "6 8 10 12 16"),
    ("does part {} of the treaty bind the signatories", "1.4 1.5 2.1 3.7 4.2"),
)
_DATES: Final = (
    ("what do families eat at {}", "diwali nowruz purim michaelmas hanukkah epiphany"),
    ("which animals were common in the {}", "jurassic cretaceous triassic devonian permian eocene"),
    ("are the bats of the old mill active at {}", "dawn dusk twilight sunrise sunset"),
    ("how did people heat their houses in the {} age", "bronze iron stone gilded"),
    ("which products sell best in {}", "q1 q2 q3 q4"),
)
_NAMES: Final = (
    ("how do i get from {} to its airport by train", "lisbon porto bergen gdansk leipzig"),
    ("which novel by {} is the shortest", "tolstoy chekhov gogol turgenev bulgakov"),
    ("does {} deliver to rural areas", "initech hooli globex massive acme"),
    ("translate the letter from {} into english", "croatian estonian latvian maltese basque"),
    ("tell me about the childhood of {}", "kepler copernicus brahe galilei huygens"),
)
#: a question, what it is about, and pairs of words of which one turns it round; an empty one is left out. Written after
#: the guards, with none of the words that their tests have
_NEGATIONS: Final = (
    ("what makes {} pipes {} freeze in winter", "copper plastic", "|infrequently,|refuse to,tend to|cease to"),
    ("how can a tenant {1} a {0} inspection", "routine surprise", "request|decline,attend|skip,accept|reject"),
    ("does {} paint {} adhere to damp plaster", "chalk latex oil", "|scarcely,|barely,reliably|poorly,|fail to"),
    ("can {} be {} by a court order", "contracts wills", "enforced|voided,upheld|overturned,granted|denied"),
    ("is the {} permit {} during the strike", "fishing parking", "valid|void,in force|suspended,renewable|revoked"),
    ("why did the {0} committee {1} the proposal", "budget ethics", "approve|veto,endorse|oppose,back|shelve"),
    ("which {} medicines {} contain lactose", "cough heart sleep", "|seldom,|purportedly,do|lack"),
)
_FRAMES: Final = (
    "how long does the {} take to reach the {}",
    "which permit does a {} need before it may use the {}",
    "compare the price of the {} with that of the {}",
    "who is liable when a {} damages a {}",
    "recommend a {} that fits on a {}",
)
_THINGS: Final = ("barge", "lock", "trawler", "gantry", "hopper", "tender", "buoy", "quay", "winch", "davit", "skiff")


@dataclass(frozen=True, slots=True)
class NearMisses:
    """What became of the pairs of one kind: from the cold threshold on alone, and with the guards' veto."""

    kind: str
    pairs: int
    near: int
    served: tuple[tuple[str, str], ...]


def make_pairs() -> dict[str, list[tuple[str, str]]]:
    """The pairs by kind: what is kept, and what is asked. Always the same."""
    return {
        "numbers": _exchange(_NUMBERS),
        "dates": _exchange(_DATES),
        "names": _exchange(_NAMES),
        "negations": _spread(list(_turn_round())),
        "other words": _spread(list(_name_things())),
    }


def measure_near_misses(vectors: Vectors, kinds: Mapping[str, Sequence[tuple[str, str]]]) -> list[NearMisses]:
    """Ask every pair, in a cache that has not learned anything yet."""
    found = []
    for kind, pairs in kinds.items():
        kept = vectors.embed([one for one, _ in pairs])
        asked = vectors.embed([other for _, other in pairs])
        near = [
            pair
            for pair, first, second in zip(pairs, kept, asked, strict=True)
            if float(first @ second) >= COLD_THRESHOLD
        ]
        served = tuple((one, other) for one, other in near if find_veto(read(other), read(one)) is None)
        found.append(NearMisses(kind, len(pairs), len(near), served))
    return found


def _exchange(frames: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Each frame with one word and with another."""
    return _spread(
        [
            (frame.format(one), frame.format(other))
            for frame, words in frames
            for one, other in itertools.permutations(words.split(), 2)
        ]
    )


def _turn_round() -> Iterator[tuple[str, str]]:
    for frame, subjects, turns in _NEGATIONS:
        for subject, turn in itertools.product(subjects.split(), turns.split(",")):
            one, other = (" ".join(frame.format(subject, word).split()) for word in turn.split("|"))
            yield from ((one, other), (other, one))


def _name_things() -> Iterator[tuple[str, str]]:
    for frame in _FRAMES:
        for thing, place, other in itertools.permutations(_THINGS, 3):
            yield frame.format(thing, place), frame.format(other, place)


def _spread(pairs: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """A hundred of the pairs, from all of them alike."""
    return [pairs[place * len(pairs) // PAIRS] for place in range(PAIRS)]
