"""What every operation of the OpenAPI document shares: the problems that it answers, and the key that makes a POST safe
to send again."""

from typing import Any, Final

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import ResolvedComponent
from drf_spectacular.utils import Direction, OpenApiParameter

from tenants.api.etags import EDITS, IF_MATCH
from tenants.api.idempotency import HEADER
from tenants.api.problems import CONTENT_TYPE

_PROBLEM: Final = {
    "type": "object",
    "description": "What went wrong, as RFC 9457 has it.",
    "required": ["type", "title", "status", "code", "detail"],
    "properties": {
        "type": {"type": "string", "example": "urn:costhub:problem:invalid_field"},
        "title": {"type": "string", "description": "the status in words"},
        "status": {"type": "integer"},
        "code": {"type": "string", "description": "which problem it is, for programs"},
        "detail": {"type": "string", "description": "what was wrong, and what to do, for people"},
        "errors": {
            "type": "array",
            "description": "the fields at fault",
            "items": {
                "type": "object",
                "required": ["field", "message"],
                "properties": {"field": {"type": "string"}, "message": {"type": "string"}},
            },
        },
    },
}
_ALWAYS: Final = {
    "400": "The request cannot be read, or a field or a query parameter makes no sense.",
    "401": "There is no valid admin token and no session.",
    "403": "Whoever asks may not do this.",
    "404": "A row that the path, a query parameter or a field names is not there.",
    "406": "Something else than JSON was asked for.",
    "429": "This credential asks too often: come again after `Retry-After` seconds.",
    "503": "The database, or what remembers keys of idempotency, cannot be reached at the moment.",
}
_OF_A_BODY: Final = {
    "409": "It contradicts what is there: a name is taken, or a key of idempotency was used with another body.",
    "413": "The body is too large.",
    "415": "The body is not JSON.",
}


class ProblemSchema(AutoSchema):
    """An operation with its problems."""

    def get_override_parameters(self) -> list[Any]:
        """A POST takes a key of idempotency, an edit the tag of what was seen."""
        given = super().get_override_parameters()
        if self._is_guarded():
            described = (
                "The `ETag` of what you have seen: if somebody has changed it since, nothing happens and the answer is"
                " 412. Without it, what is there is changed whatever it is."
            )
            tag = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"}
            return [*given, OpenApiParameter(IF_MATCH, tag, OpenApiParameter.HEADER, description=described)]
        if self.method != "POST":
            return given
        description = (
            "A text of your own, 1 to 255 visible ASCII characters: a POST that is sent twice with it happens once."
        )
        pattern = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"}
        return [*given, OpenApiParameter(HEADER, pattern, OpenApiParameter.HEADER, description=description)]

    def _is_guarded(self) -> bool:
        """Whether ``If-Match`` means something: on edits of rows that are shown with an ``ETag``."""
        return getattr(self.view, "action", None) in EDITS

    def _get_response_bodies(self, direction: Direction = "response") -> dict[str, Any]:
        answers: dict[str, Any] = super()._get_response_bodies(direction)
        problem = ResolvedComponent(  # type: ignore[no-untyped-call]
            name="Problem", type=ResolvedComponent.SCHEMA, schema=_PROBLEM, object="Problem"
        )
        self.registry.register_on_missing(problem)
        problems = _ALWAYS | ({} if self.method == "GET" else _OF_A_BODY)
        if self._is_guarded():
            problems = problems | {"412": "It is not what `If-Match` says any more."}
        content = {CONTENT_TYPE: {"schema": problem.ref}}
        return answers | {
            status: {"description": description, "content": content}
            for status, description in sorted(problems.items())
            if status not in answers
        }
