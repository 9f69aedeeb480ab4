"""What an upstream says of a batch that it runs, read."""

from typing import Any, Final
from uuid import UUID

import orjson

from proxy.core import exact_json

Json = dict[str, Any]

#: states in which nothing more is answered
OVER: Final = frozenset({"completed", "failed", "expired", "cancelled"})
_OK: Final = 200
#: in place of a status that there is not
_BAD_GATEWAY: Final = 502
_CODES: Final = {"expired": "batch_expired", "cancelled": "batch_cancelled"}


def code_of(status: object) -> str:
    """Why a line has no answer, by what its batch ended as."""
    return _CODES.get(str(status), "batch_failed")


def read_answer(raw: bytes) -> tuple[UUID, Json] | None:
    """A line of an upstream's output, by our id; None where the line cannot be read as one."""
    try:
        answer = exact_json.loads_rounded(raw)
        return UUID(answer["custom_id"]), answer
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError):
        return None


def read_response(answer: Json) -> tuple[int, bytes] | None:
    """The status and the JSON of a line's response; None where it has none. One with a status that there is not, or so
    deep that it cannot be written again, has no body that is an answer."""
    response = answer.get("response")
    status = response.get("status_code") if isinstance(response, dict) else None
    if not isinstance(response, dict) or not isinstance(status, int):
        return None
    if isinstance(status, bool) or not 100 <= status <= 599:
        return _BAD_GATEWAY, b"null"
    try:
        return status, exact_json.dumps(response.get("body"))
    except (TypeError, RecursionError):
        return status, b"null"


class Successes:
    """The calls that an upstream's files say were answered, beside how many it says there are: a file may end cleanly
    before its end."""

    def __init__(self) -> None:
        self._ids: set[UUID] = set()

    def note(self, call_id: UUID, response: object) -> None:
        """What a line of the files says. Only a status of 200 is a success, as the upstream counts them; a line may
        come twice."""
        if isinstance(response, dict) and response.get("status_code") == _OK:
            self._ids.add(call_id)

    def are_fewer_than_told(self, found: Json) -> bool:
        """Whether the batch, as its upstream shows it, has more of them."""
        counts = found.get("request_counts")
        told = counts.get("completed") if isinstance(counts, dict) else None
        return isinstance(told, int) and told > len(self._ids)


def tell_why(found: Json) -> str:
    """What an upstream says of a batch that it would not run."""
    errors = found.get("errors")
    data = errors.get("data") if isinstance(errors, dict) else None
    messages = [str(one.get("message")) for one in data if isinstance(one, dict)] if isinstance(data, list) else []
    return " ".join(messages[:3])
