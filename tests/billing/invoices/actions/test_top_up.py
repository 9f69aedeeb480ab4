"""Credits by card: on a page, or by themselves."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from pytest_django import Settings

from billing.alerts.models import Alert
from billing.choices import AlertKind
from billing.invoices.actions.accounts import subscribe
from billing.invoices.actions.notes import make_note
from billing.invoices.actions.top_up import MOST_A_DAY, set_top_up, top_up
from billing.invoices.actions.wallet import add_credits, find_available, follow_wallet
from billing.invoices.actions.webhooks import apply_event, store_event
from billing.invoices.choices import InvoiceKind
from billing.invoices.models import BillingAccount, Invoice, StripeEvent, WalletTransfer
from billing.invoices.stripe_client import Stripe, StripeRefused, StripeUnavailable, read_stored
from billing.invoices.tasks import _send
from costhub.lib import clock
from costhub.lib.money import MAX_LIMIT_NANOS
from tenants.access import org_scope
from tests.billing.invoices.examples import DAY, NOVEMBER, OCTOBER, close, make_plan
from tests.billing.invoices.stripe_customer import make_stripe_customer
from tests.billing.ledger import record_call
from tests.stripe_double import ACCOUNT_KEY, StripeDouble
from tests.tenants.api.test_bad_input import check_problem
from tests.world import Api, Tenant, World

USD = 10**9
HOUR = timedelta(hours=1)


@pytest.mark.parametrize("trouble", ["", "lost", "never", "500", "500 after"])
def test_credits_below_the_bound_are_bought_once(
    world: World, double: StripeDouble, quick: Stripe, trouble: str
) -> None:
    acme = world.acme
    with time_machine.travel(OCTOBER + DAY * 2, tick=False), org_scope(acme.org.pk):
        account = make_stripe_customer(acme, quick, since=OCTOBER, prepaid=True)
        set_top_up(actor=acme.owner, account=account, below=2 * USD, amount=20 * USD)
        if trouble:
            # What was taken is looked for first.
            double.troubles = ["", "", trouble]
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
        double.troubles = ["", "", "", "lost"]
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
    with time_machine.travel(NOVEMBER + DAY * 3, tick=False) as travel, org_scope(acme.org.pk):
        account = make_stripe_customer(acme, quick, since=OCTOBER, fee="49.00", prepaid=True)
        close(acme, NOVEMBER + DAY * 3)
        set_top_up(actor=acme.owner, account=account, below=2 * USD, amount=20 * USD)
        double.troubles = ["", "", "", "402"]
        assert _send(acme.owner, quick, NOVEMBER + DAY * 3) == 1
        travel.shift(HOUR)
        make_note(
            actor=acme.owner,
            invoice=Invoice.objects.get(),
            amounts={1: USD},
            reason="More",
            now=NOVEMBER + DAY * 3,
            kind=InvoiceKind.DEBIT_NOTE,
        )
        double.troubles = ["", "", "", "", "402"]
        with pytest.raises(StripeRefused):
            top_up(acme.owner, quick)
        travel.shift(HOUR * 2)
        double.troubles = ["", "", "", "", "402"]
        assert _send(acme.owner, quick, NOVEMBER + DAY * 3) == 1
    assert [each["amount_due"] for each in double.invoices.values()] == [4_900, 100]


@pytest.fixture
def low(world: World, quick: Stripe) -> Iterator[Tenant]:
    """Acme under a prepaid plan, with nothing left and 20 dollars to be bought below two."""
    acme = world.acme
    with time_machine.travel(OCTOBER + DAY * 2, tick=False), org_scope(acme.org.pk):
        account = make_stripe_customer(acme, quick, since=OCTOBER, prepaid=True)
        set_top_up(actor=acme.owner, account=account, below=2 * USD, amount=20 * USD)
        yield acme


def told(kind: AlertKind) -> list[dict[str, Any]]:
    return [alert.facts for alert in Alert.objects.filter(kind=kind.value).order_by("created_at")]


def taken(double: StripeDouble) -> int:
    """How many payments came through."""
    return sum(intent["status"] == "succeeded" for intent in double.intents.values())


def test_who_pays_by_invoice_buys_no_credits(low: Tenant, double: StripeDouble, quick: Stripe) -> None:
    subscribe(actor=low.owner, plan=make_plan())
    assert [top_up(low.owner, quick) for _ in range(3)] == [0, 0, 0]
    assert double.intents == {}


def test_a_closed_organisation_buys_no_credits(low: Tenant, double: StripeDouble, quick: Stripe) -> None:
    bought = []
    for is_active in (False, True):
        low.owner.org.is_active = is_active
        bought.append((top_up(low.owner, quick), len(double.intents)))
    assert bought == [(0, 0), (1, 1)]


def test_a_declined_card_is_charged_again_once_it_may_be_mended(
    low: Tenant, double: StripeDouble, quick: Stripe
) -> None:
    """Stripe gives the first result of a key for a day, and finance hears of it."""
    double.troubles = ["", "", "", "402"]
    with pytest.raises(StripeRefused, match="declined"):
        top_up(low.owner, quick)
    assert told(AlertKind.TOP_UP) == [
        {"trouble": "declined", "amount": 20 * USD, "reason": "Stripe refused: Your card was declined."}
    ]
    # Not again at once, a bank takes that ill; and it is refused for as long.
    for _ in range(2):
        _send(low.owner, quick, clock.now())
        assert BillingAccount.objects.get().refusal == "Stripe refused: Your card was declined."
    assert len(double.intents) == 1
    with time_machine.travel(OCTOBER + DAY * 2 + HOUR, tick=False) as travel:
        double.troubles = ["", "", "", "", "402"]
        with pytest.raises(StripeRefused):
            top_up(low.owner, quick)
        assert len(told(AlertKind.TOP_UP)) == 1
        travel.shift(HOUR * 2)
        # It is mended, and the answer is lost.
        double.troubles = ["", "", "", "", "lost"]
        with pytest.raises(StripeUnavailable):
            top_up(low.owner, quick)
        assert Alert.objects.get(kind=AlertKind.TOP_UP.value).ended_at is None
        assert [top_up(low.owner, quick) for _ in range(2)] == [1, 0]
        assert Alert.objects.get(kind=AlertKind.TOP_UP.value).ended_at == clock.now()
    assert (len(double.intents), taken(double), find_available(low.owner)) == (3, 1, 20 * USD)


@pytest.mark.parametrize("how", ["page", "operator", "switched off", "old payment", "too few"])
def test_a_declined_card_is_over_when_credits_are_bought_otherwise_or_not_wanted(
    low: Tenant, double: StripeDouble, quick: Stripe, how: str
) -> None:
    (customer,) = double.customers
    terms: dict[str, Any] = {"customer": customer, "org_id": low.org_id, "cents": 500 if how == "too few" else 2_500}
    old = quick.charge(**terms, currency="USD", key="before")
    add_credits(actor=low.owner, amount_nanos=old.cents * 10**7, reference=old.id)
    # What is bought then may be too few not to be charged again.
    record_call(low, OCTOBER + DAY, cost=old.cents * 10**7 + (4 * USD if how == "too few" else 0))
    double.troubles = ["", "", "", "402"]
    with pytest.raises(StripeRefused, match="declined"):
        top_up(low.owner, quick)
    alert = Alert.objects.get(kind=AlertKind.TOP_UP.value)
    if how in {"page", "too few"}:
        session_id, _ = quick.open_checkout(**terms, currency="USD", back_to="https://costhub.example", key="k")
        body = double.make_event("checkout.session.completed", double.pay_session(session_id))
    else:
        # What is told late of a payment from before ends nothing.
        body = double.make_event("payment_intent.succeeded", double.intents[old.id])
    store_event(read_stored(body), body)
    assert apply_event(StripeEvent.objects.get(pk=read_stored(body).id), read_stored(body), quick, clock.now())
    if how == "operator":
        add_credits(actor=low.owner, amount_nanos=2 * USD, reference="wire 1")
        assert top_up(low.owner, quick) == 0
    elif how == "switched off":
        set_top_up(actor=low.owner, account=BillingAccount.objects.get(), below=None, amount=None)
    alert.refresh_from_db()
    assert (alert.ended_at is not None) == (how != "old payment")


def test_what_is_charged_is_the_card_that_was_chosen_or_used_last(
    low: Tenant, double: StripeDouble, quick: Stripe
) -> None:
    """Stripe takes no card by itself: one that was used at a page of its may be charged from then on."""
    (customer,) = double.customers
    double.forget_cards(customer)
    with pytest.raises(StripeRefused, match="no means of payment"):
        top_up(low.owner, quick)
    assert [fact["trouble"] for fact in told(AlertKind.TOP_UP)] == ["declined"]
    session_id, _ = quick.open_checkout(
        customer=customer, org_id=low.org_id, cents=500, currency="USD", back_to="https://costhub.example", key="k"
    )
    double.pay_session(session_id)
    assert top_up(low.owner, quick) == 1
    assert [intent.get("payment_method") for intent in double.intents.values()][1:] == [double.cards[customer][0]["id"]]


@pytest.mark.parametrize(
    ("place", "trouble", "cents"),
    [(3, "402", 500), (2, "500", 500), (2, "500 after", 500), (3, "never", 500), (3, "500 after", 2_000)],
)
def test_another_amount_after_a_failure_is_no_second_payment(
    low: Tenant, double: StripeDouble, quick: Stripe, place: int, trouble: str, cents: int
) -> None:
    """And what is taken is what is wanted by now: nobody pays twenty dollars who has said five since."""
    double.troubles = [""] * place + [trouble]
    with pytest.raises((StripeRefused, StripeUnavailable)):
        top_up(low.owner, quick)
    set_top_up(actor=low.owner, account=BillingAccount.objects.get(), below=2 * USD, amount=5 * USD)
    with time_machine.travel(OCTOBER + DAY * 2 + HOUR, tick=False):
        assert [top_up(low.owner, quick) for _ in range(2)] == [1, 0]
    assert (taken(double), find_available(low.owner)) == (1, cents * 10**7)


@pytest.mark.parametrize("trouble", ["lost", "never", "500", "500 after"])
def test_another_amount_that_stripe_may_have_taken_or_not_is_said_again(
    low: Tenant, double: StripeDouble, quick: Stripe, trouble: str
) -> None:
    """Back and forth within a day: no answer from before stands for what is asked for now."""
    double.troubles = ["", "", "", "never"]
    for amount, troubles in ((5, ["", "", trouble]), (30, ["", "", "", "never"]), (5, [])):
        with pytest.raises(StripeUnavailable):
            top_up(low.owner, quick)
        set_top_up(actor=low.owner, account=BillingAccount.objects.get(), below=2 * USD, amount=amount * USD)
        double.troubles = troubles
    assert [top_up(low.owner, quick) for _ in range(2)] == [1, 0]
    assert ([intent["amount_received"] for intent in double.intents.values()], find_available(low.owner)) == (
        [500],
        5 * USD,
    )


def test_a_payment_that_is_taken_while_another_amount_is_asked_for_stays_as_it_is(
    low: Tenant, double: StripeDouble, quick: Stripe
) -> None:
    """The first request was slow, and is done between the look at it and the change."""
    double.troubles = ["", "", "", "never"]
    with pytest.raises(StripeUnavailable):
        top_up(low.owner, quick)
    (payment,) = double.intents.values()
    set_top_up(actor=low.owner, account=BillingAccount.objects.get(), below=2 * USD, amount=5 * USD)
    look, card = double.call, double.cards[payment["customer"]][0]["id"]

    def take_first(method: str, url: str, headers: dict[str, str], body: str) -> Any:
        if method.upper() == "POST" and payment["status"] != "succeeded":
            body_of_then = f"payment_method={card}&off_session=true"
            look(
                "POST",
                f"{url.removesuffix('/confirm')}/confirm",
                {"Authorization": headers["Authorization"]},
                body_of_then,
            )
        return look(method, url, headers, body)

    double.call = take_first  # type: ignore[method-assign]
    assert [top_up(low.owner, quick) for _ in range(2)] == [1, 0]
    assert (taken(double), find_available(low.owner)) == (1, 20 * USD)


def states(double: StripeDouble) -> list[str]:
    return [intent["status"] for intent in double.intents.values()]


@pytest.mark.parametrize(("error", "after"), [("", ["succeeded"]), ("No funds.", ["requires_payment_method"])])
def test_a_payment_that_takes_days_is_waited_for(
    low: Tenant, double: StripeDouble, quick: Stripe, error: str, after: list[str]
) -> None:
    """As from a bank account: meanwhile there is no other one."""
    double.slow_payments = ["processing"]
    with time_machine.travel(OCTOBER + DAY * 2, tick=False) as travel:
        for _ in range(3):
            assert top_up(low.owner, quick) == 0
            travel.shift(DAY)
        assert (states(double), told(AlertKind.TOP_UP)) == (["processing"], [])
        double.settle_payment(next(iter(double.intents)), error)
        if error:
            with pytest.raises(StripeRefused, match=error):
                top_up(low.owner, quick)
        else:
            assert [top_up(low.owner, quick) for _ in range(2)] == [1, 0]
        assert states(double) == after
        travel.shift(HOUR)
        assert top_up(low.owner, quick) == bool(error)
    assert (taken(double), find_available(low.owner)) == (1, 20 * USD)


def test_a_payment_that_somebody_cancelled_is_another_one_after_an_hour(
    low: Tenant, double: StripeDouble, quick: Stripe
) -> None:
    double.troubles = ["", "", "", "never"]
    with pytest.raises(StripeUnavailable):
        top_up(low.owner, quick)
    (payment,) = double.intents.values()
    payment["status"] = "canceled"
    with pytest.raises(StripeRefused, match="not made"):
        top_up(low.owner, quick)
    with time_machine.travel(OCTOBER + DAY * 2 + HOUR, tick=False):
        assert [top_up(low.owner, quick) for _ in range(2)] == [1, 0]
    assert (states(double), find_available(low.owner)) == (["canceled", "succeeded"], 20 * USD)


def test_a_card_that_is_declined_for_two_weeks_is_charged_ever_less_often(
    low: Tenant, double: StripeDouble, quick: Stripe
) -> None:
    """Networks of cards charge for more than fifteen times in thirty days. Another card is charged at once."""
    began, tried = clock.now(), list[int]()
    (customer,) = double.customers
    with time_machine.travel(began, tick=False) as travel:
        while clock.now() < began + DAY * 14:
            before = len(double.charges)
            # A try that is not made asks for none of what is refused.
            double.troubles = ["", "", "", "402"] if not tried else ["", "", "", "", "402"]
            with pytest.raises(StripeRefused, match="declined"):
                top_up(low.owner, quick)
            if len(double.charges) > before:
                tried.append((clock.now() - began) // HOUR)
            travel.shift(HOUR)
        assert tried == [0, 1, 3, 7, 15, 31, 63, 127, 223, 319]
        double.troubles = []
        double.add_card(customer)
        assert [top_up(low.owner, quick) for _ in range(2)] == [1, 0]
    assert (taken(double), find_available(low.owner)) == (1, 20 * USD)


def test_another_card_that_is_declined_too_is_tried_again_in_an_hour_of_its_own(
    low: Tenant, double: StripeDouble, quick: Stripe
) -> None:
    (customer,) = double.customers
    with time_machine.travel(clock.now(), tick=False) as travel:
        for trouble in (["", "", "", "402"], ["", "", "", "", "402"]):
            double.troubles = trouble
            with pytest.raises(StripeRefused, match="declined"):
                top_up(low.owner, quick)
            travel.shift(HOUR)
        double.add_card(customer)
        double.troubles = ["", "", "", "402"]
        for _ in range(2):
            with pytest.raises(StripeRefused, match="declined"):
                top_up(low.owner, quick)
        assert len(double.intents) == 3
        travel.shift(HOUR)
        assert top_up(low.owner, quick) == 1


@pytest.mark.parametrize("is_done", [False, True])
def test_what_waits_for_the_customer_is_cancelled_before_another_payment_is_made(
    low: Tenant, double: StripeDouble, quick: Stripe, is_done: bool
) -> None:
    """Else both could be taken: one when the customer says yes, and the other by itself."""
    double.slow_payments = ["requires_action"]
    with pytest.raises(StripeRefused, match="not made"):
        top_up(low.owner, quick)
    assert [fact["trouble"] for fact in told(AlertKind.TOP_UP)] == ["declined"]
    if is_done:
        # Between the look at it and the cancellation.
        look, first = double.call, next(iter(double.intents))

        def say_yes(method: str, url: str, headers: dict[str, str], body: str) -> Any:
            if url.endswith("/cancel"):
                double.settle_payment(first)
            return look(method, url, headers, body)

        double.call = say_yes  # type: ignore[method-assign]
    with time_machine.travel(OCTOBER + DAY * 2 + HOUR, tick=False):
        assert [top_up(low.owner, quick) for _ in range(2)] == [1, 0]
    assert states(double) == (["succeeded"] if is_done else ["canceled", "succeeded"])
    assert find_available(low.owner) == 20 * USD


def test_a_key_of_the_version_before_is_not_asked_for_again(low: Tenant, double: StripeDouble, quick: Stripe) -> None:
    """It made payments and took them in one request: Stripe refuses a key for a day that stands for another request."""
    (customer,) = double.customers
    key = f"top-up:{low.org_id}:auto:0:2000:"
    double.troubles = ["500"]
    headers = {"Authorization": f"Bearer {ACCOUNT_KEY}", "Idempotency-Key": key}
    body = f"amount=2000&currency=usd&customer={customer}&confirm=true&off_session=true"
    assert double.call("POST", "https://stripe.example/v1/payment_intents", headers, body)[0] == 500
    assert [top_up(low.owner, quick) for _ in range(2)] == [1, 0]
    assert (taken(double), told(AlertKind.TOP_UP)) == (1, [])


def test_a_payment_that_is_declined_long_after_it_was_made_is_not_tried_again_at_once(
    low: Tenant, double: StripeDouble, quick: Stripe
) -> None:
    double.troubles = ["", "", "", "never"]
    with pytest.raises(StripeUnavailable):
        top_up(low.owner, quick)
    with time_machine.travel(OCTOBER + DAY * 2 + HOUR * 3, tick=False) as travel:
        double.troubles = ["", "", "402"]
        for _ in range(3):
            with pytest.raises(StripeRefused, match="declined"):
                top_up(low.owner, quick)
            travel.shift(HOUR / 4)
        assert len(double.intents) == 1
        travel.shift(HOUR / 4)
        assert [top_up(low.owner, quick) for _ in range(2)] == [1, 0]
    assert (len(double.intents), taken(double), find_available(low.owner)) == (2, 1, 20 * USD)


@pytest.mark.parametrize("place", [2, 3])
@pytest.mark.parametrize("trouble", ["lost", "never", "500", "500 after"])
def test_another_card_after_an_answer_that_was_lost_is_no_second_payment(
    low: Tenant, double: StripeDouble, quick: Stripe, trouble: str, place: int
) -> None:
    """Nor is it refused: what Stripe was asked for first was for the card of then."""
    double.troubles = [""] * place + [trouble]
    with pytest.raises(StripeUnavailable):
        top_up(low.owner, quick)
    (customer,) = double.customers
    first, second = double.cards[customer][0]["id"], double.add_card(customer)
    assert [top_up(low.owner, quick) for _ in range(2)] == [1, 0]
    (payment,) = [intent for intent in double.intents.values() if intent["status"] == "succeeded"]
    was_taken = place == 3 and trouble in {"lost", "500 after"}
    assert payment["payment_method"] == (first if was_taken else second)
    assert (told(AlertKind.TOP_UP), find_available(low.owner)) == ([], 20 * USD)


@pytest.mark.parametrize("trouble", ["lost", "500", "500 after"])
def test_stripe_is_away_for_25_hours(low: Tenant, double: StripeDouble, quick: Stripe, trouble: str) -> None:
    double.troubles = ["", "", trouble]
    with time_machine.travel(OCTOBER + DAY * 2, tick=False) as travel:
        for _ in range(26):
            with pytest.raises(StripeUnavailable):
                top_up(low.owner, quick)
            double.is_down = True
            travel.shift(HOUR)
        double.is_down = False
        assert [top_up(low.owner, quick) for _ in range(2)] == [1, 0]
        assert (taken(double), find_available(low.owner)) == (1, 20 * USD)


def test_within_a_day_only_so_often(low: Tenant, double: StripeDouble, quick: Stripe) -> None:
    with time_machine.travel(OCTOBER + DAY * 2, tick=False) as travel:
        for number in range(MOST_A_DAY + 5):
            record_call(low, clock.now() - timedelta(minutes=1), cost=20 * USD)
            assert top_up(low.owner, quick) == (number < MOST_A_DAY)
            travel.shift(HOUR)
        assert taken(double) == MOST_A_DAY
        assert told(AlertKind.TOP_UP) == [{"trouble": "limit", "amount": 20 * USD, "times": MOST_A_DAY}]
        travel.shift(DAY)
        assert top_up(low.owner, quick) == 1


def test_what_lets_no_further_call_in_is_bought_once(low: Tenant, double: StripeDouble, quick: Stripe) -> None:
    """The stop is at the most that a budget can be."""
    record_call(low, OCTOBER - DAY, cost=MAX_LIMIT_NANOS)
    follow_wallet(low.owner)
    for expected in (1, 0, 0):
        record_call(low, OCTOBER + DAY, cost=20 * USD)
        assert top_up(low.owner, quick) == expected
    assert taken(double) == 1
    assert told(AlertKind.TOP_UP) == [{"trouble": "useless", "amount": 20 * USD}]
    account = BillingAccount.objects.get()
    assert (account.top_up_nanos, account.top_up_below_nanos) == (None, None)


def test_credits_from_elsewhere_make_no_lost_payment_a_second_one(
    low: Tenant, double: StripeDouble, quick: Stripe
) -> None:
    double.troubles = ["", "", "lost"]
    with pytest.raises(StripeUnavailable):
        top_up(low.owner, quick)
    add_credits(actor=low.owner, amount_nanos=USD, reference="by hand")
    assert top_up(low.owner, quick) == 1
    assert (taken(double), find_available(low.owner)) == (1, 21 * USD)


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
