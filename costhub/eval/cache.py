"""The semantic cache on CLINC150: requests stream into an empty cache, and each hit is right or wrong.

Requests of one intent have one answer; a request out of scope has an answer of its own, so that every hit on it, and
every hit from it, is wrong. The error is counted among all requests, hits and misses, for that is what a caller meets.
"""

import random
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from costhub.eval.data import read_clinc
from costhub.eval.statistics import bound_share
from costhub.eval.vectors import Vectors
from proxy.cache import gate
from proxy.cache.gate import Gate, Neighbour, Observation, WordCounts
from proxy.cache.guards import Reading, find_veto, read
from proxy.core.words import split_words

SEEDS: Final = (1, 2, 3)
OUT_OF_SCOPE: Final = "oos"
#: what GPTCache serves from when nobody sets anything: a rank of 0.8 among 0 to 4, which counts down from the squared
#: distance, so that unit vectors at most 0.8 apart are a hit (``Config`` and ``SearchDistanceEvaluation``)
GPTCACHE_DEFAULT: Final = 0.6
STATIC_THRESHOLDS: Final = (GPTCACHE_DEFAULT, 0.78, 0.8, 0.81, 0.82, 0.83, 0.84, 0.85, 0.87, 0.9, 0.95)

_BLOCK: Final = 256
_ANSWERS_COMPARED: Final = 5
#: a curve's points
_POINTS: Final = 60


@dataclass(frozen=True, slots=True)
class Run:
    """What one stream of requests came to."""

    requests: int
    hits: int
    wrong: int
    rechecked: int = 0
    #: requests so far, hits and errors among them as shares
    curve: tuple[tuple[int, float, float], ...] = ()

    @property
    def hit_rate(self) -> float:
        return self.hits / self.requests

    @property
    def error_rate(self) -> float:
        return self.wrong / self.requests

    @property
    def error_upper(self) -> float:
        """The one-sided 95 % bound of Clopper and Pearson (1934)."""
        return bound_share(self.wrong, self.requests)


@dataclass(frozen=True, slots=True)
class CacheResult:
    """A seed's runs: the gate, the gate with guards, and every plain threshold."""

    seed: int
    gated: Run
    guarded: Run
    static: tuple[tuple[float, Run], ...]

    def static_at(self, error_rate: float) -> float:
        """The hit rate of the plain threshold that makes as many errors, between the two nearest ones."""
        errors = [run.error_rate for _, run in reversed(self.static)]
        return float(np.interp(error_rate, errors, [run.hit_rate for _, run in reversed(self.static)]))


def measure_cache(folder: Path, vectors: Vectors, seeds: Sequence[int] = SEEDS) -> list[CacheResult]:
    """Stream CLINC150 in a new order for each seed. Raises DataMissing."""
    rows = read_clinc(folder)
    found = vectors.embed([text for text, _ in rows])
    results = []
    for seed in seeds:
        order = list(range(len(rows)))
        random.Random(seed).shuffle(order)  # noqa: S311 - an order, not a secret
        stream = Stream(
            [rows[place][0] for place in order], answers_of([rows[place][1] for place in order]), found[order]
        )
        results.append(run_stream(stream, seed))
    return results


def answers_of(intents: Sequence[str]) -> list[int]:
    """Each request's right answer as a number; nobody else has that of a request out of scope."""
    numbers: dict[str, int] = {}
    return [
        -1 - place if intent == OUT_OF_SCOPE else numbers.setdefault(intent, len(numbers))
        for place, intent in enumerate(intents)
    ]


@dataclass(frozen=True, slots=True)
class Stream:
    """Requests in the order in which they come."""

    texts: list[str]
    truths: list[int]
    vectors: NDArray[np.float32]

    def rows(self) -> Iterator[NDArray[np.float32]]:
        """Each request's cosine to every request."""
        for start in range(0, len(self.texts), _BLOCK):
            yield from self.vectors[start : start + _BLOCK] @ self.vectors.T


