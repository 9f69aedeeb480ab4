"""A provider's bill is fetched, kept by the day, and held against the ledger."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from typing import Any

import pytest
import time_machine

from billing.alerts.models import Alert, Delivery
from billing.bills import actions, provider
from billing.bills.actions import connect_bill, fetch_bills
from billing.bills.models import BilledDay, BillSource
from billing.choices import AlertKind
from costhub.lib.errors import InvalidField
from costhub.lib.net import Gate
from tenants.access import org_scope
from tenants.choices import UpstreamKind
from tenants.models import Upstream
from tests.billing.bills.biller import KEY, Biller
from tests.billing.ledger import NOW, record_call
from tests.stripe_double.server import serve
from tests.tenants.api.test_bad_input import check_problem
from tests.world import Api, Tenant, World, make_catalog

DAY = timedelta(days=1)
#: a day that is over for long enough to be compared
TUESDAY = datetime(2026, 11, 17, 12, tzinfo=UTC)


@pytest.fixture
def gate() -> Gate:
    """One that lets out to loopback."""
    return Gate(allowed=[(ip_network("127.0.0.1/32"), None)])


@pytest.fixture
def biller() -> Biller:
    """It bills a call of gpt-4o on Tuesday: 0.002 USD for 900 and 100 tokens."""
    return Biller(
        {TUESDAY.date(): {"gpt-4o, input": 0.0012, "gpt-4o, output": 0.0008}}, {TUESDAY.date(): {"gpt-4o": (900, 100)}}
    )


@pytest.fixture
def acme(world: World, biller: Biller) -> Iterator[Tenant]:
    """With the upstream ``for small`` whose bill is fetched."""
    acme = world.acme
    catalog = make_catalog(acme)
    with serve(biller) as url, time_machine.travel(NOW, tick=False):
        with org_scope(acme.org.pk):
            connect_bill(actor=acme.owner, upstream=catalog.upstream, credential=KEY)
            Upstream.objects.filter(pk=catalog.upstream.pk).update(base_url=f"{url}/v1")
        yield acme


def use(acme: Tenant, cost: int = 2_000_000, **columns: Any) -> None:
    with org_scope(acme.org.pk):
        upstream = Upstream.objects.get(org=acme.org)
    used = {"input_tokens": 900, "output_tokens": 100, "response_model": "gpt-4o", "upstream_id": upstream.pk}
    record_call(acme, TUESDAY, cost=cost, **(used | columns))


def kept(acme: Tenant) -> list[tuple[Any, ...]]:
    with org_scope(acme.org.pk):
        rows = BilledDay.objects.filter(org=acme.org).order_by("day", "model")
        return list(rows.values_list("day", "model", "cost_nanos", "input_tokens", "output_tokens"))


def alerts(acme: Tenant) -> list[Alert]:
    with org_scope(acme.org.pk):
        return list(Alert.objects.filter(org=acme.org, kind=AlertKind.BILL.value).order_by("created_at"))


def test_it_is_fetched_page_by_page_and_kept_by_the_day(acme: Tenant, biller: Biller, gate: Gate) -> None:
    use(acme)
    assert fetch_bills(acme.org.pk, gate, NOW) == 1
    assert kept(acme) == [(TUESDAY.date(), "gpt-4o", 2_000_000, 900, 100)]
    assert alerts(acme) == []
    # 31 days by two a page, of six APIs; the day that is not over is none of them.
    assert len(biller.asked) == 96
    costs = biller.asked[0]
    assert costs["path"] == ["/v1/organization/costs"]
    assert (costs["bucket_width"], costs["group_by[]"]) == (["1d"], ["line_item"])
    assert costs["end_time"] == [str(int(datetime(2026, 11, 22, tzinfo=UTC).timestamp()))]
    with org_scope(acme.org.pk):
        (source,) = BillSource.objects.all()
    assert (source.fetched_at, source.problem) == (NOW, "")
    shown = Api(token=acme.admin_token).get(f"/bill-sources/{source.pk}/days").json()
    assert [(row["day"], row["model"], row["billed"], row["ledger"], row["finding"]) for row in shown["data"]] == [
        ("2026-11-17", "gpt-4o", "0.002000000", "0.002000000", "agrees")
    ]
    assert (shown["coverage"], shown["drift"]) == (1_000, "0.000000000")


def test_embeddings_pictures_and_sound_are_fetched_too(acme: Tenant, biller: Biller, gate: Gate) -> None:
    day = TUESDAY.date()
    biller.costs[day] = {"text-embedding-3-small, input": 0.002, "dall-e-3": 0.08, "tts-1": 0.015, "whisper-1": 0.006}
    biller.usage = {}
    biller.pieces = {
        "embeddings": {day: {"text-embedding-3-small": {"input_tokens": 900}}},
        "images": {day: {"dall-e-3": {"images": 2}}},
        "audio_speeches": {day: {"tts-1": {"characters": 1_000}}},
        "audio_transcriptions": {day: {"whisper-1": {"seconds": 60}}},
    }
    use(acme, response_model="text-embedding-3-small", output_tokens=0)
    for model, cost, units in (
        ("dall-e-3", 40_000_000, {"images": 1}),
        ("tts-1", 15_000_000, {"characters": 1_000}),
        ("whisper-1", 3_000_000, {"seconds": 60}),
    ):
        use(acme, cost, response_model=model, input_tokens=0, output_tokens=0, usage=units)
    fetch_bills(acme.org.pk, gate, NOW)
    with org_scope(acme.org.pk):
        (source,) = BillSource.objects.all()
    shown = Api(token=acme.admin_token).get(f"/bill-sources/{source.pk}/days").json()["data"]
    assert {row["model"]: (row["finding"], row["coverage"], row["text"]) for row in shown} == {
        "text-embedding-3-small": ("agrees", 1_000, ""),
        "dall-e-3": ("missing_tokens", 500, "1 of 2 images on the bill are not in the ledger."),
        "tts-1": ("agrees", 1_000, ""),
        "whisper-1": (
            "wrong_price",
            500,
            "As much was used, and the bill is 100.0 % higher: correct the price from that day on, and re-rate its"
            " calls.",
        ),
    }


def test_what_is_too_much_makes_good_for_nothing_that_is_too_little(acme: Tenant, biller: Biller, gate: Gate) -> None:
    day = TUESDAY.date()
    biller.costs[day] = {"gpt-4o, input": 0.002, "o3, input": 0.002}
    biller.usage[day]["o3"] = (900, 100)
    use(acme, cost=2_200_000)
    use(acme, cost=1_800_000, response_model="o3")
    fetch_bills(acme.org.pk, gate, NOW)
    (alert,) = alerts(acme)
    # Ten per cent each, of a bill whose sum is the ledger's.
    assert (alert.facts["billed"], alert.facts["ledger"]) == (4_000_000, 4_000_000)


def test_what_the_ledger_lacks_is_an_alert_until_it_has_it(acme: Tenant, biller: Biller, gate: Gate) -> None:
    use(acme)
    biller.costs[TUESDAY.date()]["o3, output"] = 0.006
    fetch_bills(acme.org.pk, gate, NOW)
    (alert,) = alerts(acme)
    assert {name: alert.facts[name] for name in ("billed", "ledger", "model")} == {
        "billed": 8_000_000,
        "ledger": 2_000_000,
        "model": "o3",
    }
    assert alert.facts["why"].startswith("It is on the bill, and no call of it came through CostHub")
    # What comes late ends it.
    use(acme, cost=6_000_000, response_model="o3")
    fetch_bills(acme.org.pk, gate, NOW + timedelta(hours=6))
    (alert,) = alerts(acme)
    assert alert.ended_at == NOW + timedelta(hours=6)
    with org_scope(acme.org.pk):
        told = Delivery.objects.filter(alert=alert.pk).order_by("created_at", "event")
        assert list(told.values_list("event", flat=True)) == ["opened", "recovered"]


def test_a_difference_that_is_small_or_of_yesterday_is_none(acme: Tenant, biller: Biller, gate: Gate) -> None:
    use(acme, cost=1_970_000)
    biller.costs[(NOW - DAY).date()] = {"gpt-4o, input": 5.0}
    fetch_bills(acme.org.pk, gate, NOW)
    assert alerts(acme) == []


def test_every_six_hours_the_last_days_are_fetched_anew(acme: Tenant, biller: Biller, gate: Gate) -> None:
    use(acme)
    fetch_bills(acme.org.pk, gate, NOW)
    # The provider changes its mind about a day, and forgets another model of it.
    biller.costs[TUESDAY.date()] = {"gpt-4o, input": 0.004}
    biller.usage = {}
    biller.asked.clear()
    assert fetch_bills(acme.org.pk, gate, NOW + timedelta(hours=5)) == 0
    assert fetch_bills(acme.org.pk, gate, NOW + timedelta(hours=6)) == 1
    assert kept(acme) == [(TUESDAY.date(), "gpt-4o", 4_000_000, None, None)]
    # Seven days by two a page, of six APIs.
    assert len(biller.asked) == 24


def test_a_provider_without_an_api_of_usage_has_a_bill_all_the_same(acme: Tenant, biller: Biller, gate: Gate) -> None:
    use(acme)
    biller.missing = {"embeddings", "images", "audio_speeches", "audio_transcriptions"}
    assert fetch_bills(acme.org.pk, gate, NOW) == 1
    assert kept(acme) == [(TUESDAY.date(), "gpt-4o", 2_000_000, 900, 100)]
    biller.missing = {"costs"}
    assert fetch_bills(acme.org.pk, gate, NOW + timedelta(hours=6)) == 0
    with org_scope(acme.org.pk):
        assert BillSource.objects.get().problem == "The provider answered 404."


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        ((401, {"error": {"message": f"Incorrect key {KEY}"}}), "answered 401: give an admin key"),
        ((500, {"error": {"message": "oops"}}), "answered 500"),
        ((200, []), "is no object"),
        ((200, {"data": "x"}), "costs or usage API"),
        ((200, {"data": [{"start_time": 1, "results": [{"amount": {"value": "NaN"}}]}]}), "decimal number"),
    ],
)
def test_what_cannot_be_fetched_says_why_and_is_tried_again(
    acme: Tenant, biller: Biller, gate: Gate, failure: Any, words: str
) -> None:
    biller.failures = [failure]
    assert fetch_bills(acme.org.pk, gate, NOW) == 0
    with org_scope(acme.org.pk):
        problem = BillSource.objects.get().problem
    assert words in problem
    assert KEY not in problem
    assert (kept(acme), alerts(acme)) == ([], [])
    assert fetch_bills(acme.org.pk, gate, NOW + timedelta(hours=1)) == 1
    with org_scope(acme.org.pk):
        assert BillSource.objects.get().problem == ""


def test_a_provider_that_takes_too_long_is_left(
    acme: Tenant, biller: Biller, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All pages have one time together; and who has had a turn begins no other bill."""
    monkeypatch.setattr(provider, "_SECONDS", 0.0)
    assert fetch_bills(acme.org.pk, gate, NOW) == 0
    with org_scope(acme.org.pk):
        assert BillSource.objects.get().problem.startswith("The provider takes too long")
    monkeypatch.undo()
    monkeypatch.setattr(actions, "_TURN_SECONDS", -1.0)
    assert fetch_bills(acme.org.pk, gate, NOW) == 0
    assert biller.asked == []


