"""An owner takes their organisation's data along, and has it erased, by the page and by the API."""

import asyncio
import json
import zipfile
from collections.abc import AsyncIterable
from datetime import timedelta
from io import BytesIO
from typing import Any, cast

import pytest
from django.db import connections

from costhub.lib import clock
from costhub.lib.errors import Conflict
from costhub.ops.erasure import erase_organization
from costhub.ops.tasks import erase_departed
from costhub.ops.tenant_tables import find_remains, list_tenant_tables
from proxy.learning.models import ProviderTuning
from tenants.access import org_scope
from tenants.actions.closing import set_closed
from tenants.actions.orgs import add_member
from tenants.choices import Role
from tenants.models import AuditEntry, Organization, Upstream, User
from tests.billing.invoices.examples import DAY, NOVEMBER, OCTOBER, close, make_customer
from tests.billing.ledger import record_call
from tests.console.client import Visit, text_of
from tests.console.test_staff import make_operator
from tests.proxy.learning.rows import capture, fill_learning
from tests.world import Api, Tenant, World, make_catalog


@pytest.fixture
def acme(committed_world: World) -> Tenant:
    make_catalog(committed_world.acme)
    record_call(committed_world.acme, clock.now())
    capture(committed_world.acme, "What is the canary's name?", "Tweety")
    return committed_world.acme


def read_archive(answer: Any) -> dict[str, list[Any]]:
    async def gather() -> bytes:
        parts = cast("AsyncIterable[bytes]", answer.streaming_content)
        return b"".join([part async for part in parts])

    with zipfile.ZipFile(BytesIO(asyncio.run(gather()))) as archive:
        told = json.loads(archive.read("manifest.json"))["tables"]
        return {name: [json.loads(line) for line in archive.read(f"tables/{name}.jsonl").splitlines()] for name in told}


def actions_of(tenant: Tenant) -> list[tuple[str, str]]:
    with org_scope(tenant.org_id):
        entries = AuditEntry.objects.filter(org=tenant.org, target_kind="organization").order_by("number")
        return list(entries.values_list("action", "actor"))


class TestExport:
    def test_the_application_s_role_reads_every_table(self, committed_world: World) -> None:
        mine, all_of_them = list_tenant_tables(connections["default"]), list_tenant_tables()
        assert {table.name for table in all_of_them} - {table.name for table in mine} == set()

    def test_an_owner_has_all_of_it_and_nothing_of_anybody_else(self, acme: Tenant, committed_world: World) -> None:
        answer = Api(user=committed_world.ada).get("/export")
        assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/zip")
        assert f'filename="{acme.org.slug}-' in answer.headers["Content-Disposition"]
        tables = read_archive(answer)
        assert {row["org_id"] for rows in tables.values() for row in rows if "org_id" in row} == {acme.org_id}
        assert [row["slug"] for row in tables["tenants_organization"]] == [acme.org.slug]
        assert {committed_world.ada.email, committed_world.ben.email} == {row["email"] for row in tables["people"]}
        assert len(tables["proxy_ledgerentry"]) == 1
        assert "Tweety" in tables["proxy_capturedcall"][0]["sealed"]
        with org_scope(acme.org_id):
            credential = bytes(Upstream.objects.get(org=acme.org).credential or b"").hex()
        assert credential not in json.dumps(tables)
        assert ("organization.exported", committed_world.ada.email) in actions_of(acme)
        page = Visit(committed_world.ada).post(f"/o/{acme.org.slug}/settings/export")
        assert read_archive(page).keys() == tables.keys()

    def test_nobody_else_does_and_an_owner_is_asked_again(self, acme: Tenant, committed_world: World) -> None:
        with org_scope(acme.org_id):
            email = f"adm@{acme.org.slug}.example"
            admin = add_member(actor=acme.owner, email=email, role=Role.ADMIN).user
        for user in (admin, committed_world.ben):
            assert Api(user=user).get("/export").status_code == 403
            assert Visit(user).post(f"/o/{acme.org.slug}/settings/export").status_code == 403
            assert "Take everything with you" not in text_of(Visit(user).get(f"/o/{acme.org.slug}/settings"))
        ada = Visit(committed_world.ada)
        assert "Take everything with you" in text_of(ada.get(f"/o/{acme.org.slug}/settings"))
        User.objects.filter(pk=committed_world.ada.pk).update(last_login=clock.now() - timedelta(minutes=16))
        for path in ("export", "erase"):
            answer = ada.post(f"/o/{acme.org.slug}/settings/{path}", {"confirm": acme.org.slug})
            assert answer.headers["Location"].startswith("/account/reauthenticate/"), path
        assert not [action for action, _ in actions_of(acme) if action != "organization.created"]


