"""The page of alerts, and the link that stops mails without a sign-in."""

import re
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any

import pytest
from django.test import Client

from billing.alerts.actions.alerts import report
from billing.alerts.actions.deliveries import take_due
from billing.alerts.actions.mutes import make_mute_token
from billing.alerts.actions.rules import ensure_rules
from billing.alerts.core.kinds import KINDS, Fact
from billing.alerts.models import Alert, AlertRule, Channel, Delivery, Mute
from billing.alerts.selectors import list_alerts, list_gravest, list_mailed_kinds
from billing.choices import TOPICS, AlertKind, Topic
from costhub.lib import clock
from tenants.access import Actor, org_scope
from tenants.actions.orgs import add_member, find_or_create_user
from tenants.choices import Role
from tenants.models import Membership
from tests.billing.ledger import record_call
from tests.console.client import Visit, error_of, text_of
from tests.world import Api, World, close_scopes, make_client


@pytest.fixture
def alert(world: World) -> Alert:
    fact = Fact(AlertKind.UNPRICED, "new", 1, {"model": "<b>new</b>", "refused": 3, "answered": 0}, clock.now())
    with org_scope(world.acme.org.pk):
        (made,) = report(world.acme.org, AlertKind.UNPRICED, [fact], now=clock.now(), is_complete=True)
    return made


def sign_in(user: Any) -> Client:
    client = make_client()
    client.force_login(user)
    close_scopes()
    return client


def test_the_page_shows_what_stands_and_somebody_takes_care_of_it(world: World, alert: Alert) -> None:
    ben = sign_in(world.ben)
    page = ben.get("/o/acme/alerts").content.decode()
    assert "The model &lt;b&gt;new&lt;/b&gt; has no price" in page
    assert "1 open" in page
    assert 'href="/o/acme/requests?model=%3Cb%3Enew%3C%2Fb%3E&amp;status=refused"' in page
    close_scopes()
    assert ben.post(f"/o/acme/alerts/{alert.pk}/acknowledge").status_code == 302
    close_scopes()
    assert f"{world.ben.email} takes care of it" in ben.get("/o/acme/alerts").content.decode()


def test_an_anomaly_leads_to_the_calls_of_its_day(world: World) -> None:
    day = datetime(2026, 11, 21, tzinfo=UTC)
    details = {
        "who": "Model small",
        "unit": "day",
        "starts": day.isoformat(),
        "actual": 12 * 10**9,
        "expected": 10**9,
        "low": 10**8,
        "high": 2 * 10**9,
        "is_drop": False,
        "driver": "more calls",
    }
    for scope, subject in (("model", "a:b"), ("organization", "")):
        fact = Fact(AlertKind.ANOMALY, f"{scope}:{subject}:day", 1_100, details, window_start=day)
        with org_scope(world.acme.org.pk):
            report(world.acme.org, AlertKind.ANOMALY, [fact], now=clock.now(), is_complete=False)
    page = sign_in(world.ada).get("/o/acme/alerts").content.decode()
    for query in ("from=2026-11-21&amp;to=2026-11-21", "from=2026-11-21&amp;to=2026-11-21&amp;model=a%3Ab"):
        assert f'href="/o/acme/requests?{query}">Its calls</a>' in page, query


def test_of_several_thresholds_the_gravest_is_shown(world: World) -> None:
    acme, now = world.acme, clock.now()
    details = {"name": "web", "prefix": "chk_", "expires": now.isoformat()}
    facts = [Fact(AlertKind.KEY_EXPIRING, "k", 2, details, now), Fact(AlertKind.KEY_EXPIRING, "j", 9, details, now)]
    with org_scope(acme.org.pk):
        report(acme.org, AlertKind.KEY_EXPIRING, facts, now=now, is_complete=True)
        shown = {(alert.subject, alert.threshold) for alert in list_gravest(acme.owner)}
    assert shown == {("k", 3), ("j", 14)}
    assert "2 open" in sign_in(world.ada).get("/o/acme/alerts").content.decode()


