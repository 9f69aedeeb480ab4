"""Consent to keep calls, given and taken back by hand, and told in the audit log."""

from collections import Counter

import pytest

from proxy.learning.consent import forget_uncovered
from proxy.learning.models import CapturedCall
from tenants.access import org_scope
from tenants.actions.orgs import add_member
from tenants.choices import Role
from tenants.models import AuditEntry, CapturePolicy, User
from tests.audit import read_audit
from tests.console.client import Visit, error_of, read_form, refresh, text_of
from tests.proxy.learning.rows import capture
from tests.tenants.route_examples import make_models, make_route
from tests.world import World, sign_in_now

NEW = "/o/acme/learning/consents/new"


@pytest.fixture
def ada(world: World) -> Visit:
    make_models(world.acme)
    return Visit(world.ada)


def test_a_consent_is_given_narrowed_and_taken_back(ada: Visit, world: World) -> None:
    acme = world.acme
    make_route(acme, name="smart")
    assert "None: nothing that is said in calls is kept." in text_of(ada.get("/o/acme/learning"))
    page = ada.get(NEW).content.decode()
    assert "smart (route)" in page
    assert read_form(page)["per_mille"] == "100"
    made = ada.submit(NEW, model="small", per_mille="250", kept_days="7")
    assert made.headers["Location"] == "/o/acme/learning"
    with org_scope(acme.org.pk):
        row = CapturePolicy.objects.get(org=acme.org)
    assert (row.model, row.per_mille, row.kept_days) == ("small", 250, 7)
    assert "small 250 of a thousand, for 7 days" in text_of(ada.get("/o/acme/learning"))
    # What has one is not offered another.
    assert '<option value="small"' not in ada.get(NEW).content.decode()
    path = f"/o/acme/learning/consents/{row.pk}"
    assert ada.submit(path, per_mille="0").status_code == 302
    refresh(row)
    assert (row.per_mille, row.kept_days) == (0, 7)
    capture(acme, "Where?", "There.")
    # It goes for good: by its words alone.
    assert ada.post(f"{path}/remove", {"confirm": "small"}).headers["Location"] == path
    assert ada.post(f"{path}/remove", {"confirm": "take back"}).headers["Location"] == "/o/acme/learning"
    forget_uncovered(acme.org.pk)
    with org_scope(acme.org.pk):
        assert not CapturePolicy.objects.filter(org=acme.org).exists()
        assert not CapturedCall.objects.filter(org=acme.org).exists()
    told = read_audit(acme.org, target_id=str(row.pk))
    assert [each.action.partition(".")[2] for each in told] == ["created", "updated", "deleted"]


@pytest.mark.parametrize(
    ("typed", "field", "words"),
    [
        ({"per_mille": "1001"}, "per_mille", "Give from 0 to 1,000 of a thousand calls."),
        ({"per_mille": "some"}, "per_mille", "Give a whole number"),
        ({"kept_days": "0"}, "kept_days", "Give from 1 to 365 days."),
        ({"kept_days": ""}, "kept_days", "Fill this in."),
        ({"model": "nobody"}, "model", "Give one of the organisation's models or routes"),
    ],
)
def test_what_cannot_be_is_said_at_its_field(ada: Visit, typed: dict[str, str], field: str, words: str) -> None:
    answer = ada.submit(NEW, **typed)
    assert (answer.status_code, words in error_of(answer)) == (400, True)
    assert f'id="field-{field}-error"' in answer.content.decode()


def test_more_is_kept_only_by_who_has_just_shown_that_it_is_them(ada: Visit, world: World) -> None:
    world.ada.set_password("correct horse battery staple")
    world.ada.save()
    sign_in_now(ada.client, world.ada)
    session = ada.client.session
    records = session["account_authentication_methods"]
    records[0]["at"] -= 16 * 60
    session["account_authentication_methods"] = records
    session.save()
    sent = ada.submit(NEW, per_mille="10")
    assert (sent.status_code, "/account/reauthenticate/" in sent.headers["Location"]) == (302, True)
    with org_scope(world.acme.org.pk):
        assert not CapturePolicy.objects.filter(org=world.acme.org).exists()


WITHDRAW = "/o/acme/learning/end-users/withdraw"


def count_kept(world: World) -> dict[str, int]:
    """How many calls are kept of each end user."""
    with org_scope(world.acme.org.pk):
        return dict(Counter(CapturedCall.objects.filter(org=world.acme.org).values_list("end_user", flat=True)))


def test_an_end_users_word_erases_theirs_and_nobody_elses(ada: Visit, world: World) -> None:
    for end_user in ("una", "una", "leo"):
        capture(world.acme, f"From {end_user}?", "Yes.", end_user=end_user)
    assert f'href="{WITHDRAW}"' in ada.get("/o/acme/learning").content.decode()
    wrong = ada.submit(WITHDRAW, end_user="")
    assert (wrong.status_code, error_of(wrong)) == (400, "Fill this in.")
    assert 'id="field-end_user-error"' in wrong.content.decode()
    long = ada.submit(WITHDRAW, end_user="u" * 201)
    assert (long.status_code, error_of(long)) == (400, "Give at most 200 characters.")
    assert ada.submit(WITHDRAW, end_user="Una").headers["Location"] == "/o/acme/learning"
    assert "Nothing was kept of calls of Una: look whether" in text_of(ada.get("/o/acme/learning"))
    assert count_kept(world) == {"una": 2, "leo": 1}
    sent = read_form(ada.get(WITHDRAW).content.decode()) | {"end_user": "una"}
    assert ada.post(WITHDRAW, sent).headers["Location"] == "/o/acme/learning"
    assert "Of una 2 kept calls and 0 examples of datasets are erased." in text_of(ada.get("/o/acme/learning"))
    assert ada.post(WITHDRAW, sent).status_code == 409
    assert count_kept(world) == {"leo": 1}
    with org_scope(world.acme.org.pk):
        told = AuditEntry.objects.filter(org=world.acme.org, action="organization.withdrew_consent")
        found = sorted(each.changes["end_user"] for each in told)
    assert found == ["Una", "una"]


def test_who_may_not_change_settings_forgets_nobody(ada: Visit, world: World) -> None:
    capture(world.acme, "From una?", "Yes.", end_user="una")
    with org_scope(world.acme.org.pk):
        add_member(actor=world.acme.owner, email="fin@acme.example", role=Role.FINANCE)
    fin = Visit(User.objects.get(email="fin@acme.example"))
    assert WITHDRAW not in fin.get("/o/acme/learning").content.decode()
    assert fin.get(WITHDRAW).status_code == 403
    assert fin.post(WITHDRAW, {"end_user": "una"}).status_code == 403
    assert count_kept(world) == {"una": 1}
