"""The passages or turns that a question needs, out of many.

Two kinds of text, because what answers a question lies differently in them:

- *Passages* (search results, documents) stand alone. Each is scored by its cosine to the question and a little BM25,
  and whole passages are kept: sentences torn out of them lose what they refer to.
- *Dialogues* (meetings, long chats) answer over a stretch of turns, of which few share a word with the question. So
  the scores of turns are smoothed along the dialogue.

How much is kept is a share of the scores' mass rather than a length: a question that one passage answers keeps one.
Vectors come from outside (proxy.cache.minilm), so that they can be cached and batched.
"""

import re
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from proxy.core.compression.bm25 import Bm25

Array = NDArray[np.float64]
Vectors = NDArray[np.float32]

#: words of a dialogue that one vector stands for, and how far the next one's start is
WINDOW_WORDS: Final = 110
#: how far a turn's score reaches, in tokens
REACH_TOKENS: Final = 400.0
#: softmax's temperature over passages, whose scores are cosines
PASSAGE_TEMPERATURE: Final = 0.08
#: the same over turns, whose scores are standard deviations
TURN_TEMPERATURE: Final = 1.0

_BM25_OF_PASSAGES: Final = 0.02
_BM25_OF_TURNS: Final = 0.5
#: beyond so many standard deviations a Gaussian adds nothing
_TAILS: Final = 4.0
_EVERYTHING: Final = re.compile(
    r"\b(?:summari[sz]e|summary|overview|recap|outline|minutes|key points|main points|gist)\b"
    r"(?!.{0,40}\b(?:about|of|on|regarding|concerning)\s+(?!(?:the |this |that )?(?:whole|entire|all|meeting|text|"
    r"document|conversation|discussion\s*[.?!]?$|transcript|article|call|chat|thread)\b))",
    re.IGNORECASE,
)


def asks_for_everything(question: str) -> bool:
    """Whether a question is about the whole text, such as "summarise the meeting": nothing may be left out for it."""
    return bool(_EVERYTHING.search(question))


def score_passages(question: str, passages: Sequence[str], question_vector: Vectors, vectors: Vectors) -> Array:
    """How much each passage promises to answer the question; the scale is the cosine's."""
    cosines = (vectors @ question_vector).astype(np.float64)
    return cosines + _BM25_OF_PASSAGES * Bm25(passages).score(question)


def split_windows(turns: Sequence[str]) -> list[tuple[str, int, int]]:
    """A dialogue's windows of about 110 words: the text, the first turn and the last. A long turn has several."""
    windows: list[tuple[str, int, int]] = []
    words: list[str] = []
    first = 0
    for place, turn in enumerate(turns):
        if not words:
            first = place
        words.extend(turn.split())
        while len(words) >= WINDOW_WORDS:
            windows.append((" ".join(words[:WINDOW_WORDS]), first, place))
            words, first = words[WINDOW_WORDS:], place
    if words:
        windows.append((" ".join(words), first, len(turns) - 1))
    return windows


def score_turns(
    question: str,
    counted: Bm25,
    windows: Sequence[tuple[str, int, int]],
    question_vector: Vectors,
    vectors: Vectors,
    tokens: Array,
) -> Array:
    """How much each turn promises to answer the question, in standard deviations.

    ``counted``: the turns. ``vectors``: of the windows. ``tokens``: each turn's length.
    """
    cosines = (vectors @ question_vector).astype(np.float64)
    of_turns = np.zeros(len(tokens))
    shares = np.zeros(len(tokens))
    for (_, first, last), cosine in zip(windows, cosines, strict=True):
        of_turns[first : last + 1] += cosine
        shares[first : last + 1] += 1
    of_turns /= np.maximum(shares, 1)
    return smooth(standardise(of_turns) + _BM25_OF_TURNS * standardise(counted.score(question)), tokens)


def smooth(scores: Array, tokens: Array, reach: float = REACH_TOKENS) -> Array:
    """Each turn's score as the mean of those around it, by a Gaussian over the tokens between their middles."""
    ends = np.cumsum(tokens)
    middles = ends - tokens / 2
    low = np.searchsorted(middles, middles - _TAILS * reach)
    high = np.searchsorted(middles, middles + _TAILS * reach)
    smoothed = np.empty(len(scores))
    for place in range(len(scores)):
        near = slice(low[place], high[place])
        # A long turn is as many turns as it has tokens.
        shares = np.exp(-0.5 * ((middles[near] - middles[place]) / reach) ** 2) * tokens[near]
        smoothed[place] = float(shares @ scores[near]) / max(float(shares.sum()), 1e-12)
    return smoothed


def keep_mass(scores: Array, tokens: Array, share: float, temperature: float) -> list[int]:
    """The fewest passages or turns that hold a share of the scores' mass (softmax), in the text's order.

    Of a dialogue, ``tokens`` is each turn's length; of passages it is one for each. At least one is kept.
    """
    if len(scores) == 0:
        return []
    weights = np.exp((scores - scores.max()) / temperature) * tokens
    order = np.argsort(-scores, kind="stable")
    reached = np.cumsum(weights[order]) / max(float(weights.sum()), 1e-12)
    count = int(np.searchsorted(reached, share - 1e-12)) + 1
    return sorted(int(place) for place in order[:count])


def keep_tokens(scores: Array, tokens: Array, most: float) -> list[int]:
    """The best passages or turns that fit into a number of tokens, in the text's order. At least one is kept."""
    kept: list[int] = []
    left = most
    for place in np.argsort(-scores, kind="stable"):
        if tokens[place] <= left or not kept:
            kept.append(int(place))
            left -= tokens[place]
    return sorted(kept)


def standardise(values: Array) -> Array:
    """Values as standard deviations from their mean; all 0 where they are all one."""
    deviation = float(values.std())
    return (values - values.mean()) / deviation if deviation > 1e-12 else np.zeros(len(values))
