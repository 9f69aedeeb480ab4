"""What clients are generated from: the management API's OpenAPI document, said shortly, for Python and TypeScript."""

import hashlib
import json
from typing import Any, Final

from drf_spectacular.generators import SchemaGenerator

#: method and path below /api/v1 -> the name of the function in Python, where it is another than the document's
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
    """The document as Python's client is generated from it: the short one, with the names of ``OPERATIONS``, and each
    operation in the room that its path begins with. Only a refusal is read as a problem: what a server before ours
    says, as a 502, need not be JSON."""
    document = make_short_document()
    for path, item in document["paths"].items():
        short = path.removeprefix("/api/v1/")
        for method, operation in item.items():
            name = OPERATIONS.get((method, short), operation["operationId"])
            operation["responses"]["4XX"] = operation["responses"].pop("default")
            operation |= {"operationId": name, "tags": [short.split("/")[0]]}
    return document


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
