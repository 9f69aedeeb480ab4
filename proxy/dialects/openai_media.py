"""OpenAI's moderations, images and speech, as callers speak them: passed through, and billed by tokens or by the piece.

Only what decides about money is read: the model, how many images, how many characters.
"""

from collections.abc import Mapping
from typing import Any, Final

import orjson

from proxy.core.body_fields import read_flag, read_model, read_name, read_object, read_text, read_whole
from proxy.core.cost_fields import write_comment
from proxy.core.field_names import check_names, list_known
from proxy.core.forms import read_form
from proxy.errors import ApiError, InvalidRequest
from proxy.values.dialect import Translation
from proxy.values.request import DRAWING, FORM_ENDPOINTS, LISTENING, WORDS, Endpoint, Operation, Request

Json = dict[str, Any]

OPERATIONS: Final[Mapping[Endpoint, Operation]] = {
    Endpoint.MODERATIONS: Operation.MODERATION,
    Endpoint.IMAGES: Operation.IMAGE,
    Endpoint.SPEECH: Operation.SPEECH,
    Endpoint.IMAGE_EDITS: Operation.IMAGE_EDIT,
    Endpoint.IMAGE_VARIATIONS: Operation.IMAGE_VARIATION,
    Endpoint.TRANSCRIPTIONS: Operation.TRANSCRIPTION,
    Endpoint.TRANSLATIONS: Operation.TRANSLATION,
}
#: what looks at inputs where nobody says which model shall
USUAL_MODERATION: Final = "omni-moderation-latest"
MOST_IMAGES: Final = 10
#: of images, as a form spells them
_COUNTS: Final = frozenset(map(str, range(1, MOST_IMAGES + 1)))
MOST_CHARACTERS: Final = 1_000_000
#: formats of what was heard; those behind the first tell as little of it as they are words of
_HEARD: Final = ("json", "verbose_json", "diarized_json", *WORDS)
_GOVERNING: Final = frozenset(
    {"model", "input", "prompt", "n", "user", "stream", "stream_format", "instructions", "partial_images", "url"}
)
_KNOWN: Final = list_known(_GOVERNING)


def parse_request(endpoint: Endpoint | None, raw: bytes) -> Request:
    """Read a body, which is JSON or a form. Raises InvalidRequest, with ``param`` set where one field is at fault."""
    assert endpoint is not None, "an endpoint of this format"
    if endpoint in FORM_ENDPOINTS:
        return _read_form(OPERATIONS[endpoint], raw)
    operation = OPERATIONS[endpoint]
    body = read_object(raw)
    check_names(body.keys() - _GOVERNING, _KNOWN)
    # As OpenAI has it, and its clients' examples.
    is_usual = operation is Operation.MODERATION and body.get("model") is None
    model = USUAL_MODERATION if is_usual else read_model(body)
    choices, is_stream = 1, False
    match operation:
        case Operation.IMAGE:
            read_text(body, "prompt")
            choices = read_whole(body, "n", 1, MOST_IMAGES) or 1
            is_stream = read_flag(body, "stream")
        case Operation.SPEECH:
            text = read_text(body, "input")
            if not text or len(text) > MOST_CHARACTERS:
                raise InvalidRequest(f"input must have 1 to {MOST_CHARACTERS} characters.", param="input")
            if body.get("stream_format") not in (None, "audio", "sse"):
                raise InvalidRequest("stream_format must be audio or sse.", param="stream_format")
            is_stream = body.get("stream_format") == "sse"
        case _:
            _check_input(body.get("input"))
    return Request(
        operation=operation,
        model=model,
        body=body,
        body_bytes=len(raw),
        is_stream=is_stream,
        wants_usage=False,
        choices=choices,
        max_output=None,
        end_user=read_name(body, "user"),
        is_plain=True,
    )


def make_translation(request: Request, request_id: str, at_ms: int) -> Translation | None:
    """None: what comes passes untouched."""
    return None


def end_stream(fields: Mapping[str, str], closing: bytes) -> bytes:
    """The last event, with what it cost in a comment before it."""
    return write_comment(fields) + closing


def render_error(error: ApiError, request_id: str) -> bytes:
    """An error before the first byte of an answer."""
    return orjson.dumps(error.body(request_id))


def render_error_event(error: ApiError, request_id: str) -> bytes:
    """An error in the middle of a stream, which ends it."""
    return b"event: error\ndata: %b\n\n" % orjson.dumps({"type": "error", **error.body(request_id)})


def _read_form(operation: Operation, raw: bytes) -> Request:
    form = read_form(raw)
    fields = form.fields
    check_names(fields.keys() - _GOVERNING, _KNOWN)
    # What we take for a file some servers take for a field: of those that name none, as in filename="".
    files = {part.name for part in form.parts if part.is_file}
    check_names(files - _GOVERNING, _KNOWN)
    if governing := sorted(files & _GOVERNING):
        raise InvalidRequest(f"{governing[0]} must be a field, and no file.", param=governing[0])
    if not form.file_bytes:
        raise InvalidRequest("The form has no file.", param="file" if operation in LISTENING else "image")
    is_stream = _read_stream(operation, fields)
    if operation in LISTENING and fields.get("url"):
        raise InvalidRequest(
            "How long the sound plays that a url leads to is not known here: send the file itself.", param="url"
        )
    if operation in LISTENING and fields.get("response_format", "json") not in _HEARD:
        raise InvalidRequest(f"response_format must be one of {', '.join(_HEARD)}.", param="response_format")
    given = fields.get("n", "")
    if given and given not in _COUNTS:
        raise InvalidRequest(f"n must be a whole number from 1 to {MOST_IMAGES}.", param="n")
    return Request(
        operation=operation,
        model=read_model(fields),
        body=dict(fields),
        body_bytes=sum(len(name) + len(value.encode()) for name, value in fields.items()),
        is_stream=is_stream,
        wants_usage=False,
        choices=int(given or 1) if operation in DRAWING else 1,
        max_output=None,
        end_user=read_name(fields, "user"),
        form=form,
    )


def _read_stream(operation: Operation, fields: Mapping[str, str]) -> bool:
    given = fields.get("stream", "").lower()
    if given in ("", "false", "0"):
        return False
    if given not in ("true", "1"):
        raise InvalidRequest("stream must be true or false.", param="stream")
    if operation not in (Operation.TRANSCRIPTION, Operation.IMAGE_EDIT):
        raise InvalidRequest("This is not streamed: leave stream out.", param="stream")
    return True


def _check_input(given: Any) -> None:
    """A text, texts, or parts, of which there must be some."""
    if isinstance(given, str) and given:
        return
    if isinstance(given, list) and given and all(isinstance(item, str | dict) for item in given):
        return
    raise InvalidRequest("input must be a text, or a list of texts or parts.", param="input")
