"""The pages of models, prices, upstreams and alert channels."""

import re
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
import time_machine

from billing.alerts.models import AlertRule, Channel, Delivery
from billing.bills.models import BillSource
from billing.choices import AlertKind
from billing.gpu.actions import create_endpoint, end_endpoint
from billing.gpu.choices import Basis
from billing.gpu.models import GpuEndpoint
from tenants.access import org_scope
from tenants.actions.endpoints import register_endpoint, update_endpoint
from tenants.actions.pricing import create_price
from tenants.models import LanguageModel, Price, Upstream
from tests.billing.ledger import NOW, record_call
from tests.console.client import Visit, error_of, refresh, rows_of, text_of
from tests.world import World, make_catalog


@pytest.fixture(autouse=True)
def _at_noon() -> Iterator[None]:
    with time_machine.travel(NOW, tick=False):
        yield


def test_a_model_is_made_priced_and_its_history_shows_what_changed(world: World) -> None:
    ada = Visit(world.ada)
    catalog = make_catalog(world.acme, model="small", effective_from=NOW - timedelta(days=9))
    page = ada.submit("/o/acme/models/new", name="large", upstream="for small", context_window="32000")
    with org_scope(world.acme.org.pk):
        large = LanguageModel.objects.get(name="large")
    assert page.headers["Location"] == f"/o/acme/models/{large.pk}"
    assert "It has no price" in text_of(ada.get(page.headers["Location"]))
    assert rows_of(ada.get("/o/acme/models")) == [
        "large for small no price: calls are refused 32.0 k on".replace("32.0", "32"),
        "small for small $0.15 $0.60 128 k on",
    ]
    priced = ada.submit("/o/acme/prices/new?model=small", input_per_million="0.30", output_per_million="0.60")
    assert priced.headers["Location"] == f"/o/acme/models/{catalog.model.pk}"
    history = text_of(ada.get(f"/o/acme/models/{catalog.model.pk}"))
    assert "22 Nov 2026, 12:00 in force typed by a member input $0.15 $0.30 +100 %" in history
    assert "13 Nov 2026, 12:00 typed by a member input $0.15 output $0.60" in history


BAD_PRICES = [
    ({"input_per_million": ""}, "Fill this in."),
    ({"input_per_million": "cheap"}, "decimal number"),
    ({"input_per_million": "-1"}, "Give a price in USD from 0"),
    ({"input_per_million": "0.0000001"}, "at most 6 decimal places"),
    ({"model": "nothing"}, "There is no such language model"),
    ({"effective_from": "soon"}, "Give a day and time"),
    ({"effective_from": "0001-01-01T00:00"}, "between the years"),
]


def test_a_price_that_cannot_be_is_said(world: World) -> None:
    ada = Visit(world.ada)
    for typed, words in BAD_PRICES:
        sent = {"input_per_million": "1", "output_per_million": "2", **typed}
        answer = ada.submit("/o/acme/prices/new", **sent)
        assert (400 <= answer.status_code < 500, words in error_of(answer)) == (True, True), typed
    with org_scope(world.acme.org.pk):
        assert not Price.objects.exists()


def test_the_form_of_a_price_begins_with_the_present_one(world: World) -> None:
    catalog = make_catalog(world.acme, model="small")
    with org_scope(world.acme.org.pk):
        create_price(
            actor=world.acme.owner,
            model=catalog.model,
            input_per_million=Decimal("9"),
            output_per_million=Decimal("9"),
            effective_from=NOW + timedelta(days=1),
        )
    page = Visit(world.ada).get("/o/acme/prices/new?model=small").content.decode()
    assert re.search(r'name="input_per_million"\s+type="text"\s+value="0.15"', page)
    assert "to come" in text_of(Visit(world.ada).get(f"/o/acme/models/{catalog.model.pk}"))


def test_developers_see_models_and_change_none(world: World) -> None:
    catalog = make_catalog(world.acme, model="small")
    ben = Visit(world.ben)
    assert ben.get(f"/o/acme/models/{catalog.model.pk}").status_code == 200
    for path in (f"models/{catalog.model.pk}", f"models/{catalog.model.pk}/switch", "prices/new", "models/new"):
        assert ben.post(f"/o/acme/{path}", {"is_active": "no"}).status_code == 403, path


def test_a_model_is_changed_and_switched_off(world: World) -> None:
    catalog = make_catalog(world.acme, model="small")
    make_catalog(world.acme, model="spare")
    ada = Visit(world.ada)
    page = f"/o/acme/models/{catalog.model.pk}"
    assert ada.submit(page, fallbacks="spare", max_output_tokens="1000").status_code == 302
    bad = ada.submit(page, context_window="many")
    assert (bad.status_code, error_of(bad)) == (400, "Give a whole number, such as 60.")
    assert "own fallback" in error_of(ada.submit(page, fallbacks="small"))
    ada.press(page, f"{page}/switch")
    refresh(catalog.model)
    assert (catalog.model.fallbacks, catalog.model.max_output_tokens, catalog.model.is_active) == (
        ["spare"],
        1_000,
        False,
    )


