"""A body in, a typed request out, or an InvalidRequest that names the field.

Only what we must understand is checked: model, streaming, and everything that decides how much may be billed. All
other fields pass through untouched. A key that stands twice in an object counts once, the last one, and the upstream
is sent the same single value that we read.
"""

from typing import Any, Final

import orjson

from proxy.errors import InvalidRequest, ModelNotPriced
from proxy.types import Endpoint, Request

MAX_CHOICES: Final = 128
MAX_NAME_CHARACTERS: Final = 200
#: orjson reads deeper than it writes; a body with fewer brackets cannot be too deep
_WRITABLE_DEPTH: Final = 250
MAX_TOKENS_LIMIT: Final = 10_000_000

_LIMITS: Final = ("max_completion_tokens", "max_tokens")
#: llama.cpp's own: where it stands, llama.cpp obeys it and neither of the others
_LLAMA_LIMIT: Final = "n_predict"


#: what decides where a call goes and what it may cost
_GOVERNING: Final = frozenset(
    {
        *("model", "models", "messages", "prompt", "input", "user", "stream", "stream_options", "n", "best_of"),
        *("max_completion_tokens", "max_tokens", "n_predict", "service_tier", "web_search_options"),
        *("search_parameters", "plugins", "fallbacks", "audio", "modalities"),
    }
)
#: what has a price of its own that we do not know, or may go to another model than the one that was priced
UNPRICED_FIELDS: Final = ("web_search_options", "search_parameters", "plugins", "models", "fallbacks")
_PRICED_TIERS: Final = frozenset({"auto", "default"})


def parse_request(endpoint: Endpoint, raw: bytes) -> Request:
    """Read a JSON body. Raises InvalidRequest, with ``param`` set where one field is at fault."""
    body = _parse_object(raw)
    model = _name(body, "model")
    if not model:
        raise InvalidRequest("You must provide a model.", param="model")
    _check_priced(body)
    is_stream = _flag(body, "stream") and endpoint is not Endpoint.EMBEDDINGS
    return Request(
        endpoint=endpoint,
        model=model,
        body=body,
        body_bytes=len(raw),
        is_stream=is_stream,
        wants_usage=is_stream and _wants_usage(body),
        choices=_CHOICES[endpoint](body),
        max_output=_max_output(body) if endpoint is not Endpoint.EMBEDDINGS else 0,
        end_user=_name(body, "user"),
        is_plain="audio" not in body and (endpoint is not Endpoint.CHAT or all(map(_is_plain, body["messages"]))),
    )


def upstream_body(request: Request, upstream_model: str, *, kind: str, max_output: int | None) -> bytes:
    """The body as the upstream gets it: its own name of the model, a usage report, and our limit if there is one.

    Raises InvalidRequest if the body is nested too deeply to be written.
    """
    body = {**request.body, "model": upstream_model}
    if request.is_stream:
        options = body.get("stream_options")
        body["stream_options"] = {**(options if isinstance(options, dict) else {}), "include_usage": True}
    if max_output is not None and request.endpoint is not Endpoint.EMBEDDINGS:
        for name in _limit_fields(request, kind):
            body[name] = max_output
    return _write(body)


