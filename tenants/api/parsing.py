"""JSON bodies, read strictly: what two readers could understand differently, or PostgreSQL cannot store, is refused."""

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import IO, Any, Final

from django.http import HttpRequest
from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser

from costhub.lib.errors import InvalidField
from tenants.api.problems import BodyTooLarge

MAX_BODY_BYTES: Final = 1024 * 1024
MAX_DEPTH: Final = 20


class StrictJsonParser(BaseParser):
    """JSON without NaN, duplicate names, deep nesting, NUL characters or lone surrogates; fractions become Decimal."""

    media_type = "application/json"

    def parse(
        self, stream: IO[bytes], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        """Read the body. Raises ParseError, or InvalidField naming the field that holds a bad string."""
        try:
            value = json.loads(
                stream.read().decode("utf-8"),
                parse_float=Decimal,
                parse_constant=_refuse_constant,
                object_pairs_hook=_refuse_duplicates,
            )
        except (ValueError, RecursionError) as error:
            raise ParseError(_sentence(error)) from error
        _check_strings(value, "", MAX_DEPTH)
        return value


def read_body(request: HttpRequest) -> bytes:
    """The whole body, at most MAX_BODY_BYTES of it. Raises BodyTooLarge."""
    length = request.META.get("CONTENT_LENGTH") or "0"
    if (length.isdecimal() and int(length) > MAX_BODY_BYTES) or len(request.body) > MAX_BODY_BYTES:
        raise BodyTooLarge("The body is larger than this API accepts: 1 MB.")
    return request.body


def check_text(text: str, field: str) -> None:
    """Raise InvalidField for characters that PostgreSQL cannot store."""
    if "\x00" in text:
        raise InvalidField("Remove the NUL character (\\u0000).", field=field)
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise InvalidField("Remove the lone surrogate: it is no character.", field=field)


class _Duplicate(ValueError):
    pass


def _refuse_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _Duplicate("A name occurs twice in one object: keep one.")
    return found


def _refuse_constant(name: str) -> Any:
    raise _Duplicate(f"{name} is no JSON.")


def _sentence(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"The body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}."
    if isinstance(error, RecursionError):
        return f"The body is nested deeper than {MAX_DEPTH} levels."
    return (
        str(error)
        if isinstance(error, _Duplicate)
        else "The body is not JSON in UTF-8, or holds a number that is too long."
    )


def _check_strings(value: Any, path: str, depth: int) -> None:
    if depth == 0:
        raise ParseError(f"The body is nested deeper than {MAX_DEPTH} levels.")
    if isinstance(value, str):
        check_text(value, path or "body")
    elif isinstance(value, dict):
        for name, inner in value.items():
            check_text(name, path or "body")
            _check_strings(inner, f"{path}.{name}".lstrip("."), depth - 1)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            _check_strings(inner, f"{path}[{index}]", depth - 1)