@pytest.fixture
def several(world: World) -> None:
    """Two expiring keys, one of which has crossed two thresholds, 51 unpriced models, and an upstream that fails."""
    acme, now = world.acme, clock.now()
    details = {"name": "web", "prefix": "chk_", "expires": now.isoformat()}
    keys = [Fact(AlertKind.KEY_EXPIRING, str(acme.key.pk), days, details, now) for days in (14, 3)]
    names = [f"m{place:02d}" for place in range(51)]
    told = [
        Fact(AlertKind.UNPRICED, name, 1, {"model": name, "refused": 1, "answered": 0}, now - timedelta(minutes=1))
        for name in names
    ]
    failing = {"name": "open ai", "calls": 10, "failed": 9, "minutes": 5, "error": "503"}
    with org_scope(acme.org.pk):
        for fact in keys:
            report(acme.org, AlertKind.KEY_EXPIRING, [fact], now=now, is_complete=True)
        report(acme.org, AlertKind.UNPRICED, told, now=now, is_complete=True)
        report(
            acme.org, AlertKind.UPSTREAM, [Fact(AlertKind.UPSTREAM, str(acme.org.pk), 90, failing)], now=now,
            is_complete=True,
        )  # fmt: skip


def titles_of(page: str) -> list[str]:
    return re.findall(r"<h3>(.*?)</h3>", page)


@pytest.mark.usefixtures("several")
def test_page_and_api_count_alike_and_all_of_them_can_be_reached(world: World) -> None:
    ada = sign_in(world.ada)
    first = ada.get("/o/acme/alerts").content.decode()
    close_scopes()
    second = ada.get("/o/acme/alerts?page=2").content.decode()
    assert ("53 open" in first, len(titles_of(first)), len(titles_of(second))) == (True, 50, 3)
    api = Api(user=world.ada)
    found, cursor = [], ""
    while True:
        answer = api.get("/alerts", state="open", limit="20", **({"cursor": cursor} if cursor else {})).json()
        found += answer["data"]
        cursor = answer["next"] or ""
        if not cursor:
            break
    assert sorted(one["title"] for one in found) == sorted(map(unescape, titles_of(first) + titles_of(second)))
    (key,) = [one for one in found if one["kind"] == "key_expiring"]
    assert key["threshold"] == 3
    assert [one["kind"] for one in api.get("/alerts", severity="critical").json()["data"]] == ["upstream"]


@pytest.mark.usefixtures("several")
def test_alerts_are_found_by_severity_kind_and_words(world: World) -> None:
    ada = sign_in(world.ada)

    def show(query: str) -> str:
        close_scopes()
        return str(ada.get(f"/o/acme/alerts?{query}").content.decode())

    assert "1 open" in show("severity=critical")
    assert "1 open" in show("kind=key_expiring")
    assert titles_of(show("q=M07"))[0].startswith("The model m07 has no price")
    grave = show("sort=-severity")
    assert '<li class="alert critical' in grave.partition("<h3>")[0]
    assert "0 over" in show("state=over")
    for bad, words in (
        ("state=x", "state: give one of over."),
        ("severity=x", "critical, info, warning."),
        ("kind=x", "budget"),
    ):
        assert words in error_of(ada.get(f"/o/acme/alerts?{bad}")), bad  # type: ignore[arg-type]
        close_scopes()


@pytest.mark.usefixtures("several")
def test_each_leads_to_its_own_thing_with_what_can_be_done(world: World) -> None:
    slug, key = "/o/acme", world.acme.key.pk
    record_call(world.acme, clock.now())
    # The gravest first: fifty models without a price do not hide an upstream that fails.
    first = sign_in(world.ada).get(f"{slug}/").content.decode()
    assert first.index("Open the upstream") < first.index("Give it a price")
    expiring = sign_in(world.ada).get(f"{slug}/alerts?kind=key_expiring").content.decode()
    assert f'href="{slug}/keys/{key}">Rotate the key</a>' in expiring
    page = sign_in(world.ada).get(f"{slug}/alerts?q=m07").content.decode()
    assert f'href="{slug}/prices/new?model=m07">Give it a price</a>' in page
    assert f'href="{slug}/requests?model=m07&amp;status=refused">Its calls</a>' in page
    failing = sign_in(world.ada).get(f"{slug}/alerts?kind=upstream").content.decode()
    assert f'href="{slug}/upstreams/{world.acme.org.pk}">Open the upstream</a>' in failing
    assert f'href="{slug}/requests?upstream={world.acme.org.pk}&amp;status=failed">Its calls</a>' in failing


