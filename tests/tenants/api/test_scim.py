"""A directory takes people out, and they are out at once."""

import json
from typing import Any

import pytest

from tenants.access import org_scope
from tenants.actions.tokens import create_token
from tenants.choices import Permission, Role
from tenants.models import Membership
from tests.world import Api, World, close_scopes, make_client, sign_in_now

BASE = "/scim/v2"


class Directory:
    """What an identity provider's provisioning sends."""

    def __init__(self, token: str) -> None:
        self.token = token

    def send(self, method: str, path: str, body: Any = None, raw: bytes = b"") -> tuple[int, Any]:
        close_scopes()
        answer = make_client().generic(
            method,
            f"{BASE}{path}",
            json.dumps(body).encode() if body is not None else raw,
            content_type="application/scim+json",
            headers={"Authorization": f"Bearer {self.token}", "Accept": "application/scim+json, */*"},
        )
        close_scopes()
        if answer.status_code != 204:
            assert answer["Content-Type"] == "application/scim+json"
        return answer.status_code, json.loads(answer.content) if answer.content else None


@pytest.fixture
def directory(world: World) -> Directory:
    with org_scope(world.acme.org.pk):
        made = create_token(
            actor=world.acme.owner, name="directory", role=Role.ADMIN, scopes=[Permission.WRITE_MEMBERS, *_VIEWERS]
        )
    return Directory(made.secret)


#: whoever makes viewers must hold what a viewer may
_VIEWERS = [Permission.READ]


def find(directory: Directory, email: str) -> dict[str, Any]:
    status, found = directory.send("GET", f'/Users?filter=userName%20eq%20"{email}"')
    assert (status, found["totalResults"]) == (200, 1)
    user: dict[str, Any] = found["Resources"][0]
    return user


def test_somebody_comes_goes_and_comes_back(world: World, directory: Directory) -> None:
    status, user = directory.send("POST", "/Users", {"userName": "Zoe@acme.example", "active": True})
    assert (status, user["userName"], user["active"], user["roles"]) == (
        201,
        "zoe@acme.example",
        True,
        [{"value": "viewer"}],
    )
    path = f"/Users/{user['id']}"
    off = {"Operations": [{"op": "Replace", "path": "active", "value": "False"}]}
    assert directory.send("PATCH", path, off) == (200, user | {"active": False})
    assert directory.send("GET", path)[1]["active"] is False
    assert directory.send("PUT", path, {"userName": "zoe@acme.example", "active": True})[1]["active"] is True
    assert directory.send("DELETE", path) == (204, None)
    assert directory.send("POST", "/Users", {"userName": "zoe@acme.example"})[1] == user


def test_who_is_taken_out_is_out_at_once(world: World) -> None:
    with org_scope(world.acme.org.pk):
        directory = Directory(create_token(actor=world.acme.owner, name="d", role=Role.ADMIN).secret)
    ben = Api(user=world.ben)
    page = make_client()
    sign_in_now(page, world.ben)
    assert ben.get("/keys").status_code == 200
    user = find(directory, "ben@acme.example")
    off = {"Operations": [{"op": "replace", "value": {"active": False}}]}
    assert directory.send("PATCH", f"/Users/{user['id']}", off)[0] == 200
    assert ben.get("/keys").status_code == 403
    close_scopes()
    assert page.get("/o/acme/").status_code == 404


def test_rights_hold_for_directories_too(world: World, directory: Directory) -> None:
    ada, ben = find(directory, "ada@acme.example"), find(directory, "ben@acme.example")
    for user in (ada, ben):
        assert directory.send("DELETE", f"/Users/{user['id']}")[0] == 403
    with org_scope(world.acme.org.pk):
        viewer = Directory(create_token(actor=world.acme.owner, name="v", role=Role.VIEWER).secret)
        owner = Directory(world.acme.admin_token)
    assert viewer.send("GET", "/Users")[0] == 403
    assert Directory("cha_x").send("GET", "/Users")[0] == 401
    status, problem = owner.send("DELETE", f"/Users/{ada['id']}")
    assert (status, problem["scimType"]) == (409, "uniqueness")
    assert Directory(world.mallcorp.admin_token).send("GET", f"/Users/{ben['id']}")[0] == 404


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/Users", {}),
        ("POST", "/Users", {"userName": "x"}),
        ("POST", "/Users", {"userName": 5}),
        ("POST", "/Users", []),
        ("POST", "/Users", {"userName": "a@b.example", "active": "perhaps"}),
        ("GET", "/Users?filter=name%20sw%20%22a%22", None),
        ("GET", "/Users?count=x", None),
        ("GET", "/Users?colour=red", None),
        ("PATCH", "/Users/{id}", {"Operations": "x"}),
        ("PATCH", "/Users/{id}", {"Operations": [{"op": "explode"}]}),
        ("PATCH", "/Users/{id}", {"Operations": [1]}),
        ("PUT", "/Users/{id}", {"userName": "other@acme.example"}),
    ],
)
def test_bad_input_is_answered_in_scims_words(
    world: World, directory: Directory, method: str, path: str, body: Any
) -> None:
    ben = find(directory, "ben@acme.example")
    status, answer = directory.send(method, path.replace("{id}", ben["id"]), body)
    assert (status, answer["schemas"], answer["status"]) == (
        400,
        ["urn:ietf:params:scim:api:messages:2.0:Error"],
        "400",
    )
    assert answer["detail"]