def test_upstreams_with_their_health(world: World) -> None:
    catalog = make_catalog(world.acme, model="small")
    for status in (200, 200, 200, 502):
        record_call(world.acme, NOW - timedelta(hours=1), upstream_id=catalog.upstream.pk, status=status)
    record_call(world.acme, NOW - timedelta(hours=25), upstream_id=catalog.upstream.pk, status=502)
    row = "for small https://llm.acme.example/v1 4 25 % – on"
    assert rows_of(Visit(world.ada).get("/o/acme/upstreams")) == [row]


def test_an_upstream_with_its_endpoints(world: World) -> None:
    catalog, acme = make_catalog(world.acme, input_per_million="0", output_per_million="0"), world.acme
    with org_scope(acme.org.pk):
        register_endpoint(actor=acme.owner, upstream=catalog.upstream, base_url="https://one.example/v1", weight=3)
        spot = register_endpoint(
            actor=acme.owner,
            upstream=catalog.upstream,
            base_url="https://two.example/v1",
            name="spot-2",
        )
        create_endpoint(
            actor=acme.owner,
            name="spot-2",
            upstream=catalog.upstream,
            server=spot,
            project=acme.project,
            gpus=Decimal(2),
            hour_nanos=900_000_000,
            basis=Basis.ALLOCATION,
        )
        update_endpoint(actor=acme.owner, endpoint=spot, is_draining=True)
    text = text_of(Visit(world.ada).get(f"/o/acme/upstreams/{catalog.upstream.pk}"))
    assert "https://one.example/v1 weight 3" in text
    assert "https://two.example/v1 spot-2, weight 1, 2 × $0.90 an hour, draining" in text


def test_gpus_are_charged_by_the_hour_and_given_back(world: World) -> None:
    ada = Visit(world.ada)
    catalog = make_catalog(world.acme, input_per_million=None)
    page = f"/o/acme/upstreams/{catalog.upstream.pk}"
    assert "It costs by the token alone." in text_of(ada.get(page))
    new = f"{page}/gpus/new"
    for typed, words in (
        ({"gpus": "x"}, "decimal number"),
        ({"gpus": ""}, "Fill this in"),
        ({"per_hour": "0"}, "above"),
    ):
        wrong = ada.submit(new, **{"name": "h100", "gpus": "2", "per_hour": "2.50"} | typed)
        assert (wrong.status_code, words in error_of(wrong)) == (400, True), typed
    assert ada.submit(new, name="h100", gpus="1.5", per_hour="2.50", basis="usage").headers["Location"] == page
    text = text_of(ada.get(page))
    assert "h100 1.500 × $2.50 an hour, by usage, since 22 Nov 2026 12:00" in text
    assert rows_of(ada.get("/o/acme/upstreams"))[0].endswith("0 0 $3.75 on")
    with org_scope(world.acme.org.pk):
        row = GpuEndpoint.objects.get(org=world.acme.org)
    ada.post(f"{page}/gpus/{row.pk}/end", {"confirm": "h200"})
    assert "Nothing was done. Type h100 exactly" in text_of(ada.get(page))
    ada.post(f"{page}/gpus/{row.pk}/end", {"confirm": "h100"})
    refresh(row)
    assert row.ends_at == NOW
    assert "It costs by the token alone." in text_of(ada.get(page))


def test_gpus_that_are_to_be_given_back_cost_until_then(world: World) -> None:
    ada, acme = Visit(world.ada), world.acme
    catalog = make_catalog(acme, input_per_million=None)
    page = f"/o/acme/upstreams/{catalog.upstream.pk}"
    with org_scope(acme.org.pk):
        row = create_endpoint(
            actor=acme.owner,
            name="h100",
            upstream=catalog.upstream,
            project=acme.project,
            gpus=Decimal(2),
            hour_nanos=2_500_000_000,
            basis=Basis.ALLOCATION,
        )
    assert "Give back h100" in text_of(ada.get(page))
    with org_scope(acme.org.pk):
        end_endpoint(actor=acme.owner, endpoint=row, at=NOW + timedelta(hours=3))
    text = text_of(ada.get(page))
    assert "by allocation, since 22 Nov 2026 12:00, until 22 Nov 2026 15:00" in text
    assert "Give back h100" not in text
    assert rows_of(ada.get("/o/acme/upstreams"))[0].endswith("0 0 $5.00 on")
    with time_machine.travel(NOW + timedelta(hours=3), tick=False):
        assert "It costs by the token alone." in text_of(ada.get(page))
        assert rows_of(ada.get("/o/acme/upstreams"))[0].endswith("0 0 – on")


def test_a_provider_s_bill_is_fetched_by_a_key_that_no_page_shows(world: World) -> None:
    ada = Visit(world.ada)
    catalog = make_catalog(world.acme)
    page = f"/o/acme/upstreams/{catalog.upstream.pk}"
    assert "It is not fetched" in text_of(ada.get(page))
    assert error_of(ada.submit(f"{page}/bill", credential="")) == "Fill this in."
    sent = ada.submit(f"{page}/bill", credential="sk-admin-0123456789abcdef", provider_project="proj_1")
    assert sent.headers["Location"] == page
    assert "It is fetched within six hours." in text_of(ada.get(page))
    assert "sk-admin" not in ada.get(f"{page}/bill").content.decode()
    ada.post(f"{page}/bill/stop", {"confirm": "for small"})
    with org_scope(world.acme.org.pk):
        assert not BillSource.objects.filter(org=world.acme.org).exists()


