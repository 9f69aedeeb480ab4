"""What clients are generated from: of the management API's OpenAPI document the part that ``costhub admin`` uses, for
Python; all of it, said shortly, for TypeScript."""

import hashlib
import json
from collections.abc import Iterator
from typing import Any, Final

from drf_spectacular.generators import SchemaGenerator

#: method and path below /api/v1 -> the name of the client's function
OPERATIONS: Final = {
    ("get", "projects"): "list_projects",
    ("get", "keys"): "list_keys",
    ("post", "keys"): "create_key",
    ("post", "keys/{id}/rotate"): "rotate_key",
    ("post", "keys/{id}/revoke"): "revoke_key",
    ("get", "budgets"): "list_budgets",
    ("post", "budgets"): "create_budget",
    ("get", "budgets/{id}"): "get_budget",
    ("patch", "budgets/{id}"): "update_budget",
    ("get", "budget-requests"): "list_budget_requests",
    ("post", "budget-requests/{id}/grant"): "grant_budget_request",
    ("post", "budget-requests/{id}/deny"): "deny_budget_request",
    ("get", "spend"): "get_spend",
}
_GOOD: Final = ("2", "3")
_PROBLEM: Final = {
    "description": "What was wrong, and what to do.",
    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
}


def make_document() -> dict[str, Any]:
    """The document of these operations, with the schemas that they need and no others."""
    whole: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
    paths: dict[str, Any] = {}
    for (method, short), name in OPERATIONS.items():
        path = f"/api/v1/{short}"
        operation = whole["paths"][path][method] | {"operationId": name, "tags": [short.split("/")[0]]}
        paths.setdefault(path, {})[method] = operation
    schemas = whole["components"]["schemas"]
    needed: set[str] = set()
    waiting = set(_references(paths))
    while waiting:
        name = waiting.pop()
        needed.add(name)
        waiting |= set(_references(schemas[name])) - needed
    return {
        "openapi": whole["openapi"],
        "info": whole["info"],
        "paths": paths,
        "components": {"schemas": {name: schemas[name] for name in sorted(needed)}},
    }


def make_short_document() -> dict[str, Any]:
    """The whole document, with every refusal of an operation as one, because all of them are problems; and without
    examples, which types do not show."""
    whole: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
    for item in whole["paths"].values():
        for operation in item.values():
            answers = operation["responses"]
            operation["responses"] = {code: told for code, told in answers.items() if code.startswith(_GOOD)}
            operation["responses"]["default"] = _PROBLEM
    for schema in whole["components"]["schemas"].values():
        for told in schema.get("properties", {}).values():
            told.pop("examples", None)
    return whole


def fingerprint_of(document: dict[str, Any]) -> str:
    """What tells two documents apart."""
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def _references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if isinstance(reference := part.get("$ref"), str):
            yield reference.rsplit("/", 1)[1]
        for value in part.values():
            yield from _references(value)
    elif isinstance(part, list):
        for item in part:
            yield from _references(item)
