"""The operators' pages, and their visits to organisations that allow one."""

from datetime import timedelta
from math import inf

import pytest
import time_machine
from allauth.mfa.models import Authenticator
from redis.exceptions import ConnectionError as RedisConnectionError

from costhub.console import health
from costhub.lib import clock
from costhub.ops.backlog import Backlog
from costhub.ops.jobs import JobAge
from costhub.ops.schedule import Job
from costhub.ops.watch import Trouble
from tenants.access import org_scope
from tenants.actions.orgs import find_or_create_user
from tenants.choices import Role
from tenants.models import Membership, User
from tenants.selectors import load_org_snapshot
from tests.audit import read_audit
from tests.console.client import Visit, rows_of, text_of
from tests.world import Api, World


def make_operator(*, has_factor: bool = True) -> User:
    user = find_or_create_user("olga@costhub.example")
    user.is_platform_operator = True
    user.save()
    if has_factor:
        Authenticator.objects.create(user=user, type=Authenticator.Type.TOTP, data={})
    return user


def entries(world: World) -> list[tuple[str, str]]:
    return [(one.actor, one.action) for one in read_audit(world.acme.org, target_kind="organization")][1:]


def test_the_pages_are_operators_only_with_a_second_factor_and_fresh(world: World) -> None:
    assert Visit(world.ada).get("/staff/").status_code == 404
    assert Visit(None).get("/staff/").headers["Location"] == "/login?next=/staff/"
    assert Visit(make_operator(has_factor=False)).get("/staff/").headers["Location"] == "/account/2fa/"
    olga = Visit(make_operator())
    for name, people in (("Acme", 2), ("Mallcorp", 1)):
        # Other tests may have left organisations whose names are longer.
        (row, *_) = rows_of(olga.get(f"/staff/?q={name}"))
        assert row == f"{name} {name.lower()} {clock.now():%-d %b %Y} {people} open not allowed Close"
    assert olga.get("/staff/?sort=colour").status_code == 400
    User.objects.update(last_login=clock.now() - timedelta(minutes=16))
    assert olga.get("/staff/").headers["Location"] == "/account/reauthenticate/?next=/staff/"


def test_nobody_looks_in_uninvited(world: World) -> None:
    olga, path = Visit(make_operator()), f"/staff/{world.acme.org.pk}/visit"
    olga.post(path, {"reason": "curious"})
    assert "Acme allows no visits" in text_of(olga.get("/staff/"))
    assert olga.get("/o/acme/").status_code == 404
    assert Visit(world.mallory).post(path, {"reason": "curious"}).status_code == 404
    assert olga.post("/staff/x/visit", {"reason": "curious"}).status_code == 404


def test_a_visit_sees_changes_nothing_and_ends(world: World) -> None:
    ada, olga = Visit(world.ada), Visit(make_operator())
    ada.press("/o/acme/settings", "/o/acme/settings/visits")
    assert "Operators may look in for a day." in text_of(ada.get("/o/acme/settings"))
    path = f"/staff/{world.acme.org.pk}/visit"
    olga.post(path, {"reason": " "})
    assert "Say in one line" in text_of(olga.get("/staff/"))
    began = olga.post(path, {"reason": "ticket 12"})
    assert began.headers["Location"] == "/o/acme/settings"
    assert "You look into Acme as an operator until" in text_of(olga.get("/o/acme/"))
    assert olga.get("/o/acme/tokens").status_code == 403
    for form in ("keys/new", "members/new", "settings", "budgets/new"):
        refused = olga.post(f"/o/acme/{form}", {"name": "x", "email": "x@acme.example", "role": "viewer"})
        assert (refused.status_code, "you change nothing there" in text_of(refused)) == (403, True), form
    assert (
        Api(user=User.objects.get(email="olga@costhub.example"), org="acme").post("/keys", {"name": "k"}).status_code
        == 403
    )
    # What a viewer may do for all, or for themselves, is no visitor's either.
    view = {"name": "mine", "page": "breakdown", "query": "range=7d"}
    assert olga.post("/o/acme/views", view).status_code == 403
    api = Api(user=User.objects.get(email="olga@costhub.example"), org="acme")
    assert (api.get("/saved-views").json()["data"], api.post("/saved-views", view).status_code) == ([], 403)
    (visit,) = [one for one in Api(token=world.acme.admin_token).get("/members").json()["data"] if one["visit_until"]]
    assert api.delete(f"/members/{visit['id']}").status_code == 403
    assert "operator, until" in text_of(ada.get("/o/acme/members"))
    olga.post(f"/staff/{world.acme.org.pk}/leave")
    assert olga.get("/o/acme/").status_code == 404
    assert entries(world) == [
        ("ada@acme.example", "organization.updated"),
        ("operator olga@costhub.example", "organization.visited"),
        ("operator olga@costhub.example", "organization.left"),
    ]


