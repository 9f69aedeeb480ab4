"""A line of a batch's file: read, and held against what a batch may be."""

import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import orjson

from proxy.core import exact_json
from proxy.errors import ApiError
from tenants.choices import Mode, RouteKind
from tenants.route_snapshots import RouteSnapshot

MAX_LINES: Final = 50_000
MAX_CUSTOM_ID_CHARACTERS: Final = 512
#: and so many with empty ones between them
MAX_LINES_WITH_EMPTY: Final = 2 * MAX_LINES
#: so many errors of a file are told
MAX_ERRORS: Final = 100
_OF_ONE_MODEL: Final = frozenset({RouteKind.FIXED, RouteKind.FALLBACKS})
_MOST_CHARACTERS: Final = 1_000
#: between what a line of an output file says of a call, and the call's answer as it came
_BODY: Final = b',"body":'
_BEHIND: Final = b'},"error":null}'
_PRINTABLE: Final = re.compile(r"[^\x00-\x1f\x7f]+")


class BatchAsk(NamedTuple):
    """What a line asks for. ``body`` is that of a call to ``url``."""

    custom_id: str
    url: str
    body: dict[str, Any]


class LineError(NamedTuple):
    """Why a file cannot be a batch: ``line`` counts from 1; None where no line is to blame."""

    code: str
    message: str
    param: str | None = None
    line: int | None = None

    def show(self) -> Mapping[str, Any]:
        """As a batch's ``errors`` list it."""
        return {"code": self.code, "message": self.message, "param": self.param, "line": self.line}


class BadLine(Exception):
    """A line that cannot be a call of its batch."""

    def __init__(self, code: str, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.code, self.message, self.param = code, message, param

    def at(self, line: int) -> LineError:
        """The same, with the line's number. What it repeats of the line is made writable: a JSON text may hold half a
        character, a NUL, or millions of characters in the place of a name."""
        return LineError(self.code, _make_writable(self.message), self.param and _make_writable(self.param), line)


def read_line(raw: bytes, endpoint: str) -> BatchAsk:
    """Read a line of a batch for ``endpoint``, such as ``/v1/chat/completions``. Raises BadLine."""
    try:
        line = exact_json.loads(raw)
    except orjson.JSONDecodeError as error:
        raise BadLine("invalid_json_line", "This line is not parseable as valid JSON.") from error
    except exact_json.Rounded as error:
        raise BadLine("number_too_large", f"This line holds {error}") from error
    if not isinstance(line, dict):
        raise BadLine("invalid_json_line", "This line must be a JSON object.")
    custom_id, method, url, body = (line.get(name) for name in ("custom_id", "method", "url", "body"))
    if (
        not isinstance(custom_id, str)
        or len(custom_id) > MAX_CUSTOM_ID_CHARACTERS
        or not _PRINTABLE.fullmatch(custom_id)
        or (not custom_id.isascii() and not _is_writable(custom_id))
    ):
        raise BadLine(
            "invalid_custom_id",
            f"custom_id must be a text of 1 to {MAX_CUSTOM_ID_CHARACTERS} characters.",
            "custom_id",
        )
    if method != "POST":
        raise BadLine("invalid_method", "method must be POST.", "method")
    if url != endpoint:
        raise BadLine("mismatched_endpoint", f"url must be the batch's endpoint, {endpoint}.", "url")
    if not isinstance(body, dict):
        raise BadLine("missing_required_parameter", "body must be a JSON object.", "body")
    if body.get("stream"):
        raise BadLine("invalid_request", "A batch has no streams: leave stream out.", "body.stream")
    return BatchAsk(custom_id, endpoint, body)


def check_model(model: str, first: str) -> None:
    """Raise BadLine for a line of another model than the first one's: a batch is of one."""
    if model != first:
        raise BadLine(
            "mismatched_model", f"model must be {first}, as in the first line: a batch is of one model.", "body.model"
        )


def check_route(route: RouteSnapshot | None) -> None:
    """Raise BadLine for a route that chooses for each call: what is held for all lines is held for one model."""
    if route is not None and route.mode == Mode.ON and route.kind not in _OF_ONE_MODEL:
        raise BadLine(
            "route_not_fixed",
            f"{route.name} is a {route.kind} route, which chooses for each call, and a batch is of one model: ask for a"
            " model, or for a route of the kinds fixed and fallbacks.",
            "body.model",
        )


def as_bad_line(error: ApiError) -> BadLine:
    """What is wrong with a line's body, in the words of a call."""
    return BadLine(error.error_code, error.message, f"body.{error.param}" if error.param else "body")


def dump_answer(line_id: str, custom_id: str, status: int, request_id: str, body: bytes) -> bytes:
    """The line of an output or error file for a call that was answered; ``body`` is JSON already."""
    head = orjson.dumps({"id": line_id, "custom_id": custom_id})[:-1]
    response = orjson.dumps({"status_code": status, "request_id": request_id})[:-1]
    # One line is one answer, however its upstream laid out its JSON: there a line end stands between values only.
    body = body.replace(b"\n", b" ").replace(b"\r", b" ")
    return b'%b,"response":%b%b%b%b\n' % (head, response, _BODY, body, _BEHIND)


def dump_failure(line_id: str, custom_id: str, code: str, message: str) -> bytes:
    """The line of an error file for a call that was never answered."""
    error = {"code": code, "message": message}
    return orjson.dumps({"id": line_id, "custom_id": custom_id, "response": None, "error": error}) + b"\n"


class Outcome(NamedTuple):
    """How a line came out: the ``status`` of its answer and the ``body``, byte by byte; 0 where it was never answered,
    and then why."""

    custom_id: str
    status: int
    body: bytes = b""
    code: str = ""
    message: str = ""


def read_outcome(line: bytes) -> Outcome:
    """A line of an output or error file, as it was written here."""
    # Within a text its quotes would be escaped.
    at = line.find(_BODY)
    if at < 0:
        told = orjson.loads(line)
        return Outcome(told.get("custom_id", ""), 0, code=told["error"]["code"], message=told["error"]["message"])
    told = orjson.loads(line[:at] + b"}}")
    return Outcome(told["custom_id"], told["response"]["status_code"], line[at + len(_BODY) :].removesuffix(_BEHIND))


def _make_writable(text: str) -> str:
    return text[:_MOST_CHARACTERS].encode("utf-8", "replace").decode().replace("\0", "?")


def _is_writable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
