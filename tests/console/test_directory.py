"""The pages of projects, end users, members, the audit log and settings."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret

from tenants.access import org_scope
from tenants.actions.orgs import set_role
from tenants.choices import MEANINGS, PERMISSIONS, Role
from tenants.models import EndUser, Membership, Organization, Project, User
from tests.billing.ledger import NOW, record_call
from tests.console.client import Visit, error_of, read_button, refresh, rows_of, text_of
from tests.proxy.learning.rows import consent
from tests.world import Api, World, make_budget


@pytest.fixture(autouse=True)
def _at_noon() -> Iterator[None]:
    with time_machine.travel(NOW, tick=False):
        yield


def is_stopped(org: Organization) -> bool:
    """As the database has it."""
    refresh(org)
    return org.is_stopped


def test_projects_with_what_they_spent(world: World) -> None:
    ada = Visit(world.ada)
    record_call(world.acme, NOW - timedelta(days=1), cost=2 * 10**9)
    assert ada.submit("/o/acme/projects/new", name="Search").status_code == 302
    assert rows_of(ada.get("/o/acme/projects")) == [
        "default 1 $2.00 1 22 Nov 2026 open",
        "Search 0 $0.00 – 22 Nov 2026 open",
    ]
    taken = ada.submit("/o/acme/projects/new", name="Search")
    assert (taken.status_code, error_of(taken)) == (409, "There is a project of this name already.")


def test_a_project_is_renamed_stopped_and_put_away_when_its_keys_are_gone(world: World) -> None:
    ada, project = Visit(world.ada), world.acme.project
    page = f"/o/acme/projects/{project.pk}"
    assert ada.submit(page, name="Main").status_code == 302
    ada.press(page, f"{page}/stop")
    ada.press(page, f"{page}/archive")
    refresh(project)
    assert (project.name, project.is_stopped, project.is_archived) == ("Main", True, False)
    assert "revoke them first" in text_of(ada.get(page))
    assert Visit(world.ben).post(f"{page}/archive", {"is_archived": "yes"}).status_code == 403
    with org_scope(world.acme.org.pk):
        assert Project.objects.get(pk=project.pk).is_stopped


def test_end_users_that_calls_named_and_that_are_known(world: World) -> None:
    ben = Visit(world.ben)
    record_call(world.acme, NOW - timedelta(hours=1), cost=10**9, end_user="mia", input_tokens=900, output_tokens=100)
    assert ben.submit("/o/acme/end-users/new", external_id="tom", name="Tom T.").status_code == 302
    assert rows_of(ben.get("/o/acme/end-users")) == ["mia $1.00 1 1,000 Block", "tom Tom T. $0.00 0 0 Block"]
    ben.press("/o/acme/end-users?q=mia", "/o/acme/end-users/block")
    with org_scope(world.acme.org.pk):
        assert EndUser.objects.get(external_id="mia").is_blocked
    assert "blocked Admit" in rows_of(ben.get("/o/acme/end-users?q=mia"))[0]
    ben.press("/o/acme/end-users?q=mia", "/o/acme/end-users/block")
    with org_scope(world.acme.org.pk):
        assert not EndUser.objects.get(external_id="mia").is_blocked
    bad = ben.submit("/o/acme/end-users/new", external_id="two words")
    assert (bad.status_code, "without blanks" in error_of(bad)) == (400, True)


def test_on_the_first_of_a_month_end_users_of_the_month_before_are_still_there(world: World) -> None:
    first = datetime(2026, 12, 1, 0, 30, tzinfo=UTC)
    record_call(world.acme, NOW, cost=10**9, end_user="mia", input_tokens=900, output_tokens=100)
    with time_machine.travel(first, tick=False):
        page = Visit(world.ben).get("/o/acme/end-users")
    assert rows_of(page) == ["mia $1.00 1 1,000 Block"]
    assert "Spend in 30 days" in text_of(page)
    assert 'href="/o/acme/requests?range=30d&amp;end_user=mia"' in page.content.decode()
    with time_machine.travel(first + timedelta(days=7), tick=False):
        page = Visit(world.ben).get("/o/acme/end-users")
    assert (rows_of(page), "No end user this month" in text_of(page)) == ([], True)
    assert "those of earlier months are in the breakdown" in text_of(page)
    with time_machine.travel(first + timedelta(days=33), tick=False):
        page = Visit(world.ben).get("/o/acme/end-users")
    # The breakdown has the same thirty days.
    assert ("No end user in 30 days" in text_of(page), "breakdown" in text_of(page).partition("No end user")[2]) == (
        True,
        False,
    )


def test_members_are_added_given_roles_and_removed(world: World) -> None:
    ada = Visit(world.ada)
    assert ada.submit("/o/acme/members/new", email="Cleo@acme.example", role="finance").status_code == 302
    assert "cleo@acme.example finance 22 Nov 2026" in rows_of(ada.get("/o/acme/members"))
    with org_scope(world.acme.org.pk):
        cleo = Membership.objects.get(user__email="cleo@acme.example")
        last_owner = Membership.objects.get(org=world.acme.org, user=world.ada)
    assert ada.submit(f"/o/acme/members/{cleo.pk}", role="admin").status_code == 302
    ada.post(f"/o/acme/members/{cleo.pk}/remove", {"confirm": "cleo"})
    with org_scope(world.acme.org.pk):
        assert Membership.objects.get(pk=cleo.pk).role == "admin"
    ada.post(f"/o/acme/members/{cleo.pk}/remove", {"confirm": "cleo@acme.example"})
    with org_scope(world.acme.org.pk):
        assert not Membership.objects.filter(pk=cleo.pk).exists()
    refused = ada.submit(f"/o/acme/members/{last_owner.pk}", role="viewer")
    assert (refused.status_code, "last owner" in error_of(refused)) == (409, True)
    for email in ("nobody", "a@b", "<script>@x.example", ""):
        assert ada.submit("/o/acme/members/new", email=email, role="viewer").status_code == 400, email


def test_nobody_makes_themselves_more_than_they_are(world: World) -> None:
    with org_scope(world.acme.org.pk):
        ben = Membership.objects.get(org=world.acme.org, user=world.ben)
        ada = Membership.objects.get(org=world.acme.org, user=world.ada)
    visit = Visit(world.ben)
    assert visit.post(f"/o/acme/members/{ben.pk}", {"role": "owner"}).status_code == 403
    assert visit.post("/o/acme/members/new", {"email": "x@y.example", "role": "owner"}).status_code == 403
    assert visit.post(f"/o/acme/members/{ada.pk}/remove", {"confirm": world.ada.email}).status_code == 403
    with org_scope(world.acme.org.pk):
        set_role(actor=world.acme.owner, membership=ben, role=Role.ADMIN)
    # An admin manages members, and makes no owner.
    assert visit.submit(f"/o/acme/members/{ben.pk}", role="owner").status_code == 403
    refresh(ben)
    assert ben.role == "admin"
    # Anybody may leave.
    visit.post(f"/o/acme/members/{ben.pk}/remove", {"confirm": world.ben.email})
    assert visit.get("/o/acme/keys").status_code == 404


def test_the_page_of_roles_says_what_the_table_says(world: World) -> None:
    shown = text_of(Visit(world.ben).get("/o/acme/members"))
    assert "Make, change, rotate and revoke keys; make end users ✓ ✓ – ✓ –" in shown
    for permission, words in MEANINGS.items():
        ticks = " ".join("✓" if permission in PERMISSIONS[role] else "–" for role in Role)
        assert f"{words[0].upper()}{words[1:]} {ticks}" in shown


def test_the_audit_log_tells_who_changed_what(world: World) -> None:
    budget = make_budget(world.acme, "10.00")
    ada = Visit(world.ada)
    ada.submit(f"/o/acme/budgets/{budget.pk}", limit="20")
    page = ada.get("/o/acme/audit-log?q=budget.updated")
    assert len(rows_of(page)) == 1
    assert "limit $10.00 $20.00" in rows_of(page)[0]
    assert world.ada.email in rows_of(page)[0]
    kinds = rows_of(ada.get("/o/acme/audit-log?kind=budget"))
    assert [("budget.updated" in row, "budget.created" in row) for row in kinds] in (
        [(True, False), (False, True)],
        [(False, True), (True, False)],
    )


def test_the_audit_log_is_narrowed_to_days(world: World) -> None:
    with time_machine.travel(NOW - timedelta(days=9), tick=False):
        make_budget(world.acme, "10.00")
    ada = Visit(world.ada)
    day = f"{NOW - timedelta(days=9):%Y-%m-%d}"
    for query, is_there in (
        (f"from={day}&to={day}", True),
        (f"to={day}", True),
        (f"from={NOW:%Y-%m-%d}", False),
        ("to=2020-01-01", False),
    ):
        page = ada.get(f"/o/acme/audit-log?q=budget.created&{query}")
        assert ("budget.created" in " ".join(rows_of(page))) == is_there, query
    html = ada.get(f"/o/acme/audit-log?from={day}").content.decode()
    assert html.count(f'name="from" type="date" value="{day}"') == 1
    assert html.count('name="from"') == 1
    wrong = ada.get("/o/acme/audit-log?to=yesterday")
    assert (wrong.status_code, "to: give a day as 2026-11-22" in error_of(wrong)) == (400, True)


def test_settings_move_the_organisation(world: World) -> None:
    ada = Visit(world.ada)
    assert ada.submit("/o/acme/settings", name="Acme & Söhne", time_zone="Asia/Kolkata").status_code == 302
    org = world.acme.org
    refresh(org)
    assert (org.name, org.time_zone) == ("Acme & Söhne", "Asia/Kolkata")
    bad = ada.submit("/o/acme/settings", time_zone="Moon/Base")
    assert (bad.status_code, "IANA name" in error_of(bad)) == (400, True)
    stop = "/o/acme/settings/stop"
    ada.press("/o/acme/settings", stop, confirm="Acme")
    assert not is_stopped(org)
    sent = read_button(ada.get("/o/acme/settings").content.decode(), stop) | {"confirm": "Acme & Söhne"}
    ada.post(stop, sent)
    assert is_stopped(org)
    # Somebody else, who pressed the same button a moment later, with the name or without.
    for again in (sent, sent | {"confirm": ""}, {}):
        ada.post(stop, again)
        assert is_stopped(org)
    assert "stopped by somebody" in text_of(Visit(world.ben).get("/o/acme/settings"))
    assert Visit(world.ben).post("/o/acme/settings/stop", {"is_stopped": "no"}).status_code == 403


def test_settings_say_what_is_kept_and_who_needs_a_second_factor(world: World) -> None:
    ada, org = Visit(world.ada), world.acme.org
    page = text_of(ada.get("/o/acme/settings"))
    assert "Texts of calls no answers; nothing to learn from" in page
    assert "Second factor everybody's own choice" in page
    consent(world.acme)
    assert ada.submit("/o/acme/settings", answers_kept_hours="24").status_code == 302
    assert ada.submit("/o/acme/settings", answers_kept_hours="9000").status_code == 400
    assert ada.submit("/o/acme/settings", answers_kept_hours="-1").status_code == 400
    refresh(org)
    assert org.answers_kept_hours == 24
    page = text_of(ada.get("/o/acme/settings"))
    assert (
        "answers of calls that ask for it ( store ), for 24 h, sealed; calls to learn from, as 1 consent says, sealed"
        in page
    )
    # Whoever has no second factor would lock themselves out.
    refused = ada.submit("/o/acme/settings", requires_second_factor="1", name="Other")
    assert (refused.status_code, "locked out" in error_of(refused)) == (409, True)
    refresh(org)
    assert (org.name, org.requires_second_factor) == ("Acme", False)
    TOTP.activate(world.ada, generate_totp_secret())
    assert ada.submit("/o/acme/settings", requires_second_factor="1").status_code == 302
    refresh(org)
    assert org.requires_second_factor
    assert "asked of owners, admins and finance" in text_of(Visit(world.ben).get("/o/acme/settings"))
    told = " ".join(rows_of(ada.get("/o/acme/audit-log?q=organization.updated")))
    assert ("requires second factor false true" in told, "answers kept hours 0 24" in told) == (True, True)


def test_amounts_are_hidden_from_callers_of_all_keys(world: World) -> None:
    ada, org = Visit(world.ada), world.acme.org
    assert "Amounts told to callers, but for keys that hide them" in text_of(ada.get("/o/acme/settings"))
    assert ada.submit("/o/acme/settings", hides_amounts="1").status_code == 302
    refresh(org)
    assert org.hides_amounts
    assert "Amounts not told to callers of any key" in text_of(Visit(world.ben).get("/o/acme/settings"))
    told = " ".join(rows_of(ada.get("/o/acme/audit-log?q=organization.updated")))
    assert "hides amounts false true" in told
    # What Ada sees of money on her own pages is as ever.
    assert "$" in text_of(ada.get("/o/acme/"))
    api = Api(token=world.acme.admin_token)
    answer = api.patch(f"/organizations/{org.pk}", {"hides_amounts": False})
    assert (answer.status_code, answer.json()["hides_amounts"]) == (200, False)
    assert ada.submit("/o/acme/settings", hides_amounts="1").status_code == 302
    User.objects.filter(pk=world.ada.pk).update(last_login=NOW - timedelta(minutes=16))
    asked = ada.submit("/o/acme/settings", hides_amounts=None)
    assert asked.headers["Location"].startswith("/account/reauthenticate/")


def test_what_keeps_more_and_what_lets_people_in_asks_again_who_it_is(world: World) -> None:
    ada, org = Visit(world.ada), world.acme.org
    ada.submit("/o/acme/settings", answers_kept_hours="24")
    User.objects.filter(pk=world.ada.pk).update(last_login=NOW - timedelta(minutes=16))
    for typed in ({"answers_kept_hours": "25"}, {"requires_second_factor": "1"}):
        answer = ada.submit("/o/acme/settings", **typed)
        assert answer.headers["Location"].startswith("/account/reauthenticate/"), typed
    # What was typed stands there once more; then the form is as it was.
    assert 'name="requires_second_factor" value="1" checked' in ada.get("/o/acme/settings").content.decode()
    assert ada.submit("/o/acme/settings", answers_kept_hours="2", name="Acme 2").status_code == 302
    refresh(org)
    assert (org.name, org.answers_kept_hours, org.requires_second_factor) == ("Acme 2", 2, False)
