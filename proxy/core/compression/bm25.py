"""Which texts share a question's rare words: Okapi BM25 (Robertson et al. 1995), k1 1.2 and b 0.75."""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from proxy.core.words import STOP_WORDS, split_words, stem

_SATURATION: Final = 1.2
_LENGTH: Final = 0.75


def terms_of(text: str) -> list[str]:
    """A text's words as they are compared: small, without endings, without words of grammar."""
    return [stem(word) for word in split_words(text) if word not in STOP_WORDS]


class Bm25:
    """Texts, counted once; each question is then a pass over its own words."""

    def __init__(self, texts: Sequence[str]) -> None:
        counts = [Counter(terms_of(text)) for text in texts]
        self._size = len(texts)
        lengths = np.array([count.total() for count in counts], np.float64)
        mean = float(lengths.mean()) if len(texts) else 0.0
        self._norms = _SATURATION * (1 - _LENGTH + _LENGTH * lengths / max(mean, 1.0))
        self._places: dict[str, list[tuple[int, int]]] = {}
        for place, count in enumerate(counts):
            for term, times in count.items():
                self._places.setdefault(term, []).append((place, times))

    def score(self, question: str) -> NDArray[np.float64]:
        """A score for each text, 0 where no word is shared."""
        scores = np.zeros(self._size)
        for term in set(terms_of(question)):
            found = self._places.get(term, ())
            weight = math.log(1 + (self._size - len(found) + 0.5) / (len(found) + 0.5))
            for place, times in found:
                scores[place] += weight * times * (_SATURATION + 1) / (times + self._norms[place])
        return scores