def run_stream(stream: Stream, seed: int, judge: Callable[[int, int], bool] | None = None) -> CacheResult:
    """All methods over one stream, from cold. ``judge``: whether two answers are the same; by default it never errs."""
    same = judge or (lambda fresh, kept: fresh == kept)
    readings: dict[str, Reading] = {}
    gated, guarded = (
        _GatedCache(stream, random.Random(seed), same, is_vetoing, readings)  # noqa: S311 - a draw of re-checks
        for is_vetoing in (False, True)
    )
    static = [_StaticCache(stream, threshold) for threshold in STATIC_THRESHOLDS]
    for place, row in enumerate(stream.rows()):
        gated.take(place, row)
        guarded.take(place, row)
        for cache in static:
            cache.take(place, row)
    return CacheResult(seed, gated.tell(), guarded.tell(), tuple((cache.threshold, cache.tell()) for cache in static))


@dataclass(slots=True)
class _StaticCache:
    """The control: serve the nearest entry from a cosine on, keep every other request."""

    stream: Stream
    threshold: float
    places: NDArray[np.int32] = field(init=False)
    kept: int = 0
    hits: int = 0
    wrong: int = 0

    def __post_init__(self) -> None:
        self.places = np.zeros(len(self.stream.texts), np.int32)

    def take(self, place: int, row: NDArray[np.float32]) -> None:
        if self.kept:
            cosines = row[self.places[: self.kept]]
            nearest = int(cosines.argmax())
            if cosines[nearest] >= self.threshold:
                self.hits += 1
                self.wrong += self.stream.truths[self.places[nearest]] != self.stream.truths[place]
                return
        self.places[self.kept] = place
        self.kept += 1

    def tell(self) -> Run:
        return Run(len(self.stream.texts), self.hits, self.wrong)


@dataclass(slots=True)
class _Answer:
    truth: int
    entries: int = 0
    right: int = 0
    wrong: int = 0


