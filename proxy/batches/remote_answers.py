"""What an upstream says of a batch that it runs, read."""

from typing import Any, Final
from uuid import UUID

import orjson

from proxy.core import exact_json

Json = dict[str, Any]

#: states in which nothing more is answered
OVER: Final = frozenset({"completed", "failed", "expired", "cancelled"})
_CODES: Final = {"expired": "batch_expired", "cancelled": "batch_cancelled"}


def code_of(status: object) -> str:
    """Why a line has no answer, by what its batch ended as."""
    return _CODES.get(str(status), "batch_failed")


def read_answer(raw: bytes) -> tuple[UUID, Json] | None:
    """A line of an upstream's output, by our id; None for what is none."""
    try:
        answer = exact_json.loads(raw)
        return UUID(answer["custom_id"]), answer
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError):
        return None


def tell_why(found: Json) -> str:
    """What an upstream says of a batch that it would not run."""
    errors = found.get("errors")
    data = errors.get("data") if isinstance(errors, dict) else None
    messages = [str(one.get("message")) for one in data or () if isinstance(one, dict)]
    return " ".join(messages[:3])