class TestErasure:
    def test_it_is_closed_at_once_and_gone_when_the_job_was_there(self, acme: Tenant, committed_world: World) -> None:
        api = Api(user=committed_world.ada)
        wrong = api.post("/erase", {"confirm": "acme corp"})
        assert (wrong.status_code, wrong.json()["errors"][0]["field"]) == (400, "confirm")
        assert api.get("/keys").status_code == 200
        assert api.post("/erase", {"confirm": acme.org.slug}, Idempotency_Key="once").status_code == 204
        assert Api(token=acme.admin_token).get("/keys").status_code == 401
        assert Visit(committed_world.ada).get(f"/o/{acme.org.slug}/").status_code == 404
        assert actions_of(acme)[-1] == ("organization.erasure_asked", committed_world.ada.email)
        connections.close_all()
        assert erase_departed() >= 1
        assert find_remains(acme.org.pk) == {}
        assert not User.objects.filter(email=committed_world.ada.email).exists()
        assert Api(token=committed_world.mallcorp.admin_token).get("/keys").status_code == 200

    def test_the_page_asks_for_the_name(self, acme: Tenant, committed_world: World) -> None:
        ada, page = Visit(committed_world.ada), f"/o/{acme.org.slug}/settings"
        ada.post(f"{page}/erase", {"confirm": "yes"})
        assert f"Type {acme.org.slug} to erase" in text_of(ada.get(page))
        assert ada.post(f"{page}/erase", {"confirm": acme.org.slug}).headers["Location"] == "/"
        with org_scope(acme.org_id):
            org = Organization.objects.get(pk=acme.org.pk)
        assert (org.is_active, org.erasure_asked_at is not None) == (False, True)
        connections.close_all()
        erase_departed()

    def test_no_operator_opens_it_again(self, world: World) -> None:
        assert Api(user=world.ada).post("/erase", {"confirm": world.acme.org.slug}).status_code == 204
        with pytest.raises(Conflict, match="asked for its erasure"):
            set_closed(user=make_operator(), org=world.acme.org, is_closed=False, reason="by mistake", confirm="")

    def test_with_invoices_the_operator_is_asked(self, committed_world: World) -> None:
        acme = committed_world.acme
        make_customer(acme, since=OCTOBER)
        close(acme, NOVEMBER + DAY * 3)
        refused = Api(user=committed_world.ada).post("/erase", {"confirm": acme.org.slug})
        assert (refused.status_code, refused.json()["code"]) == (409, "invoices_remain")
        assert Api(token=acme.admin_token).get("/keys").status_code == 200

    def test_a_program_with_an_owner_s_token_may_and_no_narrower_one(
        self, acme: Tenant, committed_world: World
    ) -> None:
        made = Api(token=acme.admin_token).post(
            "/admin-tokens", {"name": "narrow", "role": "owner", "scopes": ["read", "write_members"]}
        )
        assert Api(token=made.json()["secret"]).post("/erase", {"confirm": acme.org.slug}).status_code == 403
        assert Api(token=made.json()["secret"]).get("/export").status_code == 403
        assert Api(token=acme.admin_token).get("/export").status_code == 200

    def test_with_a_plan_the_operator_is_asked(self, committed_world: World) -> None:
        """What was used since is not invoiced yet."""
        acme = committed_world.acme
        make_customer(acme, since=OCTOBER)
        refused = Api(user=committed_world.ada).post("/erase", {"confirm": acme.org.slug})
        assert (refused.status_code, refused.json()["code"]) == (409, "invoices_remain")

    def test_a_provider_must_have_deleted_its_file(self, committed_world: World) -> None:
        """Once the organisation is closed nothing opens its credential there."""
        acme = committed_world.acme
        tuning = fill_learning(acme)["provider-tunings"][0]
        with org_scope(acme.org.pk):
            ProviderTuning.objects.filter(pk=tuning).update(remote_file="file-1")
        refused = Api(user=committed_world.ada).post("/erase", {"confirm": acme.org.slug})
        assert (refused.status_code, refused.json()["code"]) == (409, "tunings_under_way")
        connections.close_all()
        with pytest.raises(Conflict, match="has a file of them \\(tuned\\)"):
            erase_organization(acme.org.slug)
        with org_scope(acme.org.pk):
            ProviderTuning.objects.filter(pk=tuning).update(remote_file="")
        assert Api(user=committed_world.ada).post("/erase", {"confirm": acme.org.slug}).status_code == 204
