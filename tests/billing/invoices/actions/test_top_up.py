"""Credits by card: on a page, or by themselves."""

import pytest
import time_machine
from pytest_django import Settings

from billing.invoices.actions.notes import make_note
from billing.invoices.actions.top_up import set_top_up, top_up
from billing.invoices.actions.wallet import find_available
from billing.invoices.choices import InvoiceKind
from billing.invoices.models import Invoice, WalletTransfer
from billing.invoices.stripe_client import Stripe, StripeRefused, StripeUnavailable
from billing.invoices.tasks import _send
from tenants.access import org_scope
from tests.billing.invoices.examples import DAY, NOVEMBER, OCTOBER, close
from tests.billing.invoices.stripe_customer import make_stripe_customer
from tests.billing.ledger import record_call
from tests.stripe_double import StripeDouble
from tests.tenants.api.test_bad_input import check_problem
from tests.world import Api, World

USD = 10**9


@pytest.mark.parametrize("trouble", ["", "lost", "never"])
def test_credits_below_the_bound_are_bought_once(
    world: World, double: StripeDouble, quick: Stripe, trouble: str
) -> None:
    acme = world.acme
    with time_machine.travel(OCTOBER + DAY * 2, tick=False), org_scope(acme.org.pk):
        account = make_stripe_customer(acme, quick, since=OCTOBER, prepaid=True)
        set_top_up(actor=acme.owner, account=account, below=2 * USD, amount=20 * USD)
        if trouble:
            # What was taken is looked for first.
            double.troubles = ["", trouble]
            with pytest.raises(StripeUnavailable):
                top_up(acme.owner, quick)
        assert [top_up(acme.owner, quick) for _ in range(3)] == [1, 0, 0]
        assert (len(double.intents), find_available(acme.owner)) == (1, 20 * USD)
        record_call(acme, OCTOBER + DAY, cost=19 * USD)
        assert top_up(acme.owner, quick) == 1
        assert (len(double.intents), WalletTransfer.objects.count()) == (2, 2)


def test_a_payment_whose_answer_was_lost_for_two_days_is_not_taken_again(
    world: World, double: StripeDouble, quick: Stripe
) -> None:
    """Stripe has forgotten the key by then; another amount, asked for meanwhile, makes no second payment either."""
    acme = world.acme
    with time_machine.travel(OCTOBER + DAY * 2, tick=False) as travel, org_scope(acme.org.pk):
        account = make_stripe_customer(acme, quick, since=OCTOBER, prepaid=True)
        set_top_up(actor=acme.owner, account=account, below=2 * USD, amount=20 * USD)
        double.troubles = ["", "lost"]
        with pytest.raises(StripeUnavailable):
            top_up(acme.owner, quick)
        travel.shift(DAY * 2)
        set_top_up(actor=acme.owner, account=account, below=2 * USD, amount=30 * USD)
        assert [top_up(acme.owner, quick) for _ in range(2)] == [1, 0]
        assert (len(double.intents), find_available(acme.owner)) == (1, 20 * USD)


def test_a_refused_payment_keeps_no_invoice_from_being_collected(
    world: World, double: StripeDouble, quick: Stripe
) -> None:
    acme = world.acme
    with time_machine.travel(NOVEMBER + DAY * 3, tick=False), org_scope(acme.org.pk):
        account = make_stripe_customer(acme, quick, since=OCTOBER, fee="49.00", prepaid=True)
        close(acme, NOVEMBER + DAY * 3)
        set_top_up(actor=acme.owner, account=account, below=2 * USD, amount=20 * USD)
        double.troubles = ["", "402"]
        assert _send(acme.owner, quick, NOVEMBER + DAY * 3) == 1
        make_note(
            actor=acme.owner,
            invoice=Invoice.objects.get(),
            amounts={1: USD},
            reason="More",
            now=NOVEMBER + DAY * 3,
            kind=InvoiceKind.DEBIT_NOTE,
        )
        double.troubles = ["", "402"]
        with pytest.raises(StripeRefused):
            top_up(acme.owner, quick)
        double.troubles = ["", "402"]
        assert _send(acme.owner, quick, NOVEMBER + DAY * 3) == 1
    assert [each["amount_due"] for each in double.invoices.values()] == [4_900, 100]


def test_bounds_and_pages(world: World, quick: Stripe, settings: Settings) -> None:
    make_stripe_customer(world.acme, quick)
    ada = Api(token=world.acme.admin_token)
    shown = ada.patch("/billing-account", {"top_up_below": "5.00", "top_up_amount": "50.00"}).json()
    assert (shown["top_up_below"], shown["top_up_amount"]) == ("5.000000000", "50.000000000")
    for body in ({"top_up_below": "5"}, {"top_up_below": "5", "top_up_amount": "0.001"}):
        assert check_problem(ada.patch("/billing-account", body))["errors"][0]["field"] == "top_up_amount"
    # Without Stripe there is nobody to charge.
    settings.STRIPE_API_KEY = ""
    for path, given in (("/wallet/checkout", {"amount": "5.00"}), ("/billing-account/portal", {})):
        assert "ask the operator" in check_problem(ada.post(path, given))["detail"]
