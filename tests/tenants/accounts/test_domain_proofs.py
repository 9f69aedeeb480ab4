"""A domain that is proved is looked at again: what happens when its challenge goes, comes back, and stays away."""

from datetime import timedelta

import time_machine
from django.core import mail as mail_box
from pytest_django import DjangoCaptureOnCommitCallbacks, Settings

from costhub.lib import clock
from tenants.access import org_scope
from tenants.actions.domain_proofs import prove_again
from tenants.actions.orgs import answers_for
from tenants.models import ClaimedDomain
from tests.audit import read_audit
from tests.billing.ledger import NOW
from tests.console.client import Visit, text_of
from tests.lib.name_server import serve_text_records
from tests.world import Api, World

DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)


def look(world: World) -> int:
    return prove_again(world.acme.org_id, ends_at_ns=clock.ends_in(60))


def told(world: World) -> list[str]:
    return [entry.action.partition(".")[2] for entry in read_audit(world.acme.org, target_kind="claimed_domain")]


def is_proved(world: World) -> bool:
    with org_scope(world.acme.org.pk):
        return answers_for(world.acme.org, "ada@acme.example")


def test_a_proof_that_is_gone_lapses_after_a_fortnight_and_not_by_an_accident(world: World, settings: Settings) -> None:
    api, records = Api(token=world.acme.admin_token), dict[str, str]()
    with serve_text_records(records) as settings.DNS_SERVER, time_machine.travel(NOW, tick=False) as time:
        claimed = api.post("/domains", {"name": "acme.example"}).json()
        challenge = {"_costhub.acme.example": claimed["challenge"]}
        assert look(world) == 0  # nobody has proved it yet
        time.shift(MINUTE)
        records |= challenge
        assert api.post(f"/domains/{claimed['id']}/verify").status_code == 200
        assert look(world) == 0  # that was a moment ago
        time.shift(DAY)
        assert (look(world), told(world)) == (1, ["claimed", "verified"])
        records.clear()
        assert look(world) == 0
        time.shift(DAY)
        gone_at = clock.now()
        assert (look(world), told(world)[2:], is_proved(world)) == (1, ["missed"], True)
        assert api.get(f"/domains/{claimed['id']}").json()["missing_since"] == f"{gone_at:%Y-%m-%dT%H:%M:%SZ}"
        page = text_of(Visit(world.ada).get("/o/acme/sign-ons"))
        assert f"its proof is gone since {gone_at:%-d %b %Y}: put it back within 14 days" in page
        time.shift(10 * DAY)
        records |= challenge
        assert (look(world), told(world)[3:], is_proved(world)) == (1, ["found"], True)
        records.clear()
        for step, is_left in ((DAY, True), (13 * DAY, True), (DAY, False)):
            time.shift(step)
            assert (look(world), is_proved(world)) == (1, is_left), step
        assert told(world)[4:] == ["missed", "lapsed"]
        time.shift(DAY)
        assert look(world) == 0
        with org_scope(world.acme.org.pk):
            assert not ClaimedDomain.objects.filter(verified_at__isnull=False).exists()
        # Whoever owns it now proves it anew.
        records |= challenge
        assert api.post(f"/domains/{claimed['id']}/verify").status_code == 200
        assert is_proved(world)


def test_who_can_put_the_challenge_back_is_mailed_when_it_is_gone_and_when_the_proof_lapses(
    world: World, settings: Settings, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    api, records = Api(token=world.acme.admin_token), dict[str, str]()
    with serve_text_records(records) as settings.DNS_SERVER, time_machine.travel(NOW, tick=False) as time:
        claimed = api.post("/domains", {"name": "acme.example"}).json()
        records["_costhub.acme.example"] = claimed["challenge"]
        assert api.post(f"/domains/{claimed['id']}/verify").status_code == 200
        records.clear()
        for step in (DAY, 13 * DAY, DAY):
            time.shift(step)
            with django_capture_on_commit_callbacks(execute=True):
                assert look(world) == 1
    # Ada owns Acme; Ben, a developer, could do nothing about it.
    assert [(mail.to, mail.subject) for mail in mail_box.outbox] == [
        (["ada@acme.example"], "[Acme] The proof of acme.example is gone"),
        (["ada@acme.example"], "[Acme] The proof of acme.example has lapsed"),
    ]
    assert "Put it back within 14 days. Otherwise the proof lapses" in mail_box.outbox[0].body
    assert "has not been found for 14 days" in mail_box.outbox[1].body
    assert mail_box.outbox[1].body.rstrip().endswith("/o/acme/sign-ons")


def test_what_takes_long_is_left_to_the_next_run(world: World, settings: Settings) -> None:
    api, records = Api(token=world.acme.admin_token), dict[str, str]()
    with serve_text_records(records) as settings.DNS_SERVER, time_machine.travel(NOW, tick=False) as time:
        for name in ("acme.example", "acme-labs.example"):
            claimed = api.post("/domains", {"name": name}).json()
            records[f"_costhub.{name}"] = claimed["challenge"]
            assert api.post(f"/domains/{claimed['id']}/verify").status_code == 200
        time.shift(DAY)
        assert prove_again(world.acme.org_id, ends_at_ns=clock.ends_in(-1)) == 0
        assert look(world) == 2
