"""Forms that a page does not show, sent by hand: each action of the console, by everybody who may not do it."""

import re
from typing import Final
from urllib.parse import urlsplit

import pytest
from django.urls import resolve

from costhub.console.urls import urlpatterns
from tenants.access import org_scope
from tenants.actions.end_users import create_end_user
from tenants.actions.orgs import add_member
from tenants.actions.projects import create_project
from tenants.choices import PERMISSIONS, Permission, Role, RouteKind
from tenants.models import AuditEntry, Membership, User
from tests.billing.alerts.examples import make_alerts
from tests.console.client import Visit, read_button, read_forms
from tests.console.crawler import crawl, find_links, find_searches
from tests.tenants.accounts.rows import make_account_rows
from tests.tenants.route_examples import make_route
from tests.world import World, make_budget, make_catalog, make_rate_limit

_KEYS, _MONEY = Permission.WRITE_KEYS, Permission.WRITE_MONEY
_SETTINGS, _MEMBERS = Permission.WRITE_SETTINGS, Permission.WRITE_MEMBERS
#: the permission that each page's form asks for, by the address's name. A new page with a form belongs in here.
NEEDS: Final = {
    "acknowledge": Permission.READ_MONEY,
    "apply-rerating": _MONEY,
    "archive-project": _SETTINGS,
    "bill-source": _SETTINGS,
    "block-end-user": _KEYS,
    "budget": _MONEY,
    "buy-credits": _MONEY,
    "budget-request": _MONEY,
    "cancel-teacher-run": _SETTINGS,
    "new-teacher-run": _SETTINGS,
    "export-tuned": _SETTINGS,
    "new-provider-tuning": _SETTINGS,
    "change-student": _SETTINGS,
    "change-tuned": _SETTINGS,
    "provider-trials": _SETTINGS,
    "change-provider-trials": _SETTINGS,
    "change-top-up": _MONEY,
    "send-message-again": _SETTINGS,
    "send-papers": _MONEY,
    "send-papers-again": _MONEY,
    "change-visits": _MEMBERS,
    "choose-plan": _MONEY,
    "end-plan": _MONEY,
    "claim-domain": _MEMBERS,
    "cache-policy": _SETTINGS,
    "cancel-batch": _KEYS,
    "cancel-replay": _SETTINGS,
    "cancel-training": _SETTINGS,
    "change-compression": _SETTINGS,
    "change-route": _SETTINGS,
    "channel": _SETTINGS,
    "compression-policy": _SETTINGS,
    "consent": _SETTINGS,
    "dataset": _SETTINGS,
    "decide-prompt": _SETTINGS,
    "edit-route": _SETTINGS,
    "end-user": _KEYS,
    "end-gpu-hours": _MONEY,
    "erase-data": _MEMBERS,
    "export-data": _MEMBERS,
    "freeze-dataset": _SETTINGS,
    "increase-budget": _MONEY,
    "key": _KEYS,
    "limit": _MONEY,
    "member": _MEMBERS,
    "model": _SETTINGS,
    "new-adjustment": _MONEY,
    "new-batch": _KEYS,
    "new-budget": _MONEY,
    "new-budget-request": Permission.ASK_MONEY,
    "new-cache-policy": _SETTINGS,
    "new-channel": _SETTINGS,
    "new-compression-policy": _SETTINGS,
    "new-consent": _SETTINGS,
    "new-dataset": _SETTINGS,
    "new-end-user": _KEYS,
    "new-gpu-hours": _MONEY,
    "new-invitation": _MEMBERS,
    "new-key": _KEYS,
    "new-limit": _MONEY,
    "new-member": _MEMBERS,
    "new-model": _SETTINGS,
    "new-price": _MONEY,
    "new-project": _SETTINGS,
    "new-rerating": _MONEY,
    "new-route": _SETTINGS,
    "new-rule": _MONEY,
    "new-service-account": _MEMBERS,
    "new-sign-on": _MEMBERS,
    "new-token": _MEMBERS,
    "new-training": _SETTINGS,
    "new-upstream": _SETTINGS,
    "new-upstream-endpoint": _SETTINGS,
    "project": _SETTINGS,
    "publish-status": _SETTINGS,
    "purge-cache": _SETTINGS,
    "release-domain": _MEMBERS,
    "remove-cache-policy": _SETTINGS,
    "remove-compression-policy": _SETTINGS,
    "remove-dataset": _SETTINGS,
    "remove-demo": _MEMBERS,
    "remove-member": _MEMBERS,
    "remove-route": _SETTINGS,
    "remove-sign-on": _MEMBERS,
    "remove-upstream-endpoint": _SETTINGS,
    "remove-view": Permission.READ_MONEY,
    "revoke-key": _KEYS,
    "rotate-channel": _SETTINGS,
    "rotate-key": _KEYS,
    "rule": _MONEY,
    "save-view": Permission.READ_MONEY,
    "shorten-prompt": _SETTINGS,
    "service-account": _MEMBERS,
    "settings": _SETTINGS,
    "sign-on-provider": _MEMBERS,
    "start-replay": _SETTINGS,
    "stop-all": _MONEY,
    "stop-bill": _SETTINGS,
    "stop-key": _MONEY,
    "stop-project": _MONEY,
    "switch-budget": _MONEY,
    "switch-channel": _SETTINGS,
    "switch-limit": _MONEY,
    "switch-model": _SETTINGS,
    "switch-rule": _MONEY,
    "switch-service-account": _MEMBERS,
    "switch-upstream": _SETTINGS,
    "test-channel": _SETTINGS,
    "test-upstream": _SETTINGS,
    "take-back-consent": _SETTINGS,
    "take-out-version": _SETTINGS,
    "token": _MEMBERS,
    "tuned-model": _SETTINGS,
    "upstream": _SETTINGS,
    "upstream-endpoint": _SETTINGS,
    "verify-domain": _MEMBERS,
    "visit-portal": _MONEY,
    "withdraw-budget-request": Permission.ASK_MONEY,
    "withdraw-end-user": _SETTINGS,
    "withdraw-invitation": _MEMBERS,
}
#: what a developer of a project does in it: ``test_project_members`` has what becomes of that elsewhere
OF_A_PROJECT: Final = {"key", "new-key", "revoke-key", "rotate-key"}
#: everybody's own business, or nothing is changed by it
OPEN: Final = {"bill-table", "choose-mails", "try-route"}
#: read as far as somebody who may not do it is refused
TYPED: Final = {
    "name": "x",
    "email": "x@acme.example",
    "kind": "all",
    "role": "owner",
    "decision": "yes",
    "confirm": "Acme",
    "time_zone": "UTC",
    "mode": "on",
    **dict.fromkeys(("is_active", "is_stopped", "is_archived", "is_blocked", "is_disabled", "allow"), "yes"),
}
#: pages with a button that sets something to what it says, or back
SWITCHES: Final = {
    "stop-all": "/o/acme/settings",
    "change-visits": "/o/acme/settings",
    "block-end-user": "/o/acme/end-users",
    **dict.fromkeys(
        (
            "archive-project",
            "stop-key",
            "stop-project",
            "switch-budget",
            "switch-channel",
            "switch-limit",
            "switch-model",
            "switch-rule",
            "switch-service-account",
            "switch-upstream",
        ),
        "",
    ),
}


