"""Programs, invitations and requests for more, by the API."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core import mail
from pytest_django import DjangoCaptureOnCommitCallbacks, Settings

from costhub.lib.secrets import ADMIN_TOKEN, is_well_formed
from tenants.access import org_scope
from tenants.actions.orgs import add_member
from tenants.choices import Role
from tenants.models import BudgetIncrease
from tests.world import Api, World, make_budget

SOON = (datetime.now(UTC) + timedelta(days=3)).replace(second=0, microsecond=0).isoformat().replace("+00:00", "Z")


@pytest.fixture
def ada(world: World) -> Api:
    return Api(token=world.acme.admin_token)


def status_of(answer: Any) -> tuple[int, str]:
    body = answer.json()
    return answer.status_code, body["errors"][0]["field"] if "errors" in body else body["code"]


class TestPrograms:
    def test_a_service_account_acts_with_its_tokens_until_it_is_disabled(self, world: World, ada: Api) -> None:
        account = ada.post("/service-accounts", {"name": "deployer", "role": "developer"}).json()
        made = ada.post("/admin-tokens", {"name": "ci", "service_account": "deployer"}).json()
        assert is_well_formed(made["secret"], ADMIN_TOKEN)
        assert (made["role"], made["service_account"], made["scopes"]) == ("developer", account["id"], [])
        robot = Api(token=made["secret"])
        key = robot.post("/keys", {"name": "k"}).json()
        assert key["created_by"] == f"deployer ({made['prefix']})"
        assert status_of(robot.post("/members", {"email": "x@acme.example", "role": "viewer"})) == (403, "forbidden")
        path = f"/service-accounts/{account['id']}"
        assert ada.patch(path, {"role": "viewer"}).json()["role"] == "viewer"
        assert robot.post("/keys", {"name": "k"}).status_code == 403
        assert ada.patch(path, {"is_disabled": True}).json()["is_disabled"] is True
        assert robot.get("/keys").status_code == 401
        refused = ada.post("/admin-tokens", {"name": "t", "service_account": "deployer"})
        assert status_of(refused) == (409, "service_account")

    def test_scopes_narrow_a_token(self, world: World, ada: Api) -> None:
        made = ada.post("/admin-tokens", {"name": "t", "role": "admin", "scopes": ["read", "write_keys"]}).json()
        token = Api(token=made["secret"])
        assert token.post("/keys", {"name": "k"}).status_code == 201
        for method, path, body in (
            ("POST", "/projects", {"name": "p"}),
            ("GET", "/budgets", None),
            ("POST", "/admin-tokens", {"name": "t", "role": "viewer"}),
        ):
            refused = token.send(method, path, body)
            assert (refused.status_code, "scopes do not include" in refused.json()["detail"]) == (403, True)
        assert ada.delete(f"/admin-tokens/{made['id']}").status_code == 204
        assert token.get("/keys").status_code == 401

    @pytest.mark.parametrize(
        ("body", "expected"),
        [
            ({}, (400, "role")),
            ({"role": "viewer", "service_account": "deployer"}, (404, "service_account")),
            ({"role": "viewer", "scopes": ["write_keys"]}, (400, "scopes")),
            ({"role": "viewer", "scopes": ["fly"]}, (400, "scopes[0]")),
            ({"role": "viewer", "expires_at": "2020-01-01T00:00:00Z"}, (400, "expires_at")),
        ],
    )
    def test_what_cannot_be_is_refused_by_field(
        self, world: World, ada: Api, body: dict[str, Any], expected: tuple[int, str]
    ) -> None:
        assert status_of(ada.post("/admin-tokens", {"name": "t"} | body)) == expected


class TestProjects:
    def test_a_member_of_one_project_sees_and_makes_its_keys_and_nothing_else(self, world: World, ada: Api) -> None:
        other = ada.post("/projects", {"name": "other"}).json()
        foreign = ada.post("/keys", {"name": "theirs", "project": "other"}).json()
        with org_scope(world.acme.org.pk):
            pia = add_member(
                actor=world.acme.owner, email="pia@acme.example", role=Role.DEVELOPER, projects=["default"]
            ).user
        api = Api(user=pia)
        assert [one["id"] for one in api.get("/projects").json()["data"]] == [str(world.acme.project.pk)]
        assert [one["id"] for one in api.get("/keys").json()["data"]] == [str(world.acme.key.pk)]
        assert api.post("/keys", {"name": "mine"}).json()["project"] == str(world.acme.project.pk)
        assert api.get(f"/keys/{foreign['id']}").status_code == 404
        assert api.post(f"/keys/{foreign['id']}/revoke").status_code == 404
        assert api.post("/keys", {"name": "k", "project": other["id"]}).status_code == 403
        for path in (
            "/members", "/upstreams", "/models", "/budgets", "/spend", "/requests", "/audit-log", "/end-users",
            "/rate-limits", "/prices", "/alerts", "/channels", "/invoices", "/forecast", "/anomalies",
        ):  # fmt: skip
            assert api.get(path).status_code == 403, path

    def test_another_role_keeps_the_projects_unless_it_is_said(self, world: World, ada: Api) -> None:
        body = {"email": "pia@acme.example", "role": "developer", "projects": ["default"]}
        path = f"/members/{ada.post('/members', body).json()['id']}"
        project = str(world.acme.project.pk)
        assert ada.patch(path, {"role": "viewer"}).json()["projects"] == [project]
        assert ada.patch(path, {"role": "viewer", "projects": []}).json()["projects"] == []
        assert ada.patch(path, {"role": "developer", "projects": [project]}).json()["projects"] == [project]
        assert ada.patch(path, {"role": "finance"}).json()["projects"] == []

    def test_only_some_roles_are_given_by_project(self, world: World, ada: Api) -> None:
        body = {"email": "x@acme.example", "projects": ["default"]}
        assert status_of(ada.post("/members", body | {"role": "admin"})) == (400, "projects")
        assert status_of(ada.post("/members", body | {"role": "viewer", "projects": ["none"]})) == (404, "projects")


class TestInvitations:
    def test_the_mail_has_the_link_and_the_answer_has_not(
        self,
        world: World,
        ada: Api,
        settings: Settings,
        django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
    ) -> None:
        settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
        with django_capture_on_commit_callbacks(execute=True):
            made = ada.post("/invitations", {"email": "Ivy@acme.example", "role": "developer"})
        assert made.status_code == 201
        assert (made.json()["email"], made.json()["is_open"]) == ("ivy@acme.example", True)
        (sent,) = mail.outbox
        assert sent.to == ["ivy@acme.example"]
        assert "/invitations/chi_" in sent.body
        assert b"chi_" not in made.content + ada.get("/invitations").content + ada.get("/audit-log").content
        assert ada.delete(f"/invitations/{made.json()['id']}").status_code == 204
        assert ada.get(f"/invitations/{made.json()['id']}").json()["is_open"] is False
        assert status_of(ada.post("/invitations", {"email": "ben@acme.example", "role": "viewer"})) == (409, "email")

    def test_nobody_invites_above_themselves(self, world: World, ada: Api) -> None:
        with org_scope(world.acme.org.pk):
            admin = add_member(actor=world.acme.owner, email="al@acme.example", role=Role.ADMIN).user
        for role, status in (("owner", 403), ("admin", 201), ("viewer", 201)):
            body = {"email": f"{role}@acme.example", "role": role}
            assert Api(user=admin).post("/invitations", body).status_code == status
            assert Api(user=world.ben).post("/invitations", body).status_code == 403


class TestRequestsForMore:
    def test_a_developer_asks_and_finance_says_yes(
        self,
        world: World,
        ada: Api,
        settings: Settings,
        django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
    ) -> None:
        settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
        settings.PUBLIC_URL = "https://costhub.example"
        with org_scope(world.acme.org.pk):
            fay = add_member(actor=world.acme.owner, email="fay@acme.example", role=Role.FINANCE).user
        budget = make_budget(world.acme, "10.00")
        ben = Api(user=world.ben)
        body = {"budget": str(budget.pk), "amount": "5.00", "until": SOON, "reason": "a load test"}
        with django_capture_on_commit_callbacks(execute=True):
            asked = ben.post("/budget-requests", body)
        assert asked.status_code == 201
        path = f"/budget-requests/{asked.json()['id']}"
        assert [sent.to for sent in mail.outbox] == [["fay@acme.example"], ["ada@acme.example"]]
        assert f"https://costhub.example/o/acme{path}" in mail.outbox[0].body
        assert ben.post(f"{path}/grant").status_code == 403
        granted = Api(user=fay).post(f"{path}/grant")
        assert (granted.json()["state"], granted.json()["granted"]) == ("granted", "5.000000000")
        with org_scope(world.acme.org.pk):
            increase = BudgetIncrease.objects.get()
        assert (increase.amount_nanos, increase.created_by) == (5_000_000_000, "fay@acme.example")
        assert status_of(ada.post(f"{path}/deny")) == (409, "conflict")
        assert [one["state"] for one in ada.get("/budget-requests", state="granted").json()["data"]] == ["granted"]
        assert ada.get("/budget-requests", state="open").json()["data"] == []

    def test_no_and_withdrawn(self, world: World, ada: Api) -> None:
        budget = make_budget(world.acme, "10.00")
        ben = Api(user=world.ben)
        body = {"budget": str(budget.pk), "amount": "5.00", "until": SOON, "reason": "a load test"}
        first, second = (f"/budget-requests/{ben.post('/budget-requests', body).json()['id']}" for _ in range(2))
        assert ada.post(f"{first}/deny", {"answer": "not now"}).json()["answer"] == "not now"
        assert ada.post(f"{second}/withdraw").status_code == 403
        assert ben.post(f"{second}/withdraw").json()["state"] == "withdrawn"
        with org_scope(world.acme.org.pk):
            assert not BudgetIncrease.objects.exists()

    @pytest.mark.parametrize(
        ("change", "expected"),
        [
            ({"amount": "0"}, (400, "amount")),
            ({"amount": "-1"}, (400, "amount")),
            ({"amount": "1" + "0" * 15}, (400, "amount")),
            ({"reason": " "}, (400, "reason")),
            ({"reason": "x" * 501}, (400, "reason")),
            ({"until": "2020-01-01T00:00:00Z"}, (400, "until")),
            ({"budget": "x"}, (404, "not_found")),
        ],
    )
    def test_what_cannot_be_asked_for(self, world: World, change: dict[str, str], expected: tuple[int, str]) -> None:
        budget = make_budget(world.acme, "10.00")
        body = {"budget": str(budget.pk), "amount": "5.00", "until": SOON, "reason": "why"}
        assert status_of(Api(user=world.ben).post("/budget-requests", body | change)) == expected

    def test_a_viewer_asks_for_nothing(self, world: World) -> None:
        budget = make_budget(world.acme, "10.00")
        with org_scope(world.acme.org.pk):
            vic = add_member(actor=world.acme.owner, email="vic@acme.example", role=Role.VIEWER).user
        body = {"budget": str(budget.pk), "amount": "5.00", "until": SOON, "reason": "why"}
        assert Api(user=vic).post("/budget-requests", body).status_code == 403


class TestKeysThatAreKeptToSomething:
    def test_lists_are_stored_as_networks_and_paths_and_rotate_along(self, world: World, ada: Api) -> None:
        body = {"name": "k", "addresses": ["10.1.2.3/16", "2001:DB8::1", "10.1.0.0/16"], "endpoints": ["/v1/models/"]}
        made = ada.post("/keys", body).json()
        assert made["addresses"] == ["10.1.0.0/16", "2001:db8::1/128"]
        assert made["endpoints"] == ["/v1/models"]
        rotated = ada.post(f"/keys/{made['id']}/rotate").json()
        assert (rotated["addresses"], rotated["endpoints"]) == (made["addresses"], made["endpoints"])
        assert ada.patch(f"/keys/{rotated['id']}", {"addresses": []}).json()["addresses"] == []

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("addresses", "10.1.0.0/33"),
            ("addresses", "localhost"),
            ("addresses", ""),
            ("endpoints", "/api/v1/keys"),
            ("endpoints", "/v1"),
            ("endpoints", "/v1/../admin"),
            ("endpoints", "/v1/é"),
        ],
    )
    def test_what_is_none_is_refused(self, world: World, ada: Api, field: str, value: str) -> None:
        refused = ada.post("/keys", {"name": "k", field: [value]})
        assert refused.status_code == 400
        assert refused.json()["errors"][0]["field"].startswith(field)