def test_each_role_has_boxes_of_what_it_is_mailed_and_the_others_stay_as_they_are(world: World) -> None:
    with org_scope(world.acme.org.pk):
        add_member(actor=world.acme.owner, email="al@acme.example", role=Role.ADMIN)
        al = find_or_create_user("al@acme.example")
        Mute.objects.create(org=world.acme.org, user=al, kind="budget")
    boxes = {
        name: re.findall(r'name="(?:kind|summary)" value="(\w+)"', sign_in(user).get("/o/acme/alerts").content.decode())
        for name, user in (("owner", world.ada), ("admin", al), ("developer", world.ben))
    }
    operations = [kind.value for kind in KINDS if TOPICS[kind] is Topic.OPERATIONS]
    assert boxes == {"owner": ["1", *(kind.value for kind in KINDS)], "admin": operations, "developer": []}
    assert (
        "No channel sends mails to members of the role developer"
        in sign_in(world.ben).get("/o/acme/alerts").content.decode()
    )
    sign_in(al).post("/o/acme/alerts/mails", {"kind": operations[1:]})
    with org_scope(world.acme.org.pk):
        assert sorted(Mute.objects.filter(user=al).values_list("kind", flat=True)) == sorted(["budget", operations[0]])
        assert Membership.objects.get(user=al).wants_summaries


def test_a_viewer_sees_no_money_and_takes_care_of_nothing(world: World, alert: Alert) -> None:
    with org_scope(world.acme.org.pk):
        add_member(actor=world.acme.owner, email="vic@acme.example", role=Role.VIEWER)
    vic = sign_in(find_or_create_user("vic@acme.example"))
    page = vic.get("/o/acme/alerts").content.decode()
    assert "has no price" not in page
    assert "Acknowledge" not in page
    close_scopes()
    assert vic.post(f"/o/acme/alerts/{alert.pk}/acknowledge").status_code == 404


def test_nor_in_alerts_of_drift(world: World) -> None:
    fact = Fact(AlertKind.DRIFT, "b", 1, {"who": "Acme", "counted": 123, "ledger": 456, "counters": 1})
    with org_scope(world.acme.org.pk):
        report(world.acme.org, AlertKind.DRIFT, [fact], now=clock.now(), is_complete=True)
        assert list(list_alerts(Actor(world.acme.org, Role.VIEWER, "vic"))) == []
        assert len(list_alerts(Actor(world.acme.org, Role.ADMIN, "al"))) == 1


def test_mallory_finds_neither_page_nor_alert(world: World, alert: Alert) -> None:
    mallory = sign_in(world.mallory)
    assert mallory.get("/o/acme/alerts").status_code == 404
    close_scopes()
    assert mallory.post(f"/o/mallcorp/alerts/{alert.pk}/acknowledge").status_code == 404


def test_one_chooses_ones_own_mails(world: World) -> None:
    ada = sign_in(world.ada)
    kept = [kind.value for kind in AlertKind if kind is not AlertKind.ANOMALY]
    assert ada.post("/o/acme/alerts/mails", {"kind": [*kept, "nonsense"]}).status_code == 302
    with org_scope(world.acme.org.pk):
        assert [(mute.user_id, mute.kind) for mute in Mute.objects.all()] == [(world.ada.pk, "anomaly")]
    ada.post("/o/acme/alerts/mails", {"kind": list(AlertKind)})
    with org_scope(world.acme.org.pk):
        assert not Mute.objects.exists()


class TestUnsubscribing:
    def mutes(self, world: World) -> list[str]:
        with org_scope(world.acme.org.pk):
            return sorted(Mute.objects.filter(user=world.ada).values_list("kind", flat=True))

    def test_a_link_asks_first_and_a_mail_program_does_not(self, world: World) -> None:
        link = f"/unsubscribe/{make_mute_token(world.acme.org_id, world.ada.pk, AlertKind.BUDGET)}"
        client = Client(enforce_csrf_checks=True)
        close_scopes()
        page = client.get(link).content.decode()
        assert re.search(r"gets mails of Acme about: Budgets", page)
        assert self.mutes(world) == []
        assert client.post(link, {"List-Unsubscribe": "One-Click"}).status_code == 200
        assert self.mutes(world) == ["budget"]
        client.post(link, {"again": "1"})
        assert self.mutes(world) == []

    def test_of_a_digest_it_stops_all(self, world: World) -> None:
        close_scopes()
        make_client().post(f"/unsubscribe/{make_mute_token(world.acme.org_id, world.ada.pk, None)}")
        assert self.mutes(world) == sorted(AlertKind)

    @pytest.mark.parametrize("token", ["x", "WzFd:1abc:x", "%00", "a" * 3000])
    def test_a_link_that_we_did_not_make_does_nothing(self, world: World, token: str) -> None:
        assert make_client().post(f"/unsubscribe/{token}").status_code == 404

    def test_nor_does_one_of_somebody_who_is_no_member(self, world: World) -> None:
        close_scopes()
        token = make_mute_token(world.acme.org_id, world.mallory.pk, AlertKind.BUDGET)
        assert make_client().post(f"/unsubscribe/{token}").status_code == 404


