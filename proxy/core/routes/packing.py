"""What was learned, as bytes and back: numbers only, so that reading what was stored can run nothing."""

import io
import json
from typing import Any, Final, NamedTuple

import numpy as np

from proxy.core.routes.cascade import Confidence, Part, Tree
from proxy.core.routes.router import Router

#: counted up when what is packed changes: what was learned before is then not read any more
FORM: Final = 1
_ARRAYS: Final = ("means", "scales", "form_weights", "word_weights", "vector_weights")
_ARRAYS_OF_ROUTERS: Final = ("means", "scales", "feature_weights", "word_weights", "vector_weights")
_PARTS: Final = ("form", "forest", "words", "meaning")


class Unreadable(Exception):
    """These bytes are of another form, or none of ours."""


class LearnedRouter(NamedTuple):
    """A router, and the gain from which on the strong model is asked where nobody says what answers are worth."""

    router: Router
    threshold: float


class LearnedPairs(NamedTuple):
    """What a router of more than two targets has learned: of each pair of neighbours of which something was, by both
    models' names, the cheaper one first."""

    pairs: dict[tuple[str, str], LearnedRouter]


class LearnedCascade(NamedTuple):
    """How sure the answers of each rung's model are, and how often the strong one is right; ``strong`` expects that of
    a prompt."""

    confidences: dict[str, Confidence]
    strong_right: float
    strong: Router | None = None


def pack_router(learned: LearnedRouter) -> bytes:
    """A learned router as bytes."""
    router = learned.router
    head = {"kind": "router", **_head_of(router), "threshold": _write_threshold(learned)}
    return _pack(head, **{name: getattr(router, name) for name in _ARRAYS_OF_ROUTERS})


def pack_pairs(learned: LearnedPairs) -> bytes:
    """What was learned of several pairs as bytes."""
    head: dict[str, Any] = {"kind": "pairs", "pairs": []}
    arrays: dict[str, Any] = {}
    for place, (names, pair) in enumerate(learned.pairs.items()):
        head["pairs"].append({"names": names, "threshold": _write_threshold(pair), **_head_of(pair.router)})
        arrays |= {f"{place} {name}": getattr(pair.router, name) for name in _ARRAYS_OF_ROUTERS}
    return _pack(head, **arrays)


def unpack_router(raw: bytes) -> LearnedRouter:
    """Read back what ``pack_router`` wrote. Raises Unreadable."""
    learned = unpack_either(raw)
    if isinstance(learned, LearnedPairs):
        raise Unreadable
    return learned


def unpack_either(raw: bytes) -> LearnedRouter | LearnedPairs:
    """Read back what ``pack_router`` or ``pack_pairs`` wrote. Raises Unreadable."""
    head, arrays = _unpack(raw, "router", "pairs")
    try:
        if head["kind"] == "router":
            return _read_learned(head, arrays)
        return LearnedPairs(
            {
                (str(one["names"][0]), str(one["names"][1])): _read_learned(
                    one, {name: arrays[f"{place} {name}"] for name in _ARRAYS_OF_ROUTERS}
                )
                for place, one in enumerate(head["pairs"])
            }
        )
    except (KeyError, TypeError, IndexError) as error:
        raise Unreadable from error


def _read_learned(head: dict[str, Any], arrays: dict[str, Any]) -> LearnedRouter:
    threshold = head["threshold"]
    return LearnedRouter(_read_router(head, arrays), -np.inf if threshold is None else float(threshold))


def _write_threshold(learned: LearnedRouter) -> float | None:
    return learned.threshold if np.isfinite(learned.threshold) else None


def _head_of(router: Router) -> dict[str, Any]:
    return {"task_gains": dict(router.task_gains), "intercept": router.intercept}


def _read_router(head: dict[str, Any], arrays: dict[str, Any]) -> Router:
    return Router(task_gains=head["task_gains"], intercept=head["intercept"], **arrays)


def pack_cascade(learned: LearnedCascade) -> bytes:
    """What was learned of a cascade's rungs as bytes."""
    head: dict[str, Any] = {"kind": "cascade", "strong_right": learned.strong_right, "models": {}}
    arrays: dict[str, Any] = {}
    for place, (model, one) in enumerate(learned.confidences.items()):
        head["models"][model] = {
            "trees": [[tree.features, tree.splits, tree.low, tree.high] for tree in one.trees],
            "parts": {
                name: [part.mean, part.deviation, part.weight] for name in _PARTS for part in [getattr(one, name)]
            },
            "slope": one.slope,
            "offset": one.offset,
            "has_logprobs": one.has_logprobs,
            "of_tasks": dict(one.of_tasks),
        }
        arrays |= {f"{place} {name}": getattr(one, name) for name in _ARRAYS}
    if learned.strong is not None:
        head["strong"] = _head_of(learned.strong)
        arrays |= {f"strong {name}": getattr(learned.strong, name) for name in _ARRAYS_OF_ROUTERS}
    return _pack(head, **arrays)


def unpack_cascade(raw: bytes) -> LearnedCascade:
    """Read back what ``pack_cascade`` wrote. Raises Unreadable."""
    head, arrays = _unpack(raw, "cascade")
    try:
        confidences = {
            model: _read_confidence(one, {name: arrays[f"{place} {name}"] for name in _ARRAYS})
            for place, (model, one) in enumerate(head["models"].items())
        }
        # What was learned before there was one has none.
        strong = head.get("strong")
        if strong is not None:
            strong = _read_router(strong, {name: arrays[f"strong {name}"] for name in _ARRAYS_OF_ROUTERS})
        return LearnedCascade(confidences, head["strong_right"], strong)
    except (KeyError, TypeError) as error:
        raise Unreadable from error


def _read_confidence(one: dict[str, Any], arrays: dict[str, Any]) -> Confidence:
    values: dict[str, Any] = {name: Part(*part) for name, part in one["parts"].items()}
    return Confidence(
        **arrays,
        **values,
        trees=tuple(Tree(*map(tuple, tree)) for tree in one["trees"]),
        slope=one["slope"],
        offset=one["offset"],
        has_logprobs=one["has_logprobs"],
        # What was learned before there were any has none.
        of_tasks=one.get("of_tasks", {}),
    )


def _pack(head: dict[str, Any], **arrays: Any) -> bytes:
    written = json.dumps({"form": FORM, **head}).encode()
    file = io.BytesIO()
    # Single precision: what is learned is known to a few digits.
    singles: dict[str, Any] = {name: np.asarray(values, np.float32) for name, values in arrays.items()}
    np.savez_compressed(file, head=np.frombuffer(written, np.uint8), **singles)
    return file.getvalue()


def _unpack(raw: bytes, *kinds: str) -> tuple[dict[str, Any], dict[str, Any]]:
    try:
        with np.load(io.BytesIO(raw), allow_pickle=False) as file:
            head = json.loads(file["head"].tobytes())
            arrays = {name: file[name].astype(np.float64) for name in file.files if name != "head"}
    except Exception as error:
        # numpy and zipfile raise whatever they like for bytes that are not theirs.
        raise Unreadable from error
    if not isinstance(head, dict) or head.get("form") != FORM or head.get("kind") not in kinds:
        raise Unreadable
    return head, arrays