@dataclass(slots=True)
class _GatedCache:
    """The cache as the product would run it, with the data's labels in place of an upstream."""

    stream: Stream
    draw: random.Random
    judge: Callable[[int, int], bool]
    #: whether the guards have the last word, or are a feature only
    is_vetoing: bool
    readings: dict[str, Reading]
    answers: list[_Answer] = field(default_factory=list)
    places: NDArray[np.int32] = field(init=False)
    answer_of: NDArray[np.int32] = field(init=False)
    kept: int = 0
    texts_with: dict[str, int] = field(default_factory=dict)
    observations: list[Observation] = field(default_factory=list)
    fitted_at: int = 0
    gate: Gate | None = None
    threshold: float = 1.0
    kappa: float = 1.0
    expected_wrong: float = 0.0
    found_wrong: int = 0
    #: of recent requests: the features, and whether the guards would let the candidate be served
    window: deque[tuple[tuple[float, ...] | None, bool]] = field(default_factory=lambda: deque(maxlen=gate.WINDOW))
    hits: int = 0
    wrong: int = 0
    rechecked: int = 0
    curve: list[tuple[int, float, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.places = np.zeros(len(self.stream.texts), np.int32)
        self.answer_of = np.zeros(len(self.stream.texts), np.int32)

    def take(self, place: int, row: NDArray[np.float32]) -> None:
        """Serve one request or ask upstream."""
        neighbours = self._look_up(row)
        if not neighbours:
            self.window.append((None, False))
            self._keep(place, neighbours)
        else:
            text = self.stream.texts[place]
            is_guarded = self._passes_guards(text, neighbours)
            features = gate.make_features(
                text, neighbours, WordCounts(self.kept, self.texts_with), is_guarded=is_guarded
            )
            self.window.append((features, is_guarded or not self.is_vetoing))
            self._decide(place, neighbours, features, is_guarded=is_guarded)
        if len(self.observations) - self.fitted_at >= gate.REFIT_EVERY:
            self._fit()
        if (place + 1) % max(1, len(self.stream.texts) // _POINTS) == 0:
            self.curve.append((place + 1, self.hits / (place + 1), self.wrong / (place + 1)))

    def tell(self) -> Run:
        return Run(len(self.stream.texts), self.hits, self.wrong, self.rechecked, tuple(self.curve))

    def _decide(
        self, place: int, neighbours: list[Neighbour], features: tuple[float, ...], *, is_guarded: bool
    ) -> None:
        answer = self.answers[neighbours[0].answer]
        is_right = answer.truth == self.stream.truths[place]
        share = 0.0
        if self.gate is None:
            is_hit = neighbours[0].cosine >= gate.COLD_THRESHOLD and is_guarded
            share = gate.RECHECK_CONFIDENT
            likelihood = 1.0
        else:
            likelihood = float(self.gate.rate(features)[0])
            is_hit = likelihood >= self.threshold and (is_guarded or not self.is_vetoing)
            share = gate.recheck_share(likelihood, self.threshold)
        if not is_hit:
            self._observe(answer, neighbours, place, features, 1.0)
            self._keep(place, neighbours)
            return
        self.hits += 1
        self.wrong += not is_right
        if self.draw.random() < share:
            self.rechecked += 1
            is_found_right = self._observe(answer, neighbours, place, features, share)
            if self.gate is not None:
                self.expected_wrong += 1 - likelihood
                self.found_wrong += not is_found_right
            if not is_found_right:
                self._keep(place, neighbours)

    def _observe(
        self, answer: _Answer, neighbours: list[Neighbour], place: int, features: tuple[float, ...], share: float
    ) -> bool:
        is_right = self.judge(self.stream.truths[place], answer.truth)
        answer.right += is_right
        answer.wrong += not is_right
        self.observations.append(Observation(features, is_right, share))
        return is_right

    def _look_up(self, row: NDArray[np.float32]) -> list[Neighbour]:
        cosines = row[self.places[: self.kept]]
        if self.kept > gate.NEIGHBOURS:
            nearest = np.argpartition(cosines, -gate.NEIGHBOURS)[-gate.NEIGHBOURS :]
        else:
            nearest = np.arange(self.kept)
        neighbours = []
        for entry in nearest[np.argsort(-cosines[nearest])]:
            number = int(self.answer_of[entry])
            answer = self.answers[number]
            text = self.stream.texts[self.places[entry]]
            neighbours.append(
                Neighbour(text, number, float(cosines[entry]), answer.entries, answer.right, answer.wrong)
            )
        return neighbours

    def _passes_guards(self, text: str, neighbours: list[Neighbour]) -> bool:
        same = [neighbour for neighbour in neighbours if neighbour.answer == neighbours[0].answer]
        asked = self._read(text)
        return any(find_veto(asked, self._read(neighbour.text)) is None for neighbour in same[: gate.GUARDED])

    def _read(self, text: str) -> Reading:
        if text not in self.readings:
            self.readings[text] = read(text)
        return self.readings[text]

    def _keep(self, place: int, neighbours: list[Neighbour]) -> None:
        """Keep a fresh answer: as one more entry of a neighbour's answer where they are the same, else as a new one."""
        truth = self.stream.truths[place]
        near = list(dict.fromkeys(neighbour.answer for neighbour in neighbours))[:_ANSWERS_COMPARED]
        number = next((number for number in near if self.judge(truth, self.answers[number].truth)), None)
        if number is None:
            number = len(self.answers)
            self.answers.append(_Answer(truth))
        self.answers[number].entries += 1
        self.places[self.kept] = place
        self.answer_of[self.kept] = number
        self.kept += 1
        for word in set(split_words(self.stream.texts[place])):
            self.texts_with[word] = self.texts_with.get(word, 0) + 1

    def _fit(self) -> None:
        self.fitted_at = len(self.observations)
        fitted = gate.fit_gate(self.observations)
        if fitted is None:
            return
        self.gate = fitted
        self.kappa = gate.measure_kappa(self.expected_wrong, self.found_wrong)
        servable = [features for features, may_serve in self.window if features is not None and may_serve]
        likelihoods = np.zeros(len(self.window))
        likelihoods[: len(servable)] = fitted.rate(servable)
        target = gate.draw_in(gate.TARGET, len(self.observations))
        self.threshold = gate.find_threshold(likelihoods, self.kappa, target)