def test_kinds_of_another_release_are_passed_over(world: World, alert: Alert) -> None:
    """While a release is rolled out, or after it was taken back, rows of its kinds are there."""
    org = world.acme.org
    with org_scope(org.pk):
        AlertRule.objects.create(org=org, name="Weather", kind="weather")
        foreign = Alert.objects.create(
            org=org,
            rule=alert.rule,
            kind="weather",
            subject="s",
            window_start=clock.now(),
            threshold=1,
            facts={},
            severity="warning",
            created_at=clock.now(),
        )
        Channel.objects.filter(org=org).update(kinds=["weather", "unpriced"])
        (channel, *_) = Channel.objects.filter(org=org).order_by("created_at", "id")
        told = Delivery.objects.create(
            org=org,
            alert=foreign.pk,
            event="opened",
            channel=channel.pk,
            user=world.ada,
            due_at=clock.now(),
            created_at=clock.now(),
        )
        assert list(list_alerts(world.acme.owner)) == [alert]
        assert list_mailed_kinds(world.acme.owner) == {AlertKind.UNPRICED}
        assert {rule.kind for rule in ensure_rules(org)} == set(AlertKind)
        assert told.pk not in [row.pk for row in take_due(org, clock.now() + timedelta(days=1))], "another's to send"
    ada = sign_in(world.ada)
    for path in ("/o/acme/", "/o/acme/alerts", f"/o/acme/channels/{channel.pk}"):
        page = ada.get(path)
        assert page.status_code == 200, path
        assert "weather" not in page.content.decode().lower(), path
    # Whoever saves the channel has chosen among the kinds of this release, and keeps the others.
    assert Visit(world.ada).submit(f"/o/acme/channels/{channel.pk}", kinds=["budget"]).status_code == 302
    with org_scope(org.pk):
        channel.refresh_from_db()
    assert channel.kinds == ["budget", "weather"]
    api = Api(token=world.acme.admin_token)
    assert {row["kind"] for row in api.get("/alerts").json()["data"]} == {"unpriced"}
    assert {row["kind"] for row in api.get("/alert-rules?limit=100").json()["data"]} == {
        str(kind) for kind in AlertKind
    }


def test_a_message_that_was_given_up_says_why_and_is_sent_again(world: World, alert: Alert) -> None:
    reason = "551 5.7.1 Nobody of this name lives here"
    with org_scope(world.acme.org.pk):
        (row,) = Delivery.objects.filter(org=world.acme.org)
        Delivery.objects.filter(pk=row.pk).update(state="failed", error=reason, tries=9)
    path = f"/o/acme/alerts/messages/{row.pk}/send"
    ada, ben, mallory = (Visit(user) for user in (world.ada, world.ben, world.mallory))
    assert [(reason in text_of(it.get("/o/acme/alerts")), offers(it, path)) for it in (ada, ben)] == [
        (True, True),
        (True, False),
    ]
    assert (ben.post(path).status_code, mallory.post(path).status_code) == (403, 404)
    assert mallory.post(path.replace("/acme/", "/mallcorp/")).status_code == 404
    assert ada.post(path).headers["Location"] == "/o/acme/alerts#log-title"
    assert "The message is sent again." in text_of(ada.get("/o/acme/alerts"))
    assert not offers(ada, path)
    with org_scope(world.acme.org.pk):
        row.refresh_from_db()
        assert (row.state, row.tries, row.error) == ("queued", 0, "")
    # Pressed again on a page that is old, it does nothing and says so.
    ada.post(path)
    assert "Only a message that was given up or dropped can be sent again." in text_of(ada.get("/o/acme/alerts"))
    # By a channel that is off nothing is sent.
    with org_scope(world.acme.org.pk):
        Delivery.objects.filter(pk=row.pk).update(state="dropped")
        Channel.objects.filter(pk=row.channel).update(is_active=False)
    assert not offers(ada, path)


def offers(visit: Visit, path: str) -> bool:
    """Whether the page of alerts has the form."""
    return f'action="{path}"' in visit.get("/o/acme/alerts").content.decode()
