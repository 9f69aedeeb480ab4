"""/scim/v2: an organisation's directory adds people, and takes them out again (RFC 7643, RFC 7644).

Users, as members of the token's organisation, and their roles as groups (``scim_groups``). ``active: false`` ends a
member's access and every session of theirs, and single sign-on does not undo it. ``DELETE`` does the same, because a
directory that deletes somebody means that they are out, while what they did stays in the audit log. The bearer is an
admin token with ``write_members``.
"""

import re
from typing import Any, Final

from django.db.models import QuerySet
from django.urls import path
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.request import Request
from rest_framework.response import Response

from costhub.lib.errors import InvalidField, NotFound
from tenants.access import access_row
from tenants.actions.orgs import add_member, suspend_member
from tenants.api.authentication import BearerAuthentication
from tenants.api.base import ManagementView
from tenants.api.parsing import StrictJsonParser
from tenants.api.problems import answer_problem
from tenants.choices import Permission, Role
from tenants.models import Membership
from tenants.selectors import list_members

USER: Final = "urn:ietf:params:scim:schemas:core:2.0:User"
LIST: Final = "urn:ietf:params:scim:api:messages:2.0:ListResponse"
ERROR: Final = "urn:ietf:params:scim:api:messages:2.0:Error"
CONFIG: Final = "urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"
CONTENT_TYPE: Final = "application/scim+json"
MAX_COUNT: Final = 200
_FILTER: Final = re.compile(r'\s*(?:userName|emails\.value|emails)\s+eq\s+"([^"\\]{1,254})"\s*', re.IGNORECASE)


class ScimParser(StrictJsonParser):
    """JSON under SCIM's own name."""

    media_type = CONTENT_TYPE


class AnyAccept(BaseContentNegotiation):
    """Directories ask for all kinds of types, and get SCIM."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        """SCIM's JSON, or plain JSON."""
        name = (request.content_type or "").partition(";")[0].strip().lower()
        return next((parser for parser in parsers if parser.media_type == name), None)

    def select_renderer(self, request: Request, renderers: Any, format_suffix: str | None = None) -> Any:
        """The one that there is."""
        return renderers[0], CONTENT_TYPE


class ScimView(ManagementView):
    """What SCIM's paths have in common. Not part of the management API's document: SCIM describes itself."""

    schema = None
    authentication_classes = [BearerAuthentication]
    parser_classes = [ScimParser, StrictJsonParser]
    content_negotiation_class = AnyAccept

    def check_caller(self) -> None:
        """Whoever may not change members has no business here."""
        self.actor.check(Permission.WRITE_MEMBERS)

    def get_exception_handler(self) -> Any:
        """SCIM's own errors, with our sentences."""
        return _answer_error

    def rows(self) -> QuerySet[Membership]:
        """Members of the token's organisation."""
        return list_members(self.actor)


class UsersView(ScimView):
    """/scim/v2/Users."""

    known_parameters = frozenset({"filter", "startIndex", "count", "attributes", "excludedAttributes"})

    def get(self, request: Request) -> Response:
        """Members, oldest first; ``filter`` knows ``userName eq "..."``."""
        rows = self.rows().order_by("created_at", "id")
        if wanted := request.query_params.get("filter"):
            found = _FILTER.fullmatch(wanted)
            if found is None:
                raise InvalidField('The only filter here is userName eq "somebody@example.com".', field="filter")
            rows = rows.filter(user__email=found[1].lower())
        start = _read_count(request, "startIndex", 1, 10**9)
        count = _read_count(request, "count", 100, MAX_COUNT)
        page = rows[start - 1 : start - 1 + count] if count else []
        shown = [show_user(row) for row in page]
        return scim_answer(
            {
                "schemas": [LIST],
                "totalResults": rows.count(),
                "startIndex": start,
                "itemsPerPage": len(shown),
                "Resources": shown,
            }
        )

    def post(self, request: Request) -> Response:
        """Make somebody a member: a viewer, until somebody here gives them another role."""
        body = read_body(request)
        email = _read_address(body)
        active = _read_active(body.get("active", True))
        found = self.rows().filter(user__email=email).first()
        if found is not None and found.suspended_at is not None:
            return scim_answer(
                show_user(suspend_member(actor=self.actor, membership=found, is_suspended=not active)), 201
            )
        membership = add_member(actor=self.actor, email=email, role=Role.VIEWER, is_mailed=False)
        if not active:
            suspend_member(actor=self.actor, membership=membership, is_suspended=True)
        return scim_answer(show_user(membership), 201)


