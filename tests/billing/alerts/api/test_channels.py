"""/channels: what is shown to whom."""

import pytest

from tenants.access import org_scope
from tenants.actions.orgs import create_admin_token
from tenants.choices import Role
from tests.world import Api, World

URL = "https://1.1.1.1/services/T0/B0/secret-of-the-hook?token=s3cret"


def api_of(world: World, role: Role) -> Api:
    with org_scope(world.acme.org_id):
        return Api(create_admin_token(actor=world.acme.owner, name=f"{role} token", role=role))


@pytest.mark.parametrize(
    ("role", "shown"),
    [
        (Role.OWNER, URL),
        (Role.ADMIN, URL),
        (Role.FINANCE, "https://1.1.1.1:443"),
        (Role.DEVELOPER, "https://1.1.1.1:443"),
        (Role.VIEWER, "https://1.1.1.1:443"),
    ],
)
def test_a_webhooks_address_is_for_those_who_may_change_it(world: World, role: Role, shown: str) -> None:
    made = api_of(world, Role.OWNER).post("/channels", {"kind": "webhook", "name": "ops", "url": URL})
    assert (made.status_code, made.json()["url"]) == (201, URL)
    caller = api_of(world, role)
    listed = caller.get("/channels")
    assert {row["url"] for row in listed.json()["data"]} == {"", shown}
    one = caller.get(f"/channels/{made.json()['id']}")
    assert one.json()["url"] == shown
    assert ("s3cret" in listed.content.decode() + one.content.decode()) is (shown == URL)