def test_the_key_goes_to_the_address_that_it_was_given_for(acme: Tenant, biller: Biller, gate: Gate) -> None:
    with org_scope(acme.org.pk):
        Upstream.objects.filter(org=acme.org).update(origin="https://elsewhere.example")
    assert fetch_bills(acme.org.pk, gate, NOW) == 0
    assert biller.asked == []


def test_through_the_api_and_never_shown(world: World) -> None:
    ada = Api(token=world.acme.admin_token)
    catalog = make_catalog(world.acme)
    body = {"upstream": catalog.upstream.name, "credential": KEY, "provider_project": "proj_1"}
    made = ada.post("/bill-sources", body)
    row = made.json()
    assert (made.status_code, row["credential_hint"], row["provider_project"]) == (201, KEY[-4:], "proj_1")
    assert KEY not in made.content.decode()
    # Another key takes its place.
    again = ada.post("/bill-sources", body | {"provider_project": ""}).json()
    assert [each["id"] for each in ada.get("/bill-sources").json()["data"]] == [again["id"]]
    assert ada.delete(f"/bill-sources/{again['id']}").status_code == 204
    assert ada.get("/bill-sources").json()["data"] == []
    for change, field in (
        ({"upstream": "none"}, "upstream"),
        ({"credential": "a b"}, "credential"),
        ({"provider_project": "ä"}, "provider_project"),
    ):
        assert check_problem(ada.post("/bill-sources", body | change))["errors"][0]["field"] == field


def test_an_upstream_without_such_a_bill_is_refused_in_words(world: World) -> None:
    acme = world.acme
    catalog = make_catalog(acme, kind=UpstreamKind.ANTHROPIC)
    with org_scope(acme.org.pk), pytest.raises(InvalidField, match="as CSV to /upstream-bills"):
        connect_bill(actor=acme.owner, upstream=catalog.upstream, credential=KEY)


def test_a_project_of_the_providers_is_asked_for_alone(world: World, biller: Biller, gate: Gate) -> None:
    acme = world.acme
    catalog = make_catalog(acme)
    with serve(biller) as url:
        with org_scope(acme.org.pk):
            connect_bill(actor=acme.owner, upstream=catalog.upstream, credential=KEY, provider_project="proj_1")
            Upstream.objects.filter(pk=catalog.upstream.pk).update(base_url=f"{url}/v1")
        fetch_bills(acme.org.pk, gate, NOW)
    assert {tuple(asked["project_ids[]"]) for asked in biller.asked} == {("proj_1",)}
