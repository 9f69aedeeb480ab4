"""A call that has ended as the spans of a trace: the call, each reserve, each attempt.

Attributes are named as OpenTelemetry's semantic conventions for generative AI name them (development status, as of
semantic conventions 1.41), and ``costhub.*`` where those have no word. Prompts, answers, keys, end users, tags and runs
are not among them.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from proxy.values.attempt import ATTEMPTED, Timing
from proxy.values.request import Endpoint

Value = str | int | float | bool | Sequence[str]

_OPERATIONS: Final[Mapping[str, str]] = {
    Endpoint.CHAT.value: "chat",
    Endpoint.COMPLETIONS.value: "text_completion",
    Endpoint.EMBEDDINGS.value: "embeddings",
    Endpoint.MESSAGES.value: "chat",
    Endpoint.RESPONSES.value: "chat",
    Endpoint.COMPACTIONS.value: "chat",
    Endpoint.MODERATIONS.value: "moderation",
    Endpoint.IMAGES.value: "image_generation",
    Endpoint.SPEECH.value: "speech",
    Endpoint.IMAGE_EDITS.value: "image_edit",
    Endpoint.IMAGE_VARIATIONS.value: "image_variation",
    Endpoint.TRANSCRIPTIONS.value: "transcription",
    Endpoint.TRANSLATIONS.value: "translation",
}
#: column -> attribute; what is zero or empty is left out
_OPTIONAL: Final = {
    "response_model": "gen_ai.response.model",
    "cache_read_input_tokens": "gen_ai.usage.cache_read.input_tokens",
    "cache_write_input_tokens": "gen_ai.usage.cache_creation.input_tokens",
    "reasoning_tokens": "gen_ai.usage.reasoning.output_tokens",
    "provider": "gen_ai.provider.name",
    "route_reason": "costhub.route",
    "upstream_id": "costhub.upstream_id",
}
#: callers and upstreams choose these texts
_LONGEST: Final = 200
_ERROR: Final = 400
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


class Parent(NamedTuple):
    """The caller's span."""

    trace_id: int
    span_id: int
    is_sampled: bool


class CallTrace(NamedTuple):
    """What is kept of a call for its trace: no body, so that those that wait to be exported stay small."""

    row: Mapping[str, Any]
    org: str
    origin: str
    started_ns: int
    ended_ns: int
    timings: Sequence[Timing]
    parent: Parent | None


class Span(NamedTuple):
    """A span without its ids. Moments are nanoseconds since the epoch; ``error`` is empty where all went well."""

    name: str
    is_client: bool
    start_ns: int
    end_ns: int
    attributes: dict[str, Value]
    error: str


def read_parent(traceparent: str) -> Parent | None:
    """The caller's span from its header (W3C Trace Context, level 1); None where there is none, or none that is
    valid."""
    parts = traceparent.split("-")
    if len(parts) < 4 or [len(part) for part in parts[:4]] != [2, 32, 16, 2] or parts[0] == "ff":
        return None
    if (parts[0] == "00" and len(parts) != 4) or not all(set(part) <= set("0123456789abcdef") for part in parts[:4]):
        return None
    trace_id, span_id = int(parts[1], 16), int(parts[2], 16)
    if not trace_id or not span_id:
        return None
    return Parent(trace_id, span_id, bool(int(parts[3], 16) & 1))


def make_spans(trace: CallTrace) -> list[Span]:
    """The call's span, and then those of what it waited for."""
    row = trace.row
    epoch_ns = row["started_at_ms"] * 1_000_000 - trace.started_ns
    operation = _OPERATIONS.get(row["endpoint"], row["endpoint"])
    model = row["request_model"][:_LONGEST]
    server = _server(trace.origin)
    # A model that nobody knows is any text that a caller may send: it names no span.
    name = f"{operation} {model}" if row["upstream_id"] else operation
    attributes = _call_attributes(trace, operation, model) | server
    whole = Span(
        name,
        True,
        epoch_ns + trace.started_ns,
        epoch_ns + trace.ended_ns,
        attributes,
        str(attributes.get("error.type", "")),
    )
    attempts = {attempt["number"]: attempt for attempt in row["attempts"]}
    parts = []
    for what, number, began, ended in trace.timings:
        told: dict[str, Value] = {"costhub.attempt": number}
        if what == ATTEMPTED:
            told |= _attempt_attributes(attempts.get(number, {}), number) | server
        error = str(told.get("error.type", ""))
        parts.append(Span(what, what == ATTEMPTED, epoch_ns + began, epoch_ns + ended, told, error))
    return [whole, *parts]


def _call_attributes(trace: CallTrace, operation: str, model: str) -> dict[str, Value]:
    row = trace.row
    told: dict[str, Value] = {
        "gen_ai.operation.name": operation,
        "gen_ai.request.model": model,
        "gen_ai.request.stream": row["is_stream"],
        "gen_ai.usage.input_tokens": row["input_tokens"],
        "gen_ai.usage.output_tokens": row["output_tokens"],
        "http.response.status_code": row["status"],
        "costhub.request_id": row["id"],
        "costhub.org": trace.org,
        "costhub.project_id": row["project_id"],
        "costhub.cost_nanos": row["effective_cost"],
        "costhub.list_cost_nanos": row["list_cost"],
        "costhub.savings_nanos": row["list_cost"] - row["effective_cost"],
        "costhub.is_estimated": row["is_estimated"],
        "costhub.overhead_us": row["overhead_us"],
    }
    told |= {attribute: _short(row[column]) for column, attribute in _OPTIONAL.items() if row[column]}
    if row["finish_reason"]:
        told["gen_ai.response.finish_reasons"] = [row["finish_reason"][:_LONGEST]]
    if row["is_stream"] and row["first_byte_us"] is not None:
        told["gen_ai.response.time_to_first_chunk"] = row["first_byte_us"] / 1_000_000
    if row["would_refuse"]:
        told["costhub.would_refuse"] = row["would_refuse"]
    if row["status"] >= _ERROR or row["error_code"]:
        told["error.type"] = row["error_code"][:_LONGEST] or str(row["status"])
    return told


def _attempt_attributes(attempt: Mapping[str, Any], number: int) -> dict[str, Value]:
    told: dict[str, Value] = {}
    if number > 1:
        told["http.request.resend_count"] = number - 1
    if attempt:
        told |= {"costhub.certainty": attempt["certainty"], "costhub.cost_nanos": attempt["cost"]}
        if attempt["status"]:
            told["http.response.status_code"] = attempt["status"]
        if attempt["error"]:
            told["error.type"] = attempt["error"][:_LONGEST]
    return told


def _server(origin: str) -> dict[str, Value]:
    url = urlsplit(origin)
    if not url.hostname:
        return {}
    return {"server.address": url.hostname, "server.port": url.port or _DEFAULT_PORTS.get(url.scheme, 0)}


def _short(value: Value) -> Value:
    return value[:_LONGEST] if isinstance(value, str) else value
