"""The management API's document in words: each property and parameter gets its text, and a value to look at."""

import re
from typing import Any, Final

from costhub.console.words import EXAMPLES, PARAMETERS, PROPERTIES

Json = dict[str, Any]

_BODY: Final = re.compile(r"^(?:New|Next|Patched)?(\w+?)(?:Answer|Changes|Body)?$")
_SHOWN: Final = ("$ref", "allOf", "anyOf", "oneOf", "enum", "const")
_BY_FORMAT: Final[dict[str, Any]] = {
    "uuid": "0199c0de-7a11-7b2c-8d3e-4f5061728394",
    "date-time": "2026-11-28T12:03:07Z",
    "date": "2026-11-28",
    "email": "ada@acme.example",
    "uri": "https://llm.acme.example/v1",
    "decimal": "12.5",
    "double": 0.97,
    "byte": "TWFu",
}
#: what nothing else may stand in
_STRICT: Final = frozenset({"uuid", "date-time", "date", "email"})
_BY_TYPE: Final[dict[str, Any]] = {"string": "search", "integer": 20, "number": 0.97, "boolean": False}


def describe(result: Json, generator: Any, request: Any, public: bool) -> Json:
    """A hook of drf-spectacular's: fill in what no field says of itself."""
    for schema, found in result["components"]["schemas"].items():
        for name, told in found.get("properties", {}).items():
            _describe(name_thing(schema), name, told)
    for item in result["paths"].values():
        for operation in item.values():
            for parameter in operation.get("parameters", ()):
                if not parameter.get("description") and (text := PARAMETERS.get(parameter["name"])):
                    parameter["description"] = text
    return result


def name_thing(schema: str) -> str:
    """What a schema is of: its name without what says which body it is."""
    found = _BODY.match(schema)
    return found[1] if found else schema


def shows_itself(told: Json) -> bool:
    """Whether a schema needs no example: one with values or properties of its own, and a list of such."""
    if told.get("type") == "array":
        return shows_itself(told.get("items", {}))
    return any(name in told for name in _SHOWN) or bool(told.get("properties"))


def _describe(thing: str, name: str, told: Json) -> None:
    text = PROPERTIES.get(f"{thing}.{name}") or PROPERTIES.get(name)
    if text and not told.get("description"):
        told["description"] = text
    if "example" in told:
        told["examples"] = [told.pop("example")]
    if "examples" not in told and not shows_itself(told) and (value := _find_example(thing, name, told)) is not None:
        told["examples"] = [value]


def _find_example(thing: str, name: str, told: Json) -> Any:
    if (exact := f"{thing}.{name}") in EXAMPLES:
        return EXAMPLES[exact]
    if told.get("format") in _STRICT:
        return _BY_FORMAT[told["format"]]
    if name in EXAMPLES:
        return EXAMPLES[name]
    kind = told.get("type")
    kind = next((one for one in kind if one != "null"), None) if isinstance(kind, list) else kind
    if kind == "array":
        one = _find_example(thing, name.removesuffix("s"), told.get("items", {}))
        return None if one is None else [one]
    if told.get("default") not in (None, ""):
        return told["default"]
    return _BY_FORMAT.get(str(told.get("format")), _BY_TYPE.get(str(kind)))