def test_it_ends_by_itself_and_with_the_permission(world: World) -> None:
    ada, olga = Visit(world.ada), Visit(make_operator())
    path = f"/staff/{world.acme.org.pk}/visit"
    api = Api(token=world.acme.admin_token)
    for wrong in (-1, 169):
        assert api.patch(f"/organizations/{world.acme.org_id}", {"visits_allowed_hours": wrong}).status_code == 400
    assert api.patch(f"/organizations/{world.acme.org_id}", {"visits_allowed_hours": 2}).status_code == 200
    olga.post(path, {"reason": "ticket 12"})
    assert olga.get("/o/acme/").status_code == 200
    (visit,) = [one for one in api.get("/members").json()["data"] if one["visit_until"]]
    # As an owner it would still be one when the visit is over.
    assert api.patch(f"/members/{visit['id']}", {"role": "owner"}).status_code == 409
    with time_machine.travel(clock.now() + timedelta(minutes=61)):
        assert olga.get("/o/acme/").status_code == 404
    ada.press("/o/acme/settings", "/o/acme/settings/visits")
    assert olga.get("/o/acme/").status_code == 404
    assert Visit(world.ben).post("/o/acme/settings/visits", {"allow": "yes"}).status_code == 403
    ada.submit("/o/acme/members/new", email="olga@costhub.example", role="developer")
    with org_scope(world.acme.org.pk):
        member = Membership.objects.get(user__email="olga@costhub.example")
    assert (member.role, member.visit_until) == (Role.DEVELOPER.value, None)


def test_an_operator_closes_an_organisation_and_opens_it_again(world: World) -> None:
    ada, olga, api = Visit(world.ada), Visit(make_operator()), Api(token=world.acme.admin_token)
    path = f"/staff/{world.acme.org.pk}"
    for given, words in (
        ({"confirm": "acme"}, "Say in one line of at most 200 characters why: Acme reads it."),
        ({"reason": "abuse"}, "Type acme to close Acme."),
        ({"reason": "abuse", "confirm": "mallcorp"}, "Type acme to close Acme."),
    ):
        olga.post(f"{path}/close", given)
        assert words in text_of(olga.get("/staff/"))
    assert (ada.get("/o/acme/").status_code, api.get("/keys").status_code) == (200, 200)
    assert Visit(world.ada).post(f"{path}/close", {"reason": "abuse", "confirm": "acme"}).status_code == 404
    olga.post(f"{path}/close", {"reason": "abuse, ticket 12", "confirm": "acme"})
    assert "Acme is closed: its calls are refused from now on." in text_of(olga.get("/staff/"))
    assert (ada.get("/o/acme/").status_code, api.get("/keys").status_code) == (404, 401)
    snapshot = load_org_snapshot(str(world.acme.org.pk))
    assert snapshot is not None
    assert snapshot.is_active is False
    olga.post(f"{path}/close", {"reason": "again", "confirm": "acme"})
    assert "Acme is closed already." in text_of(olga.get("/staff/"))
    olga.post(f"{path}/reopen", {"reason": "they explained"})
    assert (ada.get("/o/acme/").status_code, api.get("/keys").status_code) == (200, 200)
    assert entries(world) == [
        ("operator olga@costhub.example", f"organization.{verb}")
        for verb in ("closed", "updated", "reopened", "updated")
    ]


def test_health_tells_of_jobs_and_of_what_waits(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """What Valkey says is other tests' too, so that it is said here what it says."""
    quick, slow, unseen = (Job(f"a.tasks.{name}", 5) for name in ("drain", "sweep", "count"))
    monkeypatch.setattr(health, "read_ages", lambda: [JobAge(quick, 2.04), JobAge(slow, 75), JobAge(unseen, inf)])
    monkeypatch.setattr(health, "read_backlog", lambda: Backlog(holds=3, events=1_200, lag_seconds=2.5))
    monkeypatch.setattr(health, "count_queued", lambda: 7)
    monkeypatch.setattr(health, "find_troubles", lambda: [Trouble("job sweep", "The job sweep is late.")])
    olga = Visit(make_operator())
    page = olga.get("/staff/health")
    assert rows_of(page) == ["drain 2.0 60 on time", "sweep 75.0 60 late", "count never 60 late"]
    assert "The job sweep is late. Calls that hold money 3" in text_of(page)
    assert "Calls on their way into the ledger 1,200, the oldest for 2.5 s Tasks that wait for a worker 7" in text_of(
        page
    )
    monkeypatch.setattr(health, "find_troubles", list)
    assert "Every job runs, and nothing waits too long." in text_of(olga.get("/staff/health"))
    assert Visit(world.ada).get("/staff/health").status_code == 404


def test_health_says_where_valkey_is_away(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    olga = Visit(make_operator())

    def fail() -> None:
        raise RedisConnectionError("no route")

    monkeypatch.setattr(health, "read_ages", fail)
    page = olga.get("/staff/health")
    assert (page.status_code, "Valkey does not answer" in text_of(page)) == (503, True)
