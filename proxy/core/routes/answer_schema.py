"""Whether an answer fits the JSON Schema that its request asks for, and its tool calls those of their tools, at a
bounded cost.

Schemas are the caller's, and answers a model's: a schema of forty lines can take longer than the universe has lasted.
So steps are counted, and what needs too many is not told. Keywords whose cost no step bounds, such as regular
expressions, are taken to hold.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from functools import cache
from typing import Any, Final, NamedTuple

from proxy.core.routes.answer_checks import bare_json
from proxy.core.routes.said import Said
from proxy.values.request import Request

#: of keywords' looks at a value, each as many as both have entries
MOST_STEPS: Final = 20_000
#: longer answers and schemas are not looked into; what is compared is also put into messages that nobody reads
MOST_CHARACTERS: Final = 64 * 1024
MOST_SCHEMA_CHARACTERS: Final = 32 * 1024
_UNBOUNDED: Final = frozenset({"pattern", "uniqueItems", "unevaluatedItems", "unevaluatedProperties"})
# Regular expressions also decide which properties are additional ones.
_UNKNOWABLE: Final = "patternProperties"
#: true or false before draft 6, beside the number that they were about
_ONCE_FLAGS: Final = frozenset({"exclusiveMinimum", "exclusiveMaximum"})

_Check = Callable[[Any, Any, Any, Any], Iterator[Any] | None]
_left: ContextVar[int] = ContextVar("steps that are left")


class _TooMuch(Exception):
    """Too many steps."""


class Offered(NamedTuple):
    """Functions that a model may call: what their arguments are to fit, by name, where anything is said of it.
    ``are_all``: it may call nothing else."""

    schemas: Mapping[str, Any]
    are_all: bool = True


def find_schema(request: Request) -> dict[str, Any] | None:
    """The schema that a request's answer is to fit; None where it has none, or asks for several answers."""
    wanted = request.body.get("response_format")
    if not isinstance(wanted, dict) or wanted.get("type") != "json_schema" or request.choices > 1:
        return None
    named = wanted.get("json_schema")
    schema = named.get("schema") if isinstance(named, dict) else None
    return schema if isinstance(schema, dict) else None


def find_tools(request: Request) -> Offered:
    """The functions that a request offers, in whichever form it does."""
    schemas: dict[str, Any] = {}
    are_all = True
    for tool in _list(request.body, "tools"):
        function = tool.get("function") if isinstance(tool, dict) else None
        # A chat may have a tool as Messages writes it, too.
        described, schema = (function, "parameters") if function is not None else (tool, "input_schema")
        name = described.get("name") if isinstance(described, dict) else None
        if isinstance(name, str) and (function is not None or "input_schema" in described):
            schemas[name] = described.get(schema)
        else:
            are_all = False
    for function in _list(request.body, "functions"):
        if isinstance(function, dict) and isinstance(name := function.get("name"), str):
            schemas[name] = function.get("parameters")
    return Offered(schemas, are_all)


def _list(body: Mapping[str, Any], field: str) -> list[Any]:
    found = body.get(field)
    return found if isinstance(found, list) else []


def breaks_schema(text: str, schema: dict[str, Any]) -> bool:
    """Whether a JSON text does not fit a schema (draft 2020-12). False also where that cannot be told: it is no JSON or
    no schema, takes too many steps, or refers to something elsewhere. Takes up to half a second: call it beside the
    loop."""
    return _breaks_one([(bare_json(text), schema)])


def breaks_tools(said: Said, offered: Offered) -> bool:
    """Whether an answer calls a function that it was not offered, or with arguments that do not fit the function's
    schema. False also where that cannot be told, as in ``breaks_schema``: all calls together take no more steps and no
    more time than one text."""
    calls = []
    for name, arguments in zip(said.tool_names, said.tool_arguments, strict=False):
        if name not in offered.schemas:
            if name and offered.schemas and offered.are_all:
                return True
        elif isinstance(schema := offered.schemas[name], dict):
            calls.append((arguments, schema))
    return _breaks_one(calls)


def _breaks_one(pairs: Sequence[tuple[str, dict[str, Any]]]) -> bool:
    """Whether a text does not fit its schema, of so many that are bounded as a whole."""
    schemas = {id(schema): schema for _, schema in pairs}
    if sum(len(text) for text, _ in pairs) > MOST_CHARACTERS or not _can_be_read(schemas.values()):
        return False
    validators: dict[int, Any] = {}
    _left.set(MOST_STEPS)
    for text, schema in pairs:
        try:
            _spend(1)
            if id(schema) not in validators:
                validators[id(schema)] = _make_validator(schema)
            if not validators[id(schema)].is_valid(json.loads(text)):
                return True
        except _TooMuch:
            return False
        except Exception:  # noqa: BLE001, S112 - whatever is in a caller's schema, the call goes on
            continue
    return False


def _can_be_read(schemas: Iterable[dict[str, Any]]) -> bool:
    """Whether schemas are short enough, and without what cannot be told of them. Writing a long one as JSON to see how
    long it is would keep the interpreter from everybody else's calls."""
    left, parts = MOST_SCHEMA_CHARACTERS, list[Any](schemas)
    while parts:
        part = parts.pop()
        left -= 1 + (len(part) if isinstance(part, str | list | dict) else 0)
        if left < 0 or (isinstance(part, dict) and _UNKNOWABLE in part):
            return False
        if isinstance(part, dict):
            parts.extend(part)
            parts.extend(part.values())
        elif isinstance(part, list):
            parts.extend(part)
    return True


def _make_validator(schema: dict[str, Any]) -> Any:
    from referencing import Registry  # noqa: PLC0415 - as below

    # Nothing is fetched: a reference leads to somewhere inside of the schema, or nowhere.
    return _make_class()(schema, registry=Registry())


@cache
def _make_class() -> Any:
    # A third of a second and 13 MB, which those pay whose routes need it.
    from jsonschema import validators  # noqa: PLC0415

    draft = validators.Draft202012Validator
    bounded = {name: _count(name, check) for name, check in draft.VALIDATORS.items()}
    return validators.extend(draft, bounded | dict.fromkeys(_UNBOUNDED, _hold))


def _count(name: str, check: _Check) -> _Check:
    def step(validator: Any, keyword: Any, value: Any, schema: Any) -> Iterator[Any] | None:
        if name in _ONCE_FLAGS and isinstance(keyword, bool):
            return None
        _spend(1 + sum(len(each) for each in (keyword, value) if isinstance(each, list | dict)))
        return check(validator, keyword, value, schema)

    return step


def _spend(steps: int) -> None:
    left = _left.get() - steps
    if left < 0:
        raise _TooMuch
    _left.set(left)


def _hold(validator: Any, keyword: Any, value: Any, schema: Any) -> None:
    """Says nothing against it."""
