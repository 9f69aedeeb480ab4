"""Every endpoint of the management API, read from its own OpenAPI document, so that a new one is tested by itself."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any, cast

from asgiref.sync import async_to_sync
from drf_spectacular.generators import SchemaGenerator

METHODS = ("get", "post", "patch", "put", "delete")


@dataclass(frozen=True)
class Endpoint:
    """One method of one path below /api/v1. ``fields`` are the properties of its body."""

    method: str
    path: str
    parameters: tuple[str, ...]
    fields: dict[str, Any] = field(hash=False, compare=False)

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def resource(self) -> str:
        """The first part of the path."""
        return self.path.split("/")[1]

    @property
    def takes_id(self) -> bool:
        """Whether the path names a row."""
        return "{" in self.path

    def path_of(self, row_id: str) -> str:
        """The path with a row's id in it."""
        return self.path.replace("{id}", row_id).replace("{pk}", row_id).replace("{form}", "pdf")


@cache
def schema() -> dict[str, Any]:
    """The OpenAPI document."""
    document: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
    return document


@cache
def endpoints() -> tuple[Endpoint, ...]:
    """All of them."""
    return tuple(_read())


def _read() -> Iterator[Endpoint]:
    for path, item in schema()["paths"].items():
        if not path.startswith("/api/v1/"):
            continue
        for method in METHODS:
            if method in item:
                parameters = item[method].get("parameters", [])
                yield Endpoint(
                    method.upper(),
                    path.removeprefix("/api/v1"),
                    tuple(each["name"] for each in parameters if each["in"] == "query"),
                    _fields(item[method]),
                )


def _fields(operation: dict[str, Any]) -> dict[str, Any]:
    content = operation.get("requestBody", {}).get("content", {}).get("application/json")
    if content is None:
        return {}
    name = content["schema"]["$ref"].rsplit("/", 1)[1]
    fields: dict[str, Any] = schema()["components"]["schemas"][name].get("properties", {})
    return fields


def read_whole(answer: Any) -> bytes:
    """The body of an answer, also of one that is sent part by part."""
    if not answer.streaming:
        return cast("bytes", answer.content)
    if not answer.is_async:
        return b"".join(answer)

    async def join() -> bytes:
        return b"".join([part async for part in answer])

    return async_to_sync(join)()