def test_an_upstream_is_made_and_its_credential_never_shown(world: World) -> None:
    ada = Visit(world.ada)
    made = ada.submit(
        "/o/acme/upstreams/new",
        name="gpu",
        kind="openai_compatible",
        base_url="https://gpu.acme.example/v1",
        credential="sk-0123456789abcdefghij",
    )
    with org_scope(world.acme.org.pk):
        row = Upstream.objects.get(name="gpu")
    page = ada.get(made.headers["Location"]).content.decode()
    assert "One that ends in ghij is stored." in page
    assert "sk-0123" not in page
    moved = ada.submit(f"/o/acme/upstreams/{row.pk}", base_url="https://else.example/v1")
    assert (moved.status_code, "credential" in error_of(moved)) == (400, True)
    kept = ada.submit(f"/o/acme/upstreams/{row.pk}", name="gpu 2", timeout_ms="5000")
    refresh(row)
    assert (kept.status_code, row.name, row.timeout_ms, row.credential_hint) == (302, "gpu 2", 5_000, "ghij")
    for url in ("http://169.254.169.254/v1", "ftp://x.example", "javascript:alert(1)", "https://user:pw@x.example/"):
        refused = ada.submit("/o/acme/upstreams/new", name="bad", kind="openai_compatible", base_url=url)
        assert 400 <= refused.status_code < 500, url


def test_a_test_of_an_upstream_says_how_it_went(committed_world: World) -> None:
    acme = committed_world.acme
    catalog = make_catalog(acme, base_url="https://nobody.invalid/v1", model="small")
    ada = Visit(committed_world.ada)
    page = f"/o/{acme.org.slug}/upstreams/{catalog.upstream.pk}"
    assert ada.client.post(f"{page}/test").headers["Location"] == page
    shown: Any = ada.client.get(page)
    told = text_of(shown)
    assert re.search(r"for small: .*nobody\.invalid.* It took \d+ ms\.", told), told
    assert Visit(committed_world.ben).client.post(f"{page}/test").status_code == 403
    assert Visit(committed_world.mallory).client.post(f"{page}/test").status_code == 404


def test_channels_are_made_changed_and_tested(world: World) -> None:
    ada = Visit(world.ada)
    made = ada.submit(
        "/o/acme/channels/new", kind="email", name="Night", roles=["owner"], quiet_from="22:00", quiet_until="06:30"
    )
    assert made.status_code == 302
    with org_scope(world.acme.org.pk):
        row = Channel.objects.get(name="Night")
    assert (row.quiet_from, row.quiet_until, len(row.kinds)) == (1320, 390, len(AlertKind))
    page = f"/o/acme/channels/{row.pk}"
    assert ada.submit(page, digest="daily", kinds=["budget"]).status_code == 302
    ada.post(f"{page}/test")
    ada.press(page, f"{page}/switch")
    refresh(row)
    assert (row.digest, row.kinds, row.is_active) == ("daily", ["budget"], False)
    with org_scope(world.acme.org.pk):
        assert Delivery.objects.filter(channel=row.pk).count() == 1
    for typed, words in (
        ({"quiet_from": "25:00"}, "time of day"),
        ({"roles": ["emperor"]}, "There is no"),
        ({"kinds": []}, "Give some of"),
        ({"url": "https://x.example"}, "leave the URL out"),
    ):
        answer = ada.submit(page, **typed)
        assert (answer.status_code, words in error_of(answer)) == (400, True), typed
    assert Visit(world.ben).get(page).status_code == 403
    assert Visit(world.mallory).get(page.replace("acme", "mallcorp")).status_code == 404


def test_rules_say_when_people_are_told(world: World) -> None:
    ada = Visit(world.ada)
    made = ada.submit("/o/acme/rules/new", kind="unpriced", name="Many", thresholds="10, 100")
    assert made.headers["Location"] == "/o/acme/alerts#rules"
    with org_scope(world.acme.org.pk):
        row = AlertRule.objects.get(name="Many")
    assert (row.kind, row.thresholds, row.tells_recovery) == ("unpriced", [10, 100], True)
    assert "Many calls of a day: 10, 100 on" in text_of(ada.get("/o/acme/alerts"))
    page = f"/o/acme/rules/{row.pk}"
    assert ada.submit(page, thresholds="5", tells_recovery=None).status_code == 302
    ada.press(page, f"{page}/switch")
    refresh(row)
    assert (row.thresholds, row.tells_recovery, row.is_active) == ([5], False, False)
    for typed, words in (({"thresholds": "9, 3"}, "rising"), ({"budget": "x"}, "kind budget or forecast")):
        answer = ada.submit(page, **typed)
        assert (answer.status_code, words in error_of(answer)) == (400, True), typed
    assert Visit(world.ben).get(page).status_code == 403
