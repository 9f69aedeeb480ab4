"""Who may call: tokens that work, people who are signed in, and nobody else."""

from datetime import timedelta

import pytest
import time_machine
from django.conf import settings
from django.test import Client

from costhub.lib import clock
from costhub.lib.secrets import ADMIN_TOKEN, PLATFORM_TOKEN, make_secret
from tenants.access import org_scope
from tenants.actions.orgs import create_admin_token
from tenants.actions.platform import create_platform_token
from tenants.choices import Role
from tenants.models import AdminToken, Membership, Organization, PlatformToken, User
from tests.tenants.api.endpoints import endpoints
from tests.world import Api, World, close_scopes

UNUSABLE = "This token is unknown, expired or revoked."


def test_nobody_gets_nothing(world: World) -> None:
    for endpoint in endpoints():
        answer = Api().send(endpoint.method, endpoint.path_of(world.acme.org_id), {})
        assert (answer.status_code, answer["WWW-Authenticate"]) == (401, "Bearer"), str(endpoint)
        assert answer.json()["detail"] == "Send an admin token as 'Authorization: Bearer cha_...', or sign in."


class TestTokens:
    def test_a_token_acts_in_its_organisation(self, world: World) -> None:
        assert [org["slug"] for org in Api(token=world.acme.admin_token).get("/organizations").json()["data"]] == [
            "acme"
        ]

    @pytest.mark.parametrize(
        ("header", "detail"),
        [
            ("Bearer", "Send the token as 'Authorization: Bearer cha_...'."),
            ("Basic YTpi", "Send the token as 'Authorization: Bearer cha_...'."),
            ("Bearer nonsense", UNUSABLE),
            ("Bearer " + make_secret(ADMIN_TOKEN, b"x" * 32).text, UNUSABLE),
            ("Bearer " + make_secret(PLATFORM_TOKEN, b"x" * 32).text, UNUSABLE),
            ("Bearer " + "x" * 10_000, UNUSABLE),
            ("Bearer \u00e9", UNUSABLE),
        ],
        # A new secret in a test's name would be another test for every process.
        ids=["nothing", "basic", "nonsense", "admin", "platform", "long", "accent"],
    )
    def test_others_are_refused(self, world: World, header: str, detail: str) -> None:
        answer = Api().send("GET", "/keys", headers={"Authorization": header})
        assert (answer.status_code, answer.json()["detail"]) == (401, detail)

    def test_a_key_of_the_llm_api_is_told_that_it_is_one(self, world: World) -> None:
        answer = Api(token=world.acme.api_key).get("/keys")
        assert answer.json()["detail"] == "This is a key of the LLM API: use an admin token here."

    def test_dead_tokens_are_dead_at_once(self, world: World) -> None:
        for change in ({"revoked_at": clock.now()}, {"expires_at": clock.now() - timedelta(seconds=1)}):
            with org_scope(world.acme.org.pk):
                token = create_admin_token(actor=world.acme.owner, name="t", role=Role.ADMIN)
            assert Api(token=token).get("/keys").status_code == 200
            with org_scope(world.acme.org.pk):
                AdminToken.objects.filter(prefix=token[:12]).update(**change)
            assert Api(token=token).get("/keys").status_code == 401

    def test_a_token_expires_on_the_second(self, world: World) -> None:
        with time_machine.travel("2026-03-01T12:00:00+00:00", tick=False) as traveller, org_scope(world.acme.org.pk):
            AdminToken.objects.update(expires_at=clock.now() + timedelta(seconds=10))
            traveller.shift(9)
            assert Api(token=world.acme.admin_token).get("/keys").status_code == 200
            traveller.shift(1)
            assert Api(token=world.acme.admin_token).get("/keys").status_code == 401

    def test_an_inactive_organisation_has_no_tokens(self, world: World) -> None:
        with org_scope(world.acme.org.pk):
            Organization.objects.filter(pk=world.acme.org.pk).update(is_active=False)
        assert Api(token=world.acme.admin_token).get("/keys").status_code == 401

    def test_a_role_is_all_that_a_token_may(self, world: World) -> None:
        with org_scope(world.acme.org.pk):
            token = create_admin_token(actor=world.acme.owner, name="t", role=Role.VIEWER)
        viewer = Api(token=token)
        assert viewer.get("/keys").status_code == 200
        assert viewer.get("/budgets").status_code == 403
        refused = viewer.post("/keys", {"name": "k"})
        assert (refused.status_code, refused.json()["detail"]) == (
            403,
            "A viewer may not do this: ask an owner or admin of Acme.",
        )


