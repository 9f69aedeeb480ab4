"""The management API's document says what everything in it means, and shows a value that could stand there."""

from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker

from costhub.console.described import name_thing, shows_itself
from costhub.console.words import EXAMPLES, PARAMETERS, PROPERTIES
from tenants.api.document import read_document

Json = dict[str, Any]


def list_properties() -> Iterator[tuple[str, str, Json]]:
    for schema, told in read_document()["components"]["schemas"].items():
        for name, found in told.get("properties", {}).items():
            yield schema, name, found


def list_parameters() -> Iterator[tuple[str, Json]]:
    for path, item in read_document()["paths"].items():
        for method, operation in item.items():
            for parameter in operation.get("parameters", ()):
                yield f"{method} {path} {parameter['name']}", parameter


def test_every_property_parameter_and_operation_is_described() -> None:
    """A new field says what it means where it is declared, or in costhub/console/words.py."""
    missing = [f"{schema}.{name}" for schema, name, told in list_properties() if not told.get("description")]
    missing += [name for name, told in list_parameters() if not told.get("description")]
    missing += [
        f"{method} {path}"
        for path, item in read_document()["paths"].items()
        for method, operation in item.items()
        if not operation.get("description")
    ]
    assert missing == []


def test_every_property_has_an_example_that_it_would_take() -> None:
    components = read_document()["components"]
    wrong = []
    for schema, name, told in list_properties():
        if "examples" not in told and not shows_itself(told):
            wrong.append(f"{schema}.{name} has no example")
        check = Draft202012Validator({**told, "components": components}, format_checker=FormatChecker())
        wrong += [
            f"{schema}.{name}: {error.message}"
            for example in told.get("examples", ())
            for error in check.iter_errors(example)
        ]
    assert wrong == []


def test_every_reference_leads_somewhere() -> None:
    """A client is generated from the document: a name that nothing has would break it."""
    schemas = read_document()["components"]["schemas"]

    def references(part: Any) -> Iterator[str]:
        if isinstance(part, dict):
            if isinstance(part.get("$ref"), str):
                yield part["$ref"]
            for value in part.values():
                yield from references(value)
        elif isinstance(part, list):
            for value in part:
                yield from references(value)

    found = set(references(read_document()))
    assert [one for one in found if one.removeprefix("#/components/schemas/") not in schemas] == []
    assert len(found) > 100


def test_no_text_is_of_something_that_is_not_there() -> None:
    known = {name for _, name, _ in list_properties()}
    known |= {f"{name_thing(schema)}.{name}" for schema, name, _ in list_properties()}
    assert sorted(PROPERTIES.keys() - known) == []
    assert sorted(EXAMPLES.keys() - known) == []
    assert sorted(PARAMETERS.keys() - {told["name"] for _, told in list_parameters()}) == []


@pytest.mark.parametrize(
    ("schema", "thing"),
    [
        ("BudgetAnswer", "Budget"),
        ("NewBudget", "Budget"),
        ("PatchedBudgetChanges", "Budget"),
        ("RoiBody", "Roi"),
        ("Target", "Target"),
    ],
)
def test_bodies_of_one_thing_share_its_words(schema: str, thing: str) -> None:
    assert name_thing(schema) == thing
