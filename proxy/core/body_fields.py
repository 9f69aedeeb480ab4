"""Fields of a body, read and checked: what every dialect does with a JSON object."""

from collections.abc import Mapping
from typing import Any, Final

import orjson

from proxy.core import exact_json, paid_fields
from proxy.core.field_names import fold, list_known
from proxy.core.weight import MAX_DEPTH, SMALL_BYTES, TOO_DEEP
from proxy.errors import InvalidRequest

Json = dict[str, Any]

MAX_NAME_CHARACTERS: Final = 200
MAX_TOKENS_LIMIT: Final = 10_000_000

#: what decides of a chat where it goes and what it may cost
GOVERNING: Final = frozenset(
    {
        *("model", "models", "messages", "prompt", "input", "user", "stream", "stream_options", "n", "best_of"),
        *("max_completion_tokens", "max_tokens", "n_predict", "service_tier"),
        *("tools", "max_tool_calls"),
        *("fallbacks", "audio", "modalities", "search_options", *paid_fields.FIELDS),
        # what is counted as input
        *("tools", "functions", "response_format", "tool_choice", "prediction", "documents", "suffix"),
    }
)
_KNOWN: Final = list_known(GOVERNING)


def read_object(raw: bytes) -> Json:
    """The JSON object of a body. Raises InvalidRequest for anything else, and for what is nested too deeply."""
    if not raw:
        raise InvalidRequest("The body is empty: send a JSON object.")
    try:
        body = exact_json.loads(raw)
    except orjson.JSONDecodeError as error:
        raise InvalidRequest(f"The body is not valid JSON: {error}.", code="invalid_json") from error
    except exact_json.Rounded as error:
        raise InvalidRequest(f"The body holds {error}", code="number_too_large") from error
    if not isinstance(body, dict):
        raise InvalidRequest("The body must be a JSON object.")
    # Of a larger body weighing it has told how deep it is.
    if len(raw) <= SMALL_BYTES and raw.count(b"{") + raw.count(b"[") > MAX_DEPTH:
        write_object(body)
    return body


def write_object(body: Json) -> bytes:
    """The object as JSON. Raises InvalidRequest where it is nested too deeply."""
    try:
        return exact_json.dumps(body)
    except (TypeError, RecursionError) as error:
        raise InvalidRequest(TOO_DEEP) from error


def read_name(body: Mapping[str, Any], name: str, place: str = "") -> str:
    """A short printable text; empty where there is none. Raises InvalidRequest."""
    value = body.get(name)
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > MAX_NAME_CHARACTERS or not value.isprintable():
        raise InvalidRequest(
            f"{place}{name} must be a text of at most {MAX_NAME_CHARACTERS} printable characters.",
            param=f"{place}{name}",
        )
    return value


def read_model(body: Mapping[str, Any]) -> str:
    """The model's name. Raises InvalidRequest where there is none."""
    model = read_name(body, "model")
    if not model:
        raise InvalidRequest("You must provide a model.", param="model")
    return model


def read_flag(body: Mapping[str, Any], name: str) -> bool:
    """True or false; false where there is none. Raises InvalidRequest."""
    value = body.get(name)
    if value is None:
        return False
    if not isinstance(value, bool):
        raise InvalidRequest(f"{name} must be true or false.", param=name)
    return value


def read_whole(body: Mapping[str, Any], name: str, low: int, high: int, place: str = "") -> int | None:
    """A whole number from ``low`` to ``high``; None where there is none. Raises InvalidRequest."""
    value = body.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise InvalidRequest(f"{place}{name} must be a whole number from {low} to {high}.", param=f"{place}{name}")
    return value


def read_dict(body: Mapping[str, Any], name: str, place: str = "") -> Json:
    """An object; an empty one where there is none. Raises InvalidRequest."""
    value = body.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InvalidRequest(f"{place}{name} must be an object.", param=f"{place}{name}")
    return value


def read_list(body: Mapping[str, Any], name: str, place: str = "") -> list[Any]:
    """A list; an empty one where there is none. Raises InvalidRequest."""
    value = body.get(name)
    if value is None:
        return []
    if not isinstance(value, list):
        raise InvalidRequest(f"{place}{name} must be a list.", param=f"{place}{name}")
    return value


def check_objects(items: list[Any], place: str) -> list[Json]:
    """The items of a list that holds objects only. Raises InvalidRequest, naming the first that is no object."""
    for number, item in enumerate(items):
        if not isinstance(item, dict):
            raise InvalidRequest(f"{place}[{number}] must be an object.", param=f"{place}[{number}]")
    return items


def read_text(body: Mapping[str, Any], name: str, place: str = "") -> str:
    """A text of any length. Raises InvalidRequest where there is none."""
    value = body.get(name)
    if not isinstance(value, str):
        raise InvalidRequest(f"{place}{name} must be a text.", param=f"{place}{name}")
    return value


def pass_on(body: Mapping[str, Any], own: frozenset[str]) -> Json:
    """The fields of a body that its own format does not know, to be handed on as they are.

    Raises InvalidRequest for one that a server of OpenAI's chat would take for one that decides what is billed.
    """
    passed = {}
    for name, value in body.items():
        if name in own:
            continue
        meant = _KNOWN.get(fold(name)) if len(name) <= MAX_NAME_CHARACTERS else None
        if meant is not None:
            raise InvalidRequest(f"There is no field {name} in this format.", param=name)
        passed[name] = value
    return passed
