"""A conversation made short: its summary, asked of whatever model, in the form of OpenAI's compaction. Pure.

A provider's own compaction is a text that it alone can read. Ours goes with every upstream: the summary is asked like
any other answer, given as a compaction item, and put back as a message where that item is sent again.
"""

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any, Final

from proxy.core import exact_json
from proxy.core.body_fields import check_objects
from proxy.dialects.openai_responses.answers import ResponseTranslation, write_error_event, write_usage
from proxy.errors import ApiError, InvalidRequest
from proxy.values.attempt import Usage
from proxy.values.text_run import TextRun

Json = dict[str, Any]

#: what a compaction has beside what is said
FIELDS: Final = frozenset(
    {
        *("model", "input", "instructions", "previous_response_id", "service_tier", "user", "metadata"),
        *("prompt_cache_key", "prompt_cache_retention", "prompt_cache_options", "image"),
    }
)
#: what an upstream is told of those
_ASKED: Final = ("model", "input", "instructions", "previous_response_id", "service_tier", "user", "prompt_cache_key")
_MARK: Final = "costhub1."
_TASK: Final = (
    "Write down what is needed to go on with this conversation without having read it: what was asked for and is still"
    " open, what was decided, found out and done, with names, numbers and code that matter word for word. Write nothing"
    " else, and answer nothing that was asked."
)
_BEFORE: Final = "What was said before, in short:"


def ask_for_summary(body: Mapping[str, Any], items: Sequence[Json]) -> Json:
    """The body by which a model is asked for the summary of ``items``."""
    asked = {name: body[name] for name in _ASKED if body.get(name) is not None}
    return {**asked, "store": False, "input": [*items, {"type": "message", "role": "user", "content": _TASK}]}


def open_compactions(body: Json) -> Json:
    """The body with our compactions as the messages that they stand for; a provider's own stay. Raises
    InvalidRequest for one of ours that cannot be read."""
    given = body.get("input")
    if not isinstance(given, list) or not any(isinstance(item, dict) and _is_ours(item) for item in given):
        return body
    items = []
    for number, item in enumerate(check_objects(given, "input")):
        items.append(_open(item, f"input[{number}].encrypted_content") if _is_ours(item) else item)
    return {**body, "input": items}


def write_item(name: str, summary: str) -> Json:
    """A compaction item."""
    packed = base64.urlsafe_b64encode(summary.encode("utf-8", "replace")).decode()
    return {"id": f"cmp_{name}", "type": "compaction", "encrypted_content": f"{_MARK}{packed}"}


def _is_ours(item: Json) -> bool:
    content = item.get("encrypted_content")
    return item.get("type") == "compaction" and isinstance(content, str) and content.startswith(_MARK)


def _open(item: Json, place: str) -> Json:
    try:
        summary = base64.b64decode(item["encrypted_content"].removeprefix(_MARK), b"-_", validate=True).decode()
    except (binascii.Error, ValueError) as error:
        raise InvalidRequest(
            f"{place} is no compaction that was made here: send it as it came.", param=place
        ) from error
    return {"type": "message", "role": "user", "content": f"{_BEFORE}\n\n{summary}"}


class CompactionTranslation:
    """One answer that is a summary, from a chat or a response: a compaction of the items that were asked about."""

    def __init__(self, request_id: str, model: str, asked: Json, items: Sequence[Json], at_ms: int) -> None:
        self._mark = request_id.replace("-", "")
        self._items = items
        self._created = at_ms // 1000
        self._inner = ResponseTranslation(request_id, model, asked, at_ms)

    def whole(self, body: bytes, usage: Usage) -> bytes:
        """A compaction: what users said, and the summary of all."""
        answer = exact_json.loads_rounded(body)
        if not isinstance(answer, dict) or answer.get("object") != "response":
            answer = exact_json.loads_rounded(self._inner.whole(body, usage))
        said = [item for item in self._items if item.get("role") == "user" and item.get("type") == "message"]
        compaction = {
            "id": f"resp_{self._mark}",
            "object": "response.compaction",
            "created_at": self._created,
            "output": [*said, write_item(self._mark, _read_summary(answer))],
            "usage": write_usage(usage),
        }
        return exact_json.dumps(compaction)

    def events(self, events: bytes, run: TextRun | None = None) -> bytes:
        """None: a compaction has no stream."""
        return b""

    def end(self, fields: Mapping[str, str], usage: Usage) -> bytes:
        """None either."""
        return b""

    def error_event(self, error: ApiError, request_id: str) -> bytes:
        """An error."""
        return write_error_event(error, request_id, 0)


def _read_summary(answer: Json) -> str:
    output = answer.get("output")
    parts = [
        part
        for item in (output if isinstance(output, list) else [])
        if isinstance(item, dict) and item.get("type") == "message" and isinstance(item.get("content"), list)
        for part in item["content"]
        if isinstance(part, dict)
    ]
    return "".join(str(part.get("text") or part.get("refusal") or "") for part in parts)
