"""Errors as RFC 9457 problem bodies. Nothing in one depends on who owns what: a foreign id and an unknown one read
alike."""

import sys
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any, Final

from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse, UnreadablePostError
from django.views.decorators.csrf import csrf_exempt
from django.views.defaults import server_error
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import set_rollback

from costhub.lib.errors import AppError, TooManyRequests

CONTENT_TYPE: Final = "application/problem+json"
MAX_ERRORS: Final = 20

_DETAILS: Final = {
    401: "Send an admin token as 'Authorization: Bearer cha_...', or sign in.",
    404: "There is no such path.",
    405: "This path does not know this method.",
    406: "This path answers in JSON only: accept application/json.",
    413: "The body is larger than this API accepts: 1 MB.",
    415: "Send JSON, with 'Content-Type: application/json'.",
}


class BodyTooLarge(AppError):
    """The request's body is larger than any that makes sense here."""

    code = "body_too_large"
    http_status = 413


def make_problem(status: int, code: str, detail: str, errors: list[dict[str, str]] | None = None) -> dict[str, Any]:
    """The body: ``errors`` name the fields at fault, each with a sentence."""
    body: dict[str, Any] = {
        "type": f"urn:costhub:problem:{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "code": code,
        "detail": detail,
    }
    if errors:
        body["errors"] = errors[:MAX_ERRORS]
    return body


def answer_problem(error: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's exception handler: every expected error becomes a problem, and undoes the request's transaction."""
    answer = answer_problem_only(error, context)
    if answer is not None:
        set_rollback()
    return answer


def answer_problem_only(error: Exception, context: dict[str, Any]) -> Response | None:
    """The same for a view that runs outside of a transaction, and so has none to undo."""
    body, headers = _describe(error)
    if body is None:
        return None
    return Response(body, status=body["status"], headers=headers, content_type=CONTENT_TYPE)


@csrf_exempt
def answer_unknown_path(request: HttpRequest) -> JsonResponse:
    """What every path below /api that does not exist answers."""
    return JsonResponse(make_problem(404, "not_found", _DETAILS[404]), status=404, content_type=CONTENT_TYPE)


def answer_failure(request: HttpRequest) -> HttpResponse:
    """Django's ``handler500``: our own fault, or that PostgreSQL is away, which lies outside of every view. Below /api
    a problem, elsewhere the page."""
    if not request.path.startswith("/api/"):
        return server_error(request)
    if isinstance(sys.exc_info()[1], OperationalError | InterfaceError):
        problem = make_problem(503, "database_unavailable", "The database cannot be reached at the moment. Try again.")
    else:
        problem = make_problem(500, "internal_error", "CostHub failed to do this. It is in our log.")
    return JsonResponse(problem, status=problem["status"], content_type=CONTENT_TYPE)


def _describe(error: Exception) -> tuple[dict[str, Any] | None, dict[str, str]]:
    headers: dict[str, str] = {}
    if isinstance(error, RequestDataTooBig):
        error = BodyTooLarge(_DETAILS[413])
    if isinstance(error, AppError):
        if isinstance(error, TooManyRequests):
            headers["Retry-After"] = str(error.seconds)
        errors = [{"field": error.field, "message": error.message}] if error.field else None
        return make_problem(error.http_status, error.code, error.message, errors), headers
    if isinstance(error, exceptions.ValidationError):
        errors = list(flatten(error.detail))
        detail = "; ".join(
            f"{each['field']}: {each['message']}" if each["field"] else each["message"] for each in errors[:3]
        )
        return make_problem(400, "invalid_field", detail, errors), headers
    if isinstance(error, exceptions.APIException):
        if challenge := getattr(error, "auth_header", None):
            headers["WWW-Authenticate"] = challenge
        specific = isinstance(
            error, exceptions.ParseError | exceptions.AuthenticationFailed | exceptions.PermissionDenied
        )
        detail = str(error.detail) if specific else _DETAILS.get(error.status_code, str(error.detail))
        return make_problem(error.status_code, str(error.default_code), detail), headers
    if isinstance(error, Http404):
        return make_problem(404, "not_found", _DETAILS[404]), headers
    if isinstance(error, PermissionDenied):
        return make_problem(403, "forbidden", "You may not do this."), headers
    if isinstance(error, SuspiciousOperation | UnreadablePostError):
        return make_problem(400, "bad_request", "The request cannot be read."), headers
    return None, headers


def flatten(detail: Any, path: str = "") -> Iterator[dict[str, str]]:
    """The single errors of a ValidationError's detail, each with the path of its field."""
    if isinstance(detail, dict):
        for name, inner in detail.items():
            inside = "" if name == "non_field_errors" else f"[{name}]" if isinstance(name, int) else f".{name}"
            yield from flatten(inner, (path + inside).lstrip("."))
    elif isinstance(detail, list):
        for item in detail:
            yield from flatten(item, path)
    else:
        yield {"field": path, "message": str(detail)}
