"""The operator's commands."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from billing.invoices.models import ExchangeRate, LegalEntity, Plan

ENTITY = {"name": "CostHub GmbH", "street": "A 1", "postcode": "1", "city": "Berlin", "country": "DE", "prefix": "CH-"}


def run(command: str, /, **options: object) -> str:
    out = StringIO()
    call_command(command, stdout=out, **options)
    return out.getvalue().strip()


def test_a_seller_a_plan_and_a_rate(db: None) -> None:
    made = run("create_legal_entity", **ENTITY, tax_rate=["DE=19", "FR=5.5"])
    assert LegalEntity.objects.get(pk=made).tax_rates == {"DE": 1_900, "FR": 550}
    assert run("create_plan", name="Pro", terms='{"fee": "49.00"}', public=True) == "Pro 1"
    assert run("create_plan", name="Pro", terms='{"fee": "59.00"}') == "Pro 2"
    assert [plan.is_public for plan in Plan.objects.filter(name="Pro").order_by("version")] == [True, False]
    for rate in ("0.92", "0.95"):
        shown = run("set_exchange_rate", currency="EUR", day="2026-10-30", rate=rate, source="ECB")
        assert shown.startswith("EUR 2026-10-30 0.92")
    assert ExchangeRate.objects.filter(currency="EUR").count() == 1


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("create_legal_entity", ENTITY | {"country": "de"}, "ISO 3166"),
        ("create_legal_entity", ENTITY | {"tax_id": "FR123"}, "begins with DE"),
        ("create_legal_entity", ENTITY | {"tax_rate": ["DE=-19"]}, "from 0 to 100"),
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