def addresses(world: World) -> dict[str, str]:
    """Every address below an organisation, with a row that is there."""
    catalog, budget = make_catalog(world.acme), make_budget(world.acme, "10.00")
    limit = make_rate_limit(world.acme, 5)
    made, alerts = make_account_rows(world.acme), make_alerts(world.acme)
    with org_scope(world.acme.org.pk):
        member = Membership.objects.get(org=world.acme.org, user=world.ada)
    ids = {
        "budget_id": budget.pk,
        "limit_id": limit.pk,
        "key_id": world.acme.key.pk,
        "project_id": world.acme.project.pk,
        "model_id": catalog.model.pk,
        "upstream_id": catalog.upstream.pk,
        "member_id": member.pk,
        "request_id": made["budget-requests"][0],
        "alert_id": alerts["alerts"][0],
        "channel_id": alerts["channels"][0],
        "delivery_id": alerts["deliveries"][0],
        "rule_id": alerts["alert-rules"][0],
        "account_id": made["service-accounts"][0],
        "token_id": made["admin-tokens"][0],
        "invitation_id": made["invitations"][0],
        "domain_id": made["domains"][0],
        "sign_on_id": made["sign-ons"][0],
        "view_id": made["saved-views"][0],
        "kind": "oidc",
    }
    found = {}
    for pattern in urlpatterns:
        route = str(pattern.pattern).replace("<slug:slug>", "acme")
        if route.startswith("o/acme/"):
            found[str(getattr(pattern, "name", ""))] = "/" + re.sub(
                r"<str:(\w+)>", lambda part: str(ids.get(part[1], "x")), route
            )
    return found


def count_entries(world: World) -> int:
    with org_scope(world.acme.org.pk):
        return AuditEntry.objects.filter(org=world.acme.org).count()


@pytest.mark.parametrize("role", [*(role for role in Role if role is not Role.OWNER), None])
def test_nobody_does_what_their_role_may_not(world: World, role: Role | None) -> None:
    """``None``: a developer of one project, who does nothing that is the whole organisation's."""
    email, paths = "eve@acme.example", addresses(world)
    with org_scope(world.acme.org.pk):
        where = [world.acme.project.name] if role is None else []
        add_member(actor=world.acme.owner, email=email, role=role or Role.DEVELOPER, projects=where)
    visit = Visit(User.objects.get(email=email))
    before = count_entries(world)
    done = {}
    for name, path in paths.items():
        if (role is not None and NEEDS.get(name) in PERMISSIONS[role]) or (role is None and name in OF_A_PROJECT):
            continue
        answer = visit.post(path, TYPED)
        if answer.status_code not in {403, 404, 405} and name not in OPEN:
            done[name] = (answer.status_code, answer.headers.get("Location", ""))
    assert done == {}
    assert count_entries(world) == before