class UserView(ScimView):
    """/scim/v2/Users/{id}."""

    def get(self, request: Request, pk: str) -> Response:
        """One member."""
        return scim_answer(show_user(self._access(pk)))

    def put(self, request: Request, pk: str) -> Response:
        """Only ``active`` can change: addresses belong to people, roles to this organisation's own admins."""
        body = read_body(request)
        membership = self._access(pk)
        if _read_address(body) != membership.user.email:
            raise InvalidField(
                "An address cannot be changed here: add the new one, remove the old one.", field="userName"
            )
        return self._set_active(membership, _read_active(body.get("active", True)))

    def patch(self, request: Request, pk: str) -> Response:
        """``replace`` of ``active``; of other attributes nothing is kept, so that what is sent of them is let pass."""
        body = read_body(request)
        membership = self._access(pk)
        operations = body.get("Operations")
        if not isinstance(operations, list) or len(operations) > 100:
            raise InvalidField("Give Operations, a list of at most 100.", field="Operations")
        active = membership.suspended_at is None
        for operation in operations:
            active = _read_operation(operation, active)
        return self._set_active(membership, active)

    def delete(self, request: Request, pk: str) -> Response:
        """End a member's access. The membership stays, suspended."""
        self._set_active(self._access(pk), False)
        return Response(status=204)

    def _access(self, pk: str) -> Membership:
        try:
            return access_row(self.rows(), self.actor, pk)
        except NotFound as error:
            raise NotFound("There is no such user.") from error

    def _set_active(self, membership: Membership, active: bool) -> Response:
        return scim_answer(show_user(suspend_member(actor=self.actor, membership=membership, is_suspended=not active)))


class ServiceProviderConfigView(ScimView):
    """/scim/v2/ServiceProviderConfig: what of SCIM there is."""

    def get(self, request: Request) -> Response:
        """Users and groups, their patching, and one filter for each."""
        no = {"supported": False}
        return scim_answer(
            {
                "schemas": [CONFIG],
                "patch": {"supported": True},
                "bulk": no | {"maxOperations": 0, "maxPayloadSize": 0},
                "filter": {"supported": True, "maxResults": MAX_COUNT},
                "changePassword": no,
                "sort": no,
                "etag": no,
                "authenticationSchemes": [
                    {
                        "type": "oauthbearertoken",
                        "name": "Admin token",
                        "description": "An admin token with write_members, as a bearer.",
                    }
                ],
            }
        )


def show_user(membership: Membership) -> dict[str, Any]:
    """A member as SCIM shows a user."""
    email = membership.user.email
    return {
        "schemas": [USER],
        "id": str(membership.pk),
        "userName": email,
        "emails": [{"value": email, "primary": True}],
        "active": membership.suspended_at is None,
        "roles": [{"value": membership.role}],
        "meta": {
            "resourceType": "User",
            "created": membership.created_at.isoformat(),
            "location": f"/scim/v2/Users/{membership.pk}",
        },
    }


def scim_answer(body: dict[str, Any], status: int = 200) -> Response:
    """An answer under SCIM's own name."""
    return Response(body, status=status, content_type=CONTENT_TYPE)


def _answer_error(error: Exception, context: dict[str, Any]) -> Response | None:
    answer = answer_problem(error, context)
    if answer is None:
        return None
    problem: dict[str, Any] = answer.data
    kinds = {400: "invalidValue", 409: "uniqueness"}
    kind = {"scimType": kinds[answer.status_code]} if answer.status_code in kinds else {}
    answer.data = {"schemas": [ERROR], "status": str(answer.status_code), "detail": problem["detail"], **kind}
    answer.content_type = CONTENT_TYPE
    return answer


def read_body(request: Request) -> dict[str, Any]:
    """The JSON object that was sent. Raises InvalidField."""
    body = request.data
    if not isinstance(body, dict):
        raise InvalidField("Send a JSON object.")
    return body


def _read_address(body: dict[str, Any]) -> str:
    name = body.get("userName")
    if not isinstance(name, str) or not re.fullmatch(r"[^@\s]{1,64}@[^@\s]{1,189}", name):
        raise InvalidField("Give userName, the person's e-mail address.", field="userName")
    return name.lower()


def _read_active(value: Any) -> bool:
    # Some directories send the word.
    if isinstance(value, str) and value.lower() in {"true", "false"}:
        return value.lower() == "true"
    if not isinstance(value, bool):
        raise InvalidField("Give active as true or false.", field="active")
    return value


def _read_operation(operation: Any, active: bool) -> bool:
    if not isinstance(operation, dict) or not isinstance(operation.get("op"), str):
        raise InvalidField("Each operation is an object with op, and mostly path and value.", field="Operations")
    if operation["op"].lower() not in {"add", "replace", "remove"}:
        raise InvalidField("An op is add, replace or remove.", field="Operations")
    target, value = operation.get("path"), operation.get("value")
    if target == "active":
        return _read_active(value)
    if target is None and isinstance(value, dict) and "active" in value:
        return _read_active(value["active"])
    return active


def _read_count(request: Request, name: str, default: int, most: int) -> int:
    raw = request.query_params.get(name)
    if raw is None:
        return default
    if not re.fullmatch(r"[0-9]{1,9}", raw, re.ASCII):
        raise InvalidField("Give a whole number.", field=name)
    low = 1 if name == "startIndex" else 0
    return max(low, min(int(raw), most))


urlpatterns = [
    path("Users", UsersView.as_view(), name="scim-users"),
    path("Users/<str:pk>", UserView.as_view(), name="scim-user"),
    path("ServiceProviderConfig", ServiceProviderConfigView.as_view(), name="scim-config"),
]