class TestPlatformTokens:
    def test_one_may_see_to_organisations_and_nothing_else(self, world: World) -> None:
        operator = Api(token=create_platform_token(email="operator@costhub.example"))
        for endpoint in endpoints():
            if endpoint.resource not in {"organizations", "customers", "stripe-events"}:
                answer = operator.send(endpoint.method, endpoint.path_of(world.acme.org_id), {})
                assert answer.status_code == 403, str(endpoint)
                assert world.acme.org.name.encode() not in answer.content

    def test_a_revoked_one_may_not(self, world: World) -> None:
        token = create_platform_token(email="operator@costhub.example")
        PlatformToken.objects.filter(prefix=token[:12]).update(revoked_at=clock.now())
        assert Api(token=token).post("/organizations", {"name": "x"}).status_code == 401

    def test_nor_one_of_somebody_who_left(self, world: World) -> None:
        token = create_platform_token(email="operator@costhub.example")
        User.objects.filter(email="operator@costhub.example").update(is_active=False)
        assert Api(token=token).post("/organizations", {"name": "x"}).status_code == 401


class TestSessions:
    def test_a_person_acts_with_their_role(self, world: World) -> None:
        ben = Api(user=world.ben)
        assert ben.get("/keys").status_code == 200
        assert ben.post("/keys", {"name": "ben's"}).json()["created_by"] == "ben@acme.example"
        assert ben.post("/projects", {"name": "ben's"}).status_code == 403

    def test_the_header_chooses_among_several_organisations(self, world: World) -> None:
        from tenants.actions.orgs import add_member

        with org_scope(world.mallcorp.org.pk):
            later = add_member(actor=world.mallcorp.owner, email=world.ada.email, role=Role.VIEWER)
            # Said, not left to the clock of this machine, which may be set back between the two.
            Membership.objects.filter(pk=later.pk).update(created_at=clock.now() + timedelta(minutes=1))
        project = {
            org: Api(user=world.ada, org=org).get("/projects").json()["data"][0]["id"] for org in ("acme", "mallcorp")
        }
        assert project == {"acme": str(world.acme.project.pk), "mallcorp": str(world.mallcorp.project.pk)}
        assert Api(user=world.ada).get("/projects").json()["data"][0]["id"] == project["acme"]
        mine = Api(user=world.ada).get("/organizations").json()["data"]
        assert {org["slug"] for org in mine} == {"acme", "mallcorp"}

    def test_a_write_needs_the_csrf_token(self, world: World) -> None:
        strict = Client(enforce_csrf_checks=True)
        strict.force_login(world.ada)
        close_scopes()
        refused = strict.post("/api/v1/projects", b'{"name": "x"}', content_type="application/json")
        assert (refused.status_code, refused.json()["code"]) == (403, "permission_denied")
        assert "CSRF" in refused.json()["detail"]
        token = "t" * 32
        strict.cookies[settings.CSRF_COOKIE_NAME] = token
        close_scopes()
        done = strict.post(
            "/api/v1/projects", b'{"name": "x"}', content_type="application/json", headers={"X-CSRFToken": token}
        )
        assert done.status_code == 201

    def test_somebody_without_an_organisation_is_told(self, world: World) -> None:
        answer = Api(user=User.objects.create_user("carol@example.com")).get("/keys")
        assert (answer.status_code, answer.json()["detail"]) == (
            403,
            "You are no member of an organisation: ask its owner to add you.",
        )

    def test_a_deactivated_person_is_nobody(self, world: World) -> None:
        ada = Api(user=world.ada)
        User.objects.filter(pk=world.ada.pk).update(is_active=False)
        assert ada.get("/keys").status_code == 401