@pytest.mark.parametrize("role", [*(role for role in Role if role is not Role.OWNER), None])
def test_no_page_has_a_form_that_its_reader_may_not_send(world: World, role: Role | None) -> None:
    """``None``: a developer of one project."""
    addresses(world)
    with org_scope(world.acme.org.pk):
        where = [world.acme.project.name] if role is None else []
        add_member(actor=world.acme.owner, email="eve@acme.example", role=role or Role.DEVELOPER, projects=where)
    shown: dict[str, str] = {}

    def read(path: str, html: str) -> None:
        for method, action, _ in read_forms(html, path):
            if method == "post" and action.startswith("/o/acme/"):
                shown.setdefault(str(resolve(action).url_name), path)

    broken, opened = crawl(Visit(User.objects.get(email="eve@acme.example")), "/o/acme/welcome", read)
    # Whoever is a member may leave.
    may = OPEN | {"remove-member"}
    may |= OF_A_PROJECT if role is None else {name for name, it in NEEDS.items() if it in PERMISSIONS[role]}
    assert (broken, opened >= 4) == ({}, True)
    assert {name: path for name, path in shown.items() if name not in may} == {}


def test_who_does_not_pay_changes_nothing_by_any_form(world: World) -> None:
    paths, ada = addresses(world), Visit(world.ada)
    world.acme.org.is_read_only = True
    with org_scope(world.acme.org.pk):
        world.acme.org.save(update_fields=["is_read_only"])
    before = count_entries(world)
    answers = {name: ada.post(path, TYPED).status_code for name, path in paths.items()}
    # What is one's own may be taken out, an upstream's health asked for, an end user forgotten, and who owes may pay.
    working = {
        "take-out-version",
        "test-upstream",
        "choose-plan",
        "end-plan",
        "export-data",
        "export-tuned",
        "buy-credits",
        "change-top-up",
        "send-papers",
        "visit-portal",
        "withdraw-end-user",
    }
    assert {name for name, code in answers.items() if code == 402} == set(NEEDS) - working
    # That a model was taken out is told.
    assert count_entries(world) == before + 1


def test_a_switch_sets_what_its_button_says_whoever_pressed_it_before(world: World) -> None:
    """Of two who press Stop in one moment, the second must not resume."""
    paths, ada = addresses(world), Visit(world.ada)
    with org_scope(world.acme.org.pk):
        create_end_user(actor=world.acme.owner, external_id="mia")
        project = create_project(actor=world.acme.owner, name="empty")
    paths["archive-project"] = f"/o/acme/projects/{project.pk}/archive"
    for name, page in SWITCHES.items():
        path = paths[name]
        shown = page or path.rpartition("/")[0]

        def button(shown: str = shown, path: str = path) -> dict[str, str]:
            return read_button(ada.get(shown).content.decode(), path)

        sent = button()
        ada.post(path, sent | {"confirm": "Acme"})
        back = button()
        assert back != sent, name
        before = count_entries(world)
        for late in (sent | {"confirm": "Acme"}, {}):
            ada.post(path, late)
            assert button() == back, name
        # What is set already is not written down again; only the day of visits begins anew.
        assert count_entries(world) - before == (name == "change-visits"), name
        ada.post(path, back)
        assert button() == sent, name


def test_a_page_that_answers_a_form_leads_on(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its address cannot be opened: neither links nor searches of such a page may lead back to it."""
    paths, ada, opened = addresses(world), Visit(world.ada), set[str]()
    # More than a page has: so that the list leads to another one.
    monkeypatch.setattr("costhub.console.routes.ROUTES", 1)
    for name in ("one", "two"):
        make_route(world.acme, RouteKind.FIXED, ("small",), name=name)
    broken: dict[str, tuple[str, int]] = {}
    for name, path in sorted(paths.items()):
        for typed in ({}, TYPED):
            answer = ada.post(path, typed)
            if answer.status_code in {302, 404, 405} or not answer.headers["Content-Type"].startswith("text/html"):
                continue
            html = answer.content.decode()
            for link in (find_links(html, path) | find_searches(html, path)) - opened:
                if urlsplit(link).path.startswith(("/static/", "/v1")):
                    continue
                opened.add(link)
                if (code := ada.get(link).status_code) not in {200, 302}:
                    broken[link] = (name, code)
    assert broken == {}
    assert len(opened) >= 60


def test_every_form_is_in_the_table(world: World) -> None:
    ada = Visit(world.ada)
    takes_forms = {name for name, path in addresses(world).items() if ada.post(path, {}).status_code != 405}
    assert takes_forms - OPEN == set(NEEDS)
