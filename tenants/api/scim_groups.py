"""/scim/v2/Groups: an organisation's roles, as the groups of its directory.

There is a group for each role, and no other: a directory links its groups to them by name. Whoever is put into a group
gets the role; whoever is taken out of the one that they have becomes a viewer, which is the least that a member may be.
Nobody is in two, because nobody has two roles. The token gives and takes the rights that it has itself, and no others.
"""

import re
from collections.abc import Iterable
from typing import Any, Final

from django.urls import path
from rest_framework.request import Request
from rest_framework.response import Response

from costhub.lib.errors import Conflict, InvalidField, NotFound
from tenants.access import access_row
from tenants.actions.orgs import set_role
from tenants.api.scim import LIST, ScimView, read_body, scim_answer
from tenants.choices import Role
from tenants.models import Membership

GROUP: Final = "urn:ietf:params:scim:schemas:core:2.0:Group"
#: members that one request may name
MOST_MEMBERS: Final = 1_000
_FILTER: Final = re.compile(r'\s*displayName\s+eq\s+"([^"\\]{1,254})"\s*', re.IGNORECASE)
#: how directories name one member who is to be taken out
_ONE: Final = re.compile(r'members\[\s*value\s+eq\s+"([^"\\]{1,100})"\s*\]', re.IGNORECASE)


class GroupsView(ScimView):
    """/scim/v2/Groups."""

    known_parameters = frozenset({"filter", "startIndex", "count", "attributes", "excludedAttributes"})

    def get(self, request: Request) -> Response:
        """The roles; ``filter`` knows ``displayName eq "..."``. There are few, so that all are one page."""
        roles = list(Role)
        if wanted := request.query_params.get("filter"):
            found = _FILTER.fullmatch(wanted)
            if found is None:
                raise InvalidField('The only filter here is displayName eq "developer".', field="filter")
            roles = [role for role in Role if role.value == found[1].lower()]
        without = "members" in request.query_params.get("excludedAttributes", "")
        shown = [self.show(role, with_members=not without) for role in roles]
        return scim_answer(
            {
                "schemas": [LIST],
                "totalResults": len(shown),
                "startIndex": 1,
                "itemsPerPage": len(shown),
                "Resources": shown,
            }
        )

    def post(self, request: Request) -> Response:
        """Refused: a group of a role is there already, and there are no others."""
        name = read_body(request).get("displayName")
        names = ", ".join(Role)
        raise Conflict(f"There is a group for each role ({names}) and no other: link {name!r:.100} to one of them.")

    def show(self, role: Role, *, with_members: bool) -> dict[str, Any]:
        """A role as SCIM shows a group."""
        return show_group(role, self.rows().filter(role=role.value).select_related("user") if with_members else ())


class GroupView(GroupsView):
    """/scim/v2/Groups/{id}: the id is the role's name."""

    http_method_names = ["get", "head", "options", "patch", "put", "delete"]
    known_parameters = frozenset({"attributes", "excludedAttributes"})

    def get(self, request: Request, pk: str) -> Response:  # type: ignore[override]
        """One role with its members."""
        without = "members" in request.query_params.get("excludedAttributes", "")
        return scim_answer(self.show(_find_role(pk), with_members=not without))

    def patch(self, request: Request, pk: str) -> Response:
        """Put people into the group, take them out, or name all who are in it. All of it, or nothing."""
        role, operations = _find_role(pk), read_body(request).get("Operations")
        if not isinstance(operations, list) or len(operations) > 100:
            raise InvalidField("Give Operations, a list of at most 100.", field="Operations")
        for operation in operations:
            self._apply(role, operation)
        return scim_answer(self.show(role, with_members=True))

    def put(self, request: Request, pk: str) -> Response:
        """Name all who are in the group."""
        role, body = _find_role(pk), read_body(request)
        if body.get("displayName", role.value) != role.value:
            raise InvalidField("A role's name cannot be changed.", field="displayName")
        self._replace(role, self._access(body.get("members", [])))
        return scim_answer(self.show(role, with_members=True))

    def delete(self, request: Request, pk: str) -> Response:
        """Refused: roles stay."""
        raise Conflict(f"The role {_find_role(pk)} stays: take its members out instead.")

    def _apply(self, role: Role, operation: Any) -> None:
        if not isinstance(operation, dict) or not isinstance(operation.get("op"), str):
            raise InvalidField("Each operation is an object with op, and mostly path and value.", field="Operations")
        op, target, value = operation["op"].lower(), operation.get("path"), operation.get("value")
        if op not in {"add", "replace", "remove"}:
            raise InvalidField("An op is add, replace or remove.", field="Operations")
        if target is None and isinstance(value, dict):
            target, value = ("members", value["members"]) if "members" in value else ("", None)
        one = _ONE.fullmatch(target) if isinstance(target, str) else None
        if one is not None and op == "remove":
            self._take_out(role, self._access([{"value": one[1]}]))
        elif target != "members":
            return  # its name, say: nothing of that is kept
        elif op == "add":
            self._put_in(role, self._access(value))
        elif op == "replace":
            self._replace(role, self._access(value))
        else:
            self._take_out(role, self._access(value) if value is not None else list(self.rows().filter(role=role)))

    def _access(self, members: Any) -> list[Membership]:
        if not isinstance(members, list) or len(members) > MOST_MEMBERS:
            raise InvalidField(f"Give members, a list of at most {MOST_MEMBERS:,}.", field="members")
        found = []
        for member in members:
            if not isinstance(member, dict) or not isinstance(member.get("value"), str):
                raise InvalidField("Each member is an object whose value is a user's id.", field="members")
            try:
                found.append(access_row(self.rows(), self.actor, member["value"]))
            except NotFound as error:
                raise InvalidField(f"There is no user {member['value']!r:.100}.", field="members") from error
        return found

    def _put_in(self, role: Role, people: Iterable[Membership]) -> None:
        for membership in people:
            if membership.role != role.value:
                set_role(actor=self.actor, membership=membership, role=role)

    def _take_out(self, role: Role, people: Iterable[Membership]) -> None:
        for membership in people:
            if membership.role == role.value and role is not Role.VIEWER:
                set_role(actor=self.actor, membership=membership, role=Role.VIEWER)

    def _replace(self, role: Role, people: list[Membership]) -> None:
        staying = {membership.pk for membership in people}
        self._put_in(role, people)
        self._take_out(role, list(self.rows().filter(role=role.value).exclude(pk__in=staying)))


def show_group(role: Role, members: Iterable[Membership]) -> dict[str, Any]:
    """A role with those who have it."""
    return {
        "schemas": [GROUP],
        "id": role.value,
        "displayName": role.value,
        "members": [
            {"value": str(row.pk), "display": row.user.email, "$ref": f"/scim/v2/Users/{row.pk}"} for row in members
        ],
        "meta": {"resourceType": "Group", "location": f"/scim/v2/Groups/{role.value}"},
    }


def _find_role(pk: str) -> Role:
    if pk not in set(Role):
        raise NotFound("There is no such group: there is one for each role.")
    return Role(pk)


urlpatterns = [
    path("Groups", GroupsView.as_view(), name="scim-groups"),
    path("Groups/<str:pk>", GroupView.as_view(), name="scim-group"),
]
