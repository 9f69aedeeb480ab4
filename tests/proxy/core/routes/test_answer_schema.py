"""Whether an answer fits the schema that was asked for: what does not is told, and no schema takes for ever."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.core.routes import answer_schema
from proxy.core.routes.answer_schema import (
    MOST_CHARACTERS,
    MOST_SCHEMA_CHARACTERS,
    Offered,
    breaks_schema,
    breaks_tools,
    find_schema,
    find_tools,
)
from proxy.core.routes.said import Said
from tests.proxy.core.examples import make_chat

WEATHER: dict[str, Any] = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "degrees": {"type": "integer", "minimum": -90}},
    "required": ["city", "degrees"],
    "additionalProperties": False,
}
TREE = {"$defs": {"node": {"type": "object", "additionalProperties": {"$ref": "#/$defs/node"}}}, "$ref": "#/$defs/node"}


def doubling(levels: int) -> dict[str, Any]:
    """Each level asks twice for the next."""
    parts: dict[str, Any] = {f"d{level}": {"allOf": [{"$ref": f"#/$defs/d{level + 1}"}] * 2} for level in range(levels)}
    return {"$defs": parts | {f"d{levels}": {"type": "integer"}}, "$ref": "#/$defs/d0"}


@pytest.mark.parametrize(
    ("text", "schema", "breaks"),
    [
        ('{"city": "Oslo", "degrees": -3}', WEATHER, False),
        ('```json\n{"city": "Oslo", "degrees": -3}\n```', WEATHER, False),
        ('{"city": "Oslo"}', WEATHER, True),
        ('{"city": "Oslo", "degrees": "cold"}', WEATHER, True),
        ('{"city": "Oslo", "degrees": -91}', WEATHER, True),
        ('{"city": "Oslo", "degrees": 3, "wind": 4}', WEATHER, True),
        ('["Oslo", 3]', WEATHER, True),
        ('{"a": {"b": {}}}', TREE, False),
        ('{"a": {"b": 1}}', TREE, True),
        ("3", doubling(5), False),
        ('"three"', doubling(5), True),
    ],
)
def test_what_does_not_fit_is_told(text: str, schema: dict[str, Any], breaks: bool) -> None:
    assert breaks_schema(text, schema) is breaks


@pytest.mark.parametrize(
    ("text", "schema"),
    [
        ("no JSON", WEATHER),
        ('"three"', {"type": 7}),
        ('"three"', {"$ref": "#"}),
        ('"three"', {"$ref": "#/nowhere"}),
        # Nothing is fetched: the tests' own sockets would say so.
        ('"three"', {"$ref": "http://192.0.2.1/schema.json"}),
        ("3", doubling(60)),
        ("[" * 5_000 + "]" * 5_000, {"items": {"$ref": "#"}}),
        (json.dumps(list(range(30_000))), {"items": {"enum": list(range(20_000, 0, -1))}}),
        (f'"{"a" * 40}!"', {"type": "string", "pattern": "^(a+)+$"}),
        ('{"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!": 1}', {"patternProperties": {"^(a+)+$": {"type": "string"}}}),
        (json.dumps([{"a": number} for number in range(15_000)]), {"uniqueItems": True}),
        (json.dumps("a" * MOST_CHARACTERS), {"type": "integer"}),
        ("3", {"type": "string", "description": "a" * MOST_CHARACTERS}),
        ("3", {"type": "string", "examples": [0] * MOST_SCHEMA_CHARACTERS}),
        ("3", {"type": "string", "default": json.loads("[" * 900 + "]" * 900), "$comment": "a" * 32_000}),
        # of a draft in which it said how the minimum is meant
        ("1", {"type": "integer", "minimum": 0, "exclusiveMinimum": True}),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_cannot_be_told_or_would_take_too_long_is_let_pass(text: str, schema: dict[str, Any]) -> None:
    assert breaks_schema(text, schema) is False


def test_steps_are_what_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = json.dumps([{"city": "Oslo", "degrees": 3}] * 50 + [{}])
    schema = {"type": "array", "items": WEATHER}
    assert breaks_schema(answer, schema) is True
    monkeypatch.setattr(answer_schema, "MOST_STEPS", 500)
    assert breaks_schema(answer, schema) is False


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_whatever_is_given_for_a_schema_breaks_nothing(value: Any) -> None:
    schema = value if isinstance(value, dict) else {"properties": value, "items": value, "anyOf": value, "$ref": value}
    assert breaks_schema('{"a": [1]}', schema) in {True, False}


@pytest.mark.parametrize(
    ("fields", "schema"),
    [
        ({"response_format": {"type": "json_schema", "json_schema": {"name": "w", "schema": WEATHER}}}, WEATHER),
        ({"response_format": {"type": "json_schema", "json_schema": {"name": "w", "schema": WEATHER}}, "n": 2}, None),
        ({"response_format": {"type": "json_schema", "json_schema": {"name": "w"}}}, None),
        ({"response_format": {"type": "json_object"}}, None),
        ({}, None),
    ],
)
def test_which_schema_is_asked_for(fields: dict[str, Any], schema: dict[str, Any] | None) -> None:
    assert find_schema(make_chat(**fields)) == schema


def test_steps_are_counted_by_what_is_looked_at() -> None:
    """A hundred looks at a thousand properties are a hundred thousand."""
    answer = json.dumps({f"p{number}": number for number in range(1_000)})
    assert breaks_schema(answer, {"allOf": [{"additionalProperties": True}] * 5 + [{"type": "array"}]})
    assert not breaks_schema(answer, {"allOf": [{"additionalProperties": True}] * 100 + [{"type": "array"}]})


def call(*calls: tuple[str, str]) -> Said:
    return Said("", tuple(arguments for _, arguments in calls), (), tuple(name for name, _ in calls))


@pytest.mark.parametrize(
    ("said", "breaks"),
    [
        (call(("weather", '{"city": "Oslo", "degrees": 3}')), False),
        (call(("weather", '{"city": "Oslo"}')), True),
        (call(("weather", '{"city": "Oslo", "degrees": "cold"}')), True),
        # A fence is no JSON to who reads arguments, which another check tells.
        (call(("weather", '```json\n{"city": "Oslo"}\n```')), False),
        (call(("weather", '{"city": ')), False),
        (call(("stop", '{"whatever": 1}')), False),
        (call(("wether", '{"city": "Oslo", "degrees": 3}')), True),
        (call(("", '{"city": 3}')), False),
        (call(("weather", '{"city": "Oslo", "degrees": 3}'), ("weather", '{"city": 3}')), True),
        (call(("weather", json.dumps({"city": "a" * MOST_CHARACTERS}))), False),
        (Said("", ('{"city": 3}',)), False),
    ],
)
def test_calls_of_tools_that_do_not_fit_are_told(said: Said, breaks: bool) -> None:
    assert breaks_tools(said, Offered({"weather": WEATHER, "stop": None})) is breaks


def test_a_name_is_wrong_only_where_all_that_may_be_called_is_known() -> None:
    said = call(("search", "{}"))
    assert breaks_tools(said, Offered({"weather": WEATHER})) is True
    assert breaks_tools(said, Offered({"weather": WEATHER}, are_all=False)) is False
    assert breaks_tools(said, Offered({})) is False


def test_all_calls_of_an_answer_have_the_steps_of_one() -> None:
    """A model may write ten thousand calls, each as dear to look at as one may be."""
    dear = {"allOf": [{"additionalProperties": True}] * 15}
    arguments = json.dumps({f"p{number}": number for number in range(1_000)})
    calls = [("f", arguments)] * 10 + [("g", "{}")]
    offered = Offered({"f": dear, "g": {"required": ["city"]}})
    assert breaks_tools(call(*calls[-2:]), offered) is True
    assert breaks_tools(call(*calls), offered) is False


@pytest.mark.parametrize(
    ("fields", "offered"),
    [
        ({}, Offered({})),
        ({"tools": [{"type": "function", "function": {"name": "f", "parameters": WEATHER}}]}, Offered({"f": WEATHER})),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, Offered({"f": None})),
        ({"functions": [{"name": "f", "parameters": WEATHER}, 7]}, Offered({"f": WEATHER})),
        ({"tools": [{"name": "f", "input_schema": WEATHER}]}, Offered({"f": WEATHER})),
        ({"tools": [{"type": "custom", "custom": {"name": "f"}}]}, Offered({}, are_all=False)),
        ({"tools": [{"type": "web_search"}, 5]}, Offered({}, are_all=False)),
        ({"tools": [{"type": "function", "function": 5}, {"function": {"name": 5}}]}, Offered({}, are_all=False)),
        ({"tools": {"a": 1}, "functions": "f"}, Offered({})),
    ],
)
def test_which_tools_are_offered(fields: dict[str, Any], offered: Offered) -> None:
    request = make_chat()
    assert find_tools(request._replace(body=request.body | fields)) == offered