def test_what_is_no_json_is_refused_and_what_there_is_is_told(world: World, directory: Directory) -> None:
    assert directory.send("POST", "/Users", raw=b"{")[0] == 400
    assert directory.send("GET", "/Users/x")[0] == 404
    status, config = directory.send("GET", "/ServiceProviderConfig")
    assert (status, config["patch"], config["bulk"]["supported"]) == (200, {"supported": True}, False)
    assert directory.send("GET", "/Users?startIndex=2&count=1")[1]["itemsPerPage"] == 1


def roles(world: World) -> dict[str, str]:
    with org_scope(world.acme.org.pk):
        rows = Membership.objects.filter(org=world.acme.org).select_related("user")
        return {row.user.email.partition("@")[0]: row.role for row in rows}


def test_roles_are_groups_that_a_directory_fills(world: World, directory: Directory) -> None:
    ben = find(directory, "ben@acme.example")["id"]
    _, zoe = directory.send("POST", "/Users", {"userName": "zoe@acme.example"})
    status, groups = directory.send("GET", "/Groups")
    assert (status, [group["displayName"] for group in groups["Resources"]]) == (200, [role.value for role in Role])
    status, found = directory.send("GET", '/Groups?filter=displayName%20eq%20"Developer"')
    assert [[each["display"] for each in group["members"]] for group in found["Resources"]] == [["ben@acme.example"]]
    assert directory.send("GET", "/Groups?excludedAttributes=members")[1]["Resources"][3]["members"] == []

    owner = Directory(world.acme.admin_token)
    for body in (
        {"Operations": [{"op": "add", "path": "members", "value": [{"value": zoe["id"]}]}]},
        {"Operations": [{"op": "Add", "value": {"members": [{"value": zoe["id"]}]}}]},  # twice is once
    ):
        status, group = owner.send("PATCH", "/Groups/finance", body)
        assert (status, [each["value"] for each in group["members"]]) == (200, [zoe["id"]])
    assert roles(world) == {"ada": "owner", "ben": "developer", "zoe": "finance"}
    remove = {"Operations": [{"op": "remove", "path": f'members[value eq "{zoe["id"]}"]'}]}
    assert owner.send("PATCH", "/Groups/admin", remove)[0] == 200
    assert roles(world)["zoe"] == "finance"  # out of a group that they are not in
    assert owner.send("PATCH", "/Groups/finance", remove)[0] == 200
    assert roles(world)["zoe"] == "viewer"
    both = {"displayName": "admin", "members": [{"value": ben}, {"value": zoe["id"]}]}
    assert owner.send("PUT", "/Groups/admin", both)[0] == 200
    assert roles(world) == {"ada": "owner", "ben": "admin", "zoe": "admin"}
    assert owner.send("PUT", "/Groups/admin", {"members": []})[0] == 200
    assert roles(world) == {"ada": "owner", "ben": "viewer", "zoe": "viewer"}


def test_groups_raise_nobody_above_the_token_and_leave_the_last_owner(world: World, directory: Directory) -> None:
    ada, ben = (find(directory, f"{name}@acme.example")["id"] for name in ("ada", "ben"))
    into = {"Operations": [{"op": "add", "path": "members", "value": [{"value": ben}]}]}
    for role in ("owner", "admin", "finance"):
        assert directory.send("PATCH", f"/Groups/{role}", into)[0] == 403, role
    owner = Directory(world.acme.admin_token)
    out = {"Operations": [{"op": "remove", "path": f'members[value eq "{ada}"]'}]}
    assert owner.send("PATCH", "/Groups/owner", out)[0] == 409
    # All of it, or nothing: the second of two is nobody here.
    foreign = Directory(world.mallcorp.admin_token)
    mallory = find(foreign, "mallory@mallcorp.example")["id"]
    mixed = {"Operations": [{"op": "add", "path": "members", "value": [{"value": ben}, {"value": mallory}]}]}
    assert owner.send("PATCH", "/Groups/finance", mixed)[0] == 400
    assert foreign.send("PATCH", "/Groups/finance", into)[0] == 400
    assert roles(world) == {"ada": "owner", "ben": "developer"}


@pytest.mark.parametrize(
    ("method", "path", "body", "wanted"),
    [
        ("POST", "/Groups", {"displayName": "admins"}, 409),
        ("POST", "/Groups", [], 400),
        ("DELETE", "/Groups/admin", None, 409),
        ("GET", "/Groups/admins", None, 404),
        ("POST", "/Groups/admin", {}, 405),
        ("GET", "/Groups?filter=displayName%20co%20%22a%22", None, 400),
        ("PUT", "/Groups/admin", {"displayName": "boss"}, 400),
        ("PUT", "/Groups/admin", {"members": "x"}, 400),
        ("PUT", "/Groups/admin", {"members": [{"value": "x\u0000"}]}, 400),
        ("PATCH", "/Groups/admin", {"Operations": [{"op": "explode"}]}, 400),
        ("PATCH", "/Groups/admin", {"Operations": [{"op": "add", "path": "members", "value": 5}]}, 400),
        ("PATCH", "/Groups/admin", {"Operations": [{"op": "replace", "path": "displayName", "value": "x"}]}, 200),
    ],
)
def test_what_groups_cannot_be_asked_is_said(world: World, method: str, path: str, body: Any, wanted: int) -> None:
    status, answer = Directory(world.acme.admin_token).send(method, path, body)
    assert (status, wanted == 200 or bool(answer["detail"])) == (wanted, True)
    assert roles(world) == {"ada": "owner", "ben": "developer"}
