"""What an answer says, and whether two answers say the same. Pure."""

from typing import Any, Final

import numpy as np
import orjson
from numpy.typing import NDArray

from proxy.cache.entries import Kept
from proxy.cache.guards import find_veto, read
from proxy.core import sse
from proxy.core.words import split_words

#: from this cosine of their vectors on, two answers with the same numbers, names and negations say the same
SAME_FROM: Final = 0.93
#: a longer answer is more than its vector can say
_MOST_COMPARED: Final = 1_500


def answer_text(kept: Kept) -> str:
    """The words of a kept chat answer; empty where it has none, or calls a tool."""
    try:
        if kept.content_type == "text/event-stream":
            return "".join(_said(event) for event in _events(kept.body))
        return _said(orjson.loads(kept.body))
    except (ValueError, TypeError, AttributeError):
        return ""


def is_same_text(fresh: str, kept: str) -> bool:
    """Whether two texts are the same but for spaces, case and signs."""
    return bool(fresh.strip()) and split_words(fresh) == split_words(kept)


def is_same_meaning(fresh: str, kept: str, vectors: NDArray[np.float32]) -> bool:
    """Whether two texts say the same, with their two vectors: near each other, and no guard objects.

    A judge that doubts: what it calls another answer costs a hit, what it calls the same one may cost an error.
    """
    if max(len(fresh), len(kept)) > _MOST_COMPARED or not fresh.strip() or not kept.strip():
        return False
    return float(vectors[0] @ vectors[1]) >= SAME_FROM and find_veto(read(fresh), read(kept)) is None


def _events(body: bytes) -> list[dict[str, Any]]:
    splitter = sse.EventSplitter()
    events = [*splitter.feed(body), splitter.finish()]
    datas = [data for event in events if (data := sse.data_of(event)) and data != sse.DONE]
    return [orjson.loads(data) for data in datas]


def _said(answer: dict[str, Any]) -> str:
    texts = []
    for choice in answer.get("choices") or ():
        message = choice.get("message") or choice.get("delta") or {}
        if message.get("tool_calls"):
            return ""
        text = message.get("content")
        if isinstance(text, str):
            texts.append(text)
    return "".join(texts)