def _write(body: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(body)
    except (TypeError, RecursionError) as error:
        raise InvalidRequest("The body is nested too deeply: 250 levels at most.") from error


def _limit_fields(request: Request, kind: str) -> tuple[str, ...]:
    """Where the output limit stands: where the caller put it, else where this kind of upstream looks for it."""
    given = tuple(name for name in _LIMITS if request.body.get(name) is not None)
    if request.endpoint is Endpoint.COMPLETIONS and "max_tokens" not in given:
        # the only name that this endpoint has to know
        given += ("max_tokens",)
    elif not given:
        given = ("max_completion_tokens",) if kind == "openai" else ("max_tokens",)
    elif kind != "openai" and "max_tokens" not in given:
        # many servers know only the older name, and a limit that is not obeyed is none
        given += ("max_tokens",)
    return (*given, _LLAMA_LIMIT) if _LLAMA_LIMIT in request.body else given


def _parse_object(raw: bytes) -> dict[str, Any]:
    if not raw:
        raise InvalidRequest("The body is empty: send a JSON object.")
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise InvalidRequest(f"The body is not valid JSON: {error}.", code="invalid_json") from error
    if not isinstance(body, dict):
        raise InvalidRequest("The body must be a JSON object.")
    for name in body:
        if name not in _GOVERNING and name.lower() in _GOVERNING:
            # Some servers take names in any spelling: what we read would not be what they obey.
            raise InvalidRequest(f"Write {name.lower()} in lower case.", param=name[:MAX_NAME_CHARACTERS])
    if raw.count(b"{") + raw.count(b"[") > _WRITABLE_DEPTH:
        _write(body)
    return body


def _check_priced(body: dict[str, Any]) -> None:
    for name in UNPRICED_FIELDS:
        if body.get(name) is not None:
            raise ModelNotPriced(
                f"What {name} costs is not known here, so that the call cannot be held to a budget: leave it out.",
                code="feature_not_priced",
                param=name,
            )
    tier = body.get("service_tier")
    if tier is not None and (not isinstance(tier, str) or tier not in _PRICED_TIERS):
        raise ModelNotPriced(
            "Only the service tiers auto and default have a price here: leave service_tier out.",
            code="feature_not_priced",
            param="service_tier",
        )


def _chat_choices(body: dict[str, Any]) -> int:
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise InvalidRequest("messages must be a list with at least one message.", param="messages")
    for place, message in enumerate(messages):
        if not isinstance(message, dict):
            raise InvalidRequest(f"messages[{place}] must be an object.", param=f"messages[{place}]")
    return _count(body, "n")


def _is_plain(message: dict[str, Any]) -> bool:
    return not isinstance(message.get("content"), list) and "audio" not in message


def _completion_choices(body: dict[str, Any]) -> int:
    return max(_count(body, "n"), _count(body, "best_of")) * _how_many(body, "prompt")


def _embedding_choices(body: dict[str, Any]) -> int:
    _how_many(body, "input")
    return 1


_CHOICES: Final = {
    Endpoint.CHAT: _chat_choices,
    Endpoint.COMPLETIONS: _completion_choices,
    Endpoint.EMBEDDINGS: _embedding_choices,
}


def _how_many(body: dict[str, Any], name: str) -> int:
    """How many texts a ``prompt`` or ``input`` holds: a text, texts, token ids, or lists of token ids."""
    value = body.get(name)
    if isinstance(value, str):
        return 1
    if isinstance(value, list) and value:
        if all(isinstance(item, int) and not isinstance(item, bool) for item in value):
            return 1
        if all(isinstance(item, str | list) for item in value):
            return len(value)
    raise InvalidRequest(f"{name} must be a text, a list of texts, or token ids.", param=name)


def _count(body: dict[str, Any], name: str) -> int:
    value = body.get(name)
    if value is None:
        return 1
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= MAX_CHOICES:
        raise InvalidRequest(f"{name} must be a whole number from 1 to {MAX_CHOICES}.", param=name)
    return value


def _max_output(body: dict[str, Any]) -> int | None:
    limits = []
    for name in _LIMITS:
        value = body.get(name)
        if value is None:
            continue
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= MAX_TOKENS_LIMIT:
            raise InvalidRequest(f"{name} must be a whole number from 1 to {MAX_TOKENS_LIMIT}.", param=name)
        limits.append(value)
    value = body.get(_LLAMA_LIMIT)
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MAX_TOKENS_LIMIT:
        limits.append(value)
    return min(limits, default=None)


def _flag(body: dict[str, Any], name: str) -> bool:
    value = body.get(name)
    if value is None:
        return False
    if not isinstance(value, bool):
        raise InvalidRequest(f"{name} must be true or false.", param=name)
    return value


def _wants_usage(body: dict[str, Any]) -> bool:
    options = body.get("stream_options")
    if options is None:
        return False
    if not isinstance(options, dict):
        raise InvalidRequest("stream_options must be an object.", param="stream_options")
    return options.get("include_usage") is True


def _name(body: dict[str, Any], name: str) -> str:
    value = body.get(name)
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > MAX_NAME_CHARACTERS or not value.isprintable():
        raise InvalidRequest(
            f"{name} must be a text of at most {MAX_NAME_CHARACTERS} printable characters.", param=name
        )
    return value
