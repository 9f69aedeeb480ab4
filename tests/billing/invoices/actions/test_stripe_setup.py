"""What Stripe has to have before it collects is made once, however often it is asked for."""

from io import StringIO

import pytest
import time_machine
from django.core.management import CommandError, call_command
from pytest_django import Settings

from billing.invoices.actions.accounts import update_account
from billing.invoices.actions.stripe_setup import METER, ensure_customer, set_up
from billing.invoices.models import BillingAccount
from billing.invoices.stripe_client import Stripe, StripeUnavailable
from tenants.access import org_scope
from tests.billing.invoices.examples import make_customer, make_plan
from tests.billing.ledger import NOW
from tests.stripe_double import StripeDouble
from tests.world import Tenant, World


def account_of(tenant: Tenant) -> BillingAccount:
    with org_scope(tenant.org.pk):
        return BillingAccount.objects.get(org=tenant.org)


def collect_by_stripe(tenant: Tenant) -> None:
    make_customer(tenant, fee="49.00")
    with org_scope(tenant.org.pk):
        BillingAccount.objects.filter(org=tenant.org).update(collection="stripe")


def test_an_organisation_that_gets_a_plan_becomes_a_customer_once(
    world: World, double: StripeDouble, quick: Stripe
) -> None:
    acme = world.acme
    with time_machine.travel(NOW, tick=False):
        set_up(quick)
        # Who pays by hand is none.
        make_customer(world.mallcorp, account={"emails": []})
        assert ensure_customer(world.mallcorp.owner, quick) == 0
        collect_by_stripe(acme)
        assert [ensure_customer(acme.owner, quick) for _ in range(2)] == [1, 0]
    (made,) = double.customers.values()
    assert (made["name"], made["email"], made["metadata"]) == (
        "Tulip Data B.V.",
        "finance@acme.example",
        {"org": acme.org_id},
    )
    account = account_of(acme)
    assert (account.stripe_customer, account.stripe_meter, account.metered_from) == (made["id"], METER, NOW)


@pytest.mark.parametrize("hours", [0, 49], ids=["Stripe knows the key", "Stripe has forgotten it"])
@pytest.mark.parametrize("trouble", ["lost", "never"])
@pytest.mark.parametrize("call", [0, 1, 2, 3, 4], ids=["searched", "listed", "made", "named", "meter"])
def test_an_answer_that_is_lost_makes_no_second_customer(
    world: World, double: StripeDouble, quick: Stripe, call: int, trouble: str, hours: int
) -> None:
    acme = world.acme
    with time_machine.travel(NOW, tick=False) as travel:
        collect_by_stripe(acme)
        double.troubles = [""] * call + [trouble]
        with pytest.raises(StripeUnavailable):
            ensure_customer(acme.owner, quick)
        assert account_of(acme).stripe_customer == ""
        travel.shift(hours * 3_600)
        assert ensure_customer(acme.owner, quick) == 1
    (made,) = double.customers.values()
    assert account_of(acme).stripe_customer == made["id"]
    # There is no meter of the installation: its usage goes to none.
    assert account_of(acme).stripe_meter == ""


@pytest.mark.parametrize("trouble", ["500", "500 after", "lost", "never"])
def test_who_is_renamed_after_a_try_that_failed_is_one_customer_under_the_new_name(
    world: World, double: StripeDouble, quick: Stripe, trouble: str
) -> None:
    acme = world.acme
    with time_machine.travel(NOW, tick=False) as travel:
        collect_by_stripe(acme)
        double.troubles = ["", "", trouble]
        with pytest.raises(StripeUnavailable):
            ensure_customer(acme.owner, quick)
        with org_scope(acme.org.pk):
            account = BillingAccount.objects.get(org=acme.org)
            update_account(actor=acme.owner, account=account, name="Tulip Holding B.V.", emails=["ap@acme.example"])
        # Stripe's search knows nobody yet, and its keys know the first try.
        travel.shift(30)
        assert ensure_customer(acme.owner, quick) == 1
    (made,) = double.customers.values()
    assert (made["name"], made["email"]) == ("Tulip Holding B.V.", "ap@acme.example")
    assert account_of(acme).stripe_customer == made["id"]


def test_meter_and_prices_are_made_once(world: World, double: StripeDouble, quick: Stripe) -> None:
    plan = make_plan(fee="49.00", markup="10")
    fees = make_plan(fee="9.00", pass_through=True)
    make_plan(fee="5.00", currency="EUR")
    first = set_up(quick)
    assert set_up(quick) == first
    ours = {name: [made for each, made in first if each == name] for name in (f"{plan.name} 1", f"{fees.name} 1")}
    assert [len(made) for made in ours.values()] == [2, 1]
    assert [meter["event_name"] for meter in double.meters.values()].count(METER) == 1
    fee, usage = (double.billing.prices[each] for each in ours[f"{plan.name} 1"])
    assert (fee["unit_amount_decimal"], usage["unit_amount_decimal"]) == ("4900.0000000", "0.00000011")
    assert usage["recurring"]["meter"] == dict(first)[f"meter {METER}"]


def test_the_command_says_what_there_is_and_what_is_missing(
    world: World, quick: Stripe, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.STRIPE_API_KEY = ""
    with pytest.raises(CommandError, match="Set STRIPE_API_KEY"):
        call_command("stripe_setup")
    monkeypatch.setattr("billing.management.commands.stripe_setup.stripe_from_settings", lambda: quick)
    out = StringIO()
    call_command("stripe_setup", stdout=out)
    assert out.getvalue().startswith(f"meter {METER} mtr_")
