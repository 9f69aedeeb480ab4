"""The console's page of the management API: its OpenAPI document, to read."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from costhub.console.frame import frame
from costhub.console.sign_in import member_page
from tenants.access import Actor
from tenants.api.document import read_document

Json = Mapping[str, Any]

METHODS: Final = ("get", "post", "put", "patch", "delete")
_PREFIX: Final = "/api/v1/"


@dataclass(frozen=True, slots=True)
class Property:
    """A parameter, or a field of a body. ``kind`` is what may stand in it, in words; ``example`` is JSON."""

    name: str
    kind: str
    is_required: bool
    text: str
    example: str = ""


@dataclass(frozen=True, slots=True)
class Operation:
    """A method of a path, with what it takes and gives."""

    method: str
    path: str
    title: str
    text: str
    parameters: tuple[Property, ...]
    body: tuple[Property, ...]
    answer: tuple[Property, ...]
    status: str

    @property
    def anchor(self) -> str:
        """Its place on the page."""
        return f"{self.method}-{self.path}".lower().replace("/", "-").replace("{", "").replace("}", "")


@require_GET
@member_page
def api_reference(request: HttpRequest, actor: Actor) -> HttpResponse:
    """One resource's operations; without a name, the first one's."""
    resources = read_resources()
    chosen = request.GET.get("resource", "")
    name = chosen if chosen in resources else next(iter(resources))
    context: dict[str, Any] = {
        **frame(request, actor, "api-reference"),
        "names": list(resources),
        "name": name,
        "operations": resources[name],
        "error": f"There is no resource {chosen[:60]!r}." if chosen and chosen not in resources else "",
        "base": request.build_absolute_uri("/api/v1"),
    }
    return render(request, "console/api_reference.html", context, status=404 if context["error"] else 200)


@cache
def read_resources() -> Mapping[str, tuple[Operation, ...]]:
    """Operations by resource, the first part of their path, in the order of the alphabet."""
    document = read_document()
    found: dict[str, list[Operation]] = {}
    for path, item in document["paths"].items():
        if path.startswith(_PREFIX):
            resource = path.removeprefix(_PREFIX).partition("/")[0]
            found.setdefault(resource, []).extend(_read(document, path, item))
    return {name: tuple(found[name]) for name in sorted(found)}


def _read(document: Json, path: str, item: Json) -> Iterator[Operation]:
    for method in METHODS:
        if method not in item:
            continue
        operation = item[method]
        first, _, rest = str(operation.get("description", "")).partition("\n")
        body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
        status = next((code for code in operation["responses"] if code.startswith("2")), "")
        answers = operation["responses"].get(status, {}).get("content", {})
        answer = answers.get("application/json", {}).get("schema", {})
        yield Operation(
            method=method.upper(),
            path=path.removeprefix("/api/v1"),
            title=first,
            text=rest.strip(),
            parameters=tuple(
                Property(
                    each["name"],
                    name_kind(each["schema"], document),
                    each.get("required", False),
                    each.get("description", ""),
                )
                for each in operation.get("parameters", [])
                if each["in"] != "header"
            ),
            body=tuple(list_properties(document, body)),
            answer=tuple(list_properties(document, answer)),
            status=status,
        )


def list_properties(document: Json, schema: Json) -> Iterator[Property]:
    """The fields of an object; those of the rows of a page, for a page."""
    found = follow(document, schema)
    if set(found.get("properties", {})) == {"data", "next"}:
        found = follow(document, found["properties"]["data"].get("items", {}))
    elif found.get("type") == "array":
        found = follow(document, found.get("items", {}))
    required = set(found.get("required", []))
    for name, each in found.get("properties", {}).items():
        text = each.get("description") or follow(document, each).get("description", "")
        shown = [json.dumps(value, ensure_ascii=False) for value in each.get("examples", ())]
        yield Property(name, name_kind(each, document), name in required, text, next(iter(shown), ""))


def follow(document: Json, schema: Json) -> Json:
    """The schema itself, for a reference to one."""
    name = str(schema.get("$ref", "")).rpartition("/")[2]
    found: Json = document["components"]["schemas"].get(name, {}) if name else schema
    return found


def name_kind(schema: Json, document: Json) -> str:
    """What may stand there: a type, a format, or the values of an enumeration."""
    if values := schema.get("enum"):
        return " or ".join("null" if value is None else str(value) or "empty" for value in values)
    if several := schema.get("oneOf") or schema.get("anyOf") or schema.get("allOf"):
        return " or ".join(dict.fromkeys(name_kind(one, document) for one in several))
    if reference := str(schema.get("$ref", "")).rpartition("/")[2]:
        found = follow(document, schema)
        return name_kind(found, document) if found.get("enum") else reference
    kind = schema.get("type", "anything")
    if isinstance(kind, list):
        return " or ".join(str(schema.get("format", one)) if one == "string" else one for one in kind)
    if kind == "array":
        return f"list of {name_kind(schema.get('items', {}), document)}"
    # How a number is stored in a computer is nobody's concern here.
    return str(kind) if kind in {"integer", "number"} else str(schema.get("format") or kind)
