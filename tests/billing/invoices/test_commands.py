"""The operator's commands."""

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from io import StringIO
from threading import Event

import pytest
from django.core.management import CommandError, call_command

from billing.invoices.actions.closing import CLOSING
from billing.invoices.models import ExchangeRate, LegalEntity, Plan
from costhub.lib.database import try_to_be_only
from tests.billing.invoices.at_once import apart
from tests.billing.invoices.examples import DAY, NOVEMBER, OCTOBER, close, make_customer
from tests.world import World

ENTITY = {"name": "CostHub GmbH", "street": "A 1", "postcode": "1", "city": "Berlin", "country": "DE", "prefix": "CH-"}


def run(command: str, /, **options: object) -> str:
    out = StringIO()
    call_command(command, stdout=out, **options)
    return out.getvalue().strip()


def test_a_seller_a_plan_and_a_rate(db: None) -> None:
    made = run("create_legal_entity", **ENTITY, tax_id="DE123456789", tax_rate=["DE=19", "FR=5.5"])
    assert LegalEntity.objects.get(pk=made).tax_rates == {"DE": 1_900, "FR": 550}
    assert run("create_plan", name="Pro", terms='{"fee": "49.00"}', public=True) == "Pro 1"
    assert run("create_plan", name="Pro", terms='{"fee": "59.00"}') == "Pro 2"
    assert [plan.is_public for plan in Plan.objects.filter(name="Pro").order_by("version")] == [True, False]
    for rate in ("0.92", "0.95"):
        shown = run("set_exchange_rate", currency="EUR", day="2026-10-30", rate=rate, source="ECB")
        assert shown.startswith("EUR 2026-10-30 0.92")
    assert ExchangeRate.objects.filter(currency="EUR").count() == 1


def test_a_rate_that_was_typed_wrongly_is_replaced_as_long_as_nothing_was_issued_at_it(world: World) -> None:
    acme, day = world.acme, {"currency": "GBP", "day": "2026-10-31"}
    right = {"rate": "0.92", "source": "BoE, corrected", "replace": True}
    is_closing, is_over = Event(), Event()

    def close_months() -> None:
        with try_to_be_only(CLOSING):
            is_closing.set()
            is_over.wait(60)

    run("set_exchange_rate", **day, rate="9.2", source="BoE")
    with ThreadPoolExecutor(1) as pool:
        closing = pool.submit(apart, close_months)
        assert is_closing.wait(60)
        with pytest.raises(CommandError, match="being closed"):
            run("set_exchange_rate", **day, **right)
        is_over.set()
        closing.result(timeout=60)
    assert run("set_exchange_rate", **day, **right) == "GBP 2026-10-31 0.92000000 BoE, corrected"
    make_customer(acme, since=OCTOBER, fee="49.00", currency="GBP")
    (invoice,) = close(acme, NOVEMBER + DAY * 3)
    assert (invoice.rate, invoice.total_cents) == (Decimal("0.92"), 4_508)
    with pytest.raises(CommandError, match=f"^{invoice.number} was issued at this rate"):
        run("set_exchange_rate", **day, rate="0.93", source="BoE", replace=True)
    assert ExchangeRate.objects.get(**day).rate == Decimal("0.92")


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("create_legal_entity", ENTITY | {"country": "de"}, "ISO 3166"),
        ("create_legal_entity", ENTITY | {"tax_id": "FR123"}, "begins with DE"),
        ("create_legal_entity", ENTITY | {"tax_rate": ["DE=-19"]}, "from 0 to 100"),
        ("create_legal_entity", ENTITY | {"tax_rate": ["DE=0", "FR=20"]}, "Give the tax id"),
        ("create_plan", {"name": "x", "terms": "{"}, "not JSON"),
        ("create_plan", {"name": "x", "terms": "[]"}, "JSON object"),
        ("create_plan", {"name": "x", "terms": '{"fee": 1}'}, r"terms\.fee"),
        ("set_exchange_rate", {"currency": "EUR", "day": "x", "rate": "1", "source": "ECB"}, "Give a day"),
        ("set_exchange_rate", {"currency": "USD", "day": "2026-01-01", "rate": "1", "source": "ECB"}, "EUR"),
        ("set_exchange_rate", {"currency": "EUR", "day": "2026-01-01", "rate": "0", "source": "ECB"}, "above zero"),
    ],
)
def test_what_cannot_be_is_said(db: None, name: str, options: dict[str, object], words: str) -> None:
    with pytest.raises(CommandError, match=words):
        run(name, **options)
