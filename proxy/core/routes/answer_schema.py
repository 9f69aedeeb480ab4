"""Whether an answer fits the JSON Schema that its request asks for, at a bounded cost.

Schemas are the caller's, and answers a model's: a schema of forty lines can take longer than the universe has lasted.
So steps are counted, and what needs too many is not told. Keywords whose cost no step bounds, such as regular
expressions, are taken to hold.
"""

import json
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from functools import cache
from typing import Any, Final

from proxy.core.routes.answer_checks import bare_json
from proxy.values.request import Request

#: of keywords' looks at a value, each as many as both have entries
MOST_STEPS: Final = 20_000
#: longer answers and schemas are not looked into; what is compared is also put into messages that nobody reads
MOST_CHARACTERS: Final = 64 * 1024
MOST_SCHEMA_CHARACTERS: Final = 32 * 1024
_UNBOUNDED: Final = frozenset({"pattern", "uniqueItems", "unevaluatedItems", "unevaluatedProperties"})
# Regular expressions also decide which properties are additional ones.
_UNKNOWABLE: Final = '"patternProperties"'

_Check = Callable[[Any, Any, Any, Any], Iterator[Any] | None]
_left: ContextVar[int] = ContextVar("steps that are left")


class _TooMuch(Exception):
    """Too many steps."""


def find_schema(request: Request) -> dict[str, Any] | None:
    """The schema that a request's answer is to fit; None where it has none, or asks for several answers."""
    wanted = request.body.get("response_format")
    if not isinstance(wanted, dict) or wanted.get("type") != "json_schema" or request.choices > 1:
        return None
    named = wanted.get("json_schema")
    schema = named.get("schema") if isinstance(named, dict) else None
    return schema if isinstance(schema, dict) else None


def breaks_schema(text: str, schema: dict[str, Any]) -> bool:
    """Whether a JSON text does not fit a schema (draft 2020-12). False also where that cannot be told: it is no JSON or
    no schema, takes too many steps, or refers to something elsewhere. Takes up to half a second: call it beside the
    loop."""
    written = json.dumps(schema)
    text = bare_json(text)
    if len(written) > MOST_SCHEMA_CHARACTERS or len(text) > MOST_CHARACTERS or _UNKNOWABLE in written:
        return False
    _left.set(MOST_STEPS)
    try:
        return not _make_validator(schema).is_valid(json.loads(text))
    except Exception:  # noqa: BLE001 - whatever is in a caller's schema, the call goes on
        return False


def _make_validator(schema: dict[str, Any]) -> Any:
    from referencing import Registry  # noqa: PLC0415 - as below

    # Nothing is fetched: a reference leads to somewhere inside of the schema, or nowhere.
    return _make_class()(schema, registry=Registry())


@cache
def _make_class() -> Any:
    # A third of a second and 13 MB, which those pay whose routes need it.
    from jsonschema import validators  # noqa: PLC0415

    draft = validators.Draft202012Validator
    bounded = {name: _count(check) for name, check in draft.VALIDATORS.items()}
    return validators.extend(draft, bounded | dict.fromkeys(_UNBOUNDED, _hold))


def _count(check: _Check) -> _Check:
    def step(validator: Any, keyword: Any, value: Any, schema: Any) -> Iterator[Any] | None:
        left = _left.get() - 1 - sum(len(each) for each in (keyword, value) if isinstance(each, list | dict))
        if left < 0:
            raise _TooMuch
        _left.set(left)
        return check(validator, keyword, value, schema)

    return step


def _hold(validator: Any, keyword: Any, value: Any, schema: Any) -> None:
    """Says nothing against it."""
