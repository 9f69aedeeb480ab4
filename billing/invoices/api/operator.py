"""/organizations/{id}/...: what the operator of the installation does about a customer, with a platform token. To
anybody else these paths are those of an organisation that does not exist."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from billing.invoices.actions.accounts import end_subscription, open_account, subscribe
from billing.invoices.actions.notes import make_note as add_note
from billing.invoices.actions.notes import mark_paid, mark_uncollectible, void_invoice
from billing.invoices.actions.subscriptions import want_subscription
from billing.invoices.actions.wallet import add_credits, refund_credits
from billing.invoices.api.accounts import AccountAnswer, SubscriptionAnswer, TransferAnswer
from billing.invoices.api.invoices import InvoiceAnswer
from billing.invoices.choices import NOTES, Collection, InvoiceKind, WalletAccount
from billing.invoices.models import Invoice, LegalEntity, Plan
from costhub.lib import clock
from costhub.lib.errors import InvalidField, NotFound
from tenants.access import Actor, access_row, find_uuid, org_scope
from tenants.api.authentication import PlatformActor
from tenants.api.base import ManagementView
from tenants.api.fields import Body, Choice, Flag, Moment, Nothing, Text, Usd, Whole
from tenants.choices import Role
from tenants.models import Organization


class OperatorView(ManagementView):
    """A view of one organisation for platform tokens alone."""

    _org: Organization | None = None

    def check_caller(self) -> None:
        """Anybody else learns nothing here, not even whether the organisation exists."""
        if not isinstance(self.request.auth, PlatformActor):
            self.actor  # noqa: B018 - who is nobody is told so
            raise _no_such_organization()

    @contextmanager
    def customer(self, pk: str) -> Iterator[Actor]:
        """The organisation, open, with the operator as its owner. Raises NotFound."""
        who = self.request.auth
        wanted = find_uuid(pk)
        if wanted is None or not isinstance(who, PlatformActor):
            raise _no_such_organization()
        with org_scope(wanted):
            org = Organization.objects.filter(pk=wanted).first()
            if org is None:
                raise _no_such_organization()
            self._org = org
            yield Actor(org, Role.OWNER, who.name)

    @property
    def answered_org(self) -> Organization:
        """The customer."""
        return self._org or super().answered_org


def _no_such_organization() -> NotFound:
    return NotFound("There is no such organization.")


class NewAccount(Body):
    """Who pays; ``legal_entity`` by name or id. Without a Stripe customer payment is by hand."""

    legal_entity = Text()
    name = Text()
    country = Text()
    street = Text(required=False, allow_blank=True)
    postcode = Text(required=False, allow_blank=True)
    city = Text(required=False, allow_blank=True)
    tax_id = Text(required=False, allow_blank=True)
    po_number = Text(required=False, allow_blank=True)
    emails = serializers.ListField(child=Text(), required=False, max_length=20)
    collection = Choice(Collection, required=False)
    stripe_customer = Text(required=False, allow_blank=True, max_length=64)
    stripe_meter = Text(required=False, allow_blank=True, max_length=100)


class AccountOfView(OperatorView):
    """A customer's account."""

    @extend_schema(request=NewAccount, responses={201: AccountAnswer})
    def post(self, request: Request, pk: str) -> Response:
        """Make the organisation a customer."""
        body = self.read(NewAccount)
        name = body.pop("legal_entity")
        wanted = find_uuid(name)
        named = LegalEntity.objects.filter(name=name).first()
        entity = named or (LegalEntity.objects.filter(pk=wanted).first() if wanted else None)
        if entity is None:
            raise NotFound("There is no such legal entity.", field="legal_entity")
        with self.customer(pk) as actor:
            return Response(AccountAnswer(open_account(actor=actor, legal_entity=entity, **body)).data, status=201)


class AgreedSubscription(Body):
    """A plan by name or id, with what was agreed beside it."""

    plan = Text()
    overrides = serializers.DictField(required=False)
    coupon = serializers.DictField(required=False)
    at = Moment(required=False)


class SubscriptionOfView(OperatorView):
    """A customer's plan."""

    @extend_schema(request=AgreedSubscription, responses={201: SubscriptionAnswer})
    def post(self, request: Request, pk: str) -> Response:
        """Put the organisation under any plan, with terms of its own."""
        body = self.read(AgreedSubscription)
        name = body.pop("plan")
        plans = Plan.objects.filter(is_active=True).order_by("-version")
        wanted = find_uuid(name)
        plan = plans.filter(name=name).first() or (plans.filter(pk=wanted).first() if wanted else None)
        if plan is None:
            raise NotFound("There is no such plan.", field="plan")
        with self.customer(pk) as actor:
            return Response(SubscriptionAnswer(subscribe(actor=actor, plan=plan, **body)).data, status=201)

    @extend_schema(responses={200: SubscriptionAnswer})
    def delete(self, request: Request, pk: str) -> Response:
        """End the plan now, whatever was agreed. From then on calls are refused, until there is another one."""
        with self.customer(pk) as actor:
            return Response(SubscriptionAnswer(end_subscription(actor=actor)).data)


class StripeSubscriptionAnswer(serializers.Serializer[Any]):
    """Stripe's id of it, or ``wanted`` until it is made."""

    stripe_subscription = serializers.CharField()


class StripeSubscriptionOfView(OperatorView):
    """Stripe's subscription of a customer."""

    @extend_schema(request=Nothing, responses={201: StripeSubscriptionAnswer})
    def post(self, request: Request, pk: str) -> Response:
        """Have Stripe bill fee and meter by a subscription; a job makes it within a minute."""
        self.read(Nothing)
        with self.customer(pk) as actor:
            account = want_subscription(actor=actor)
            return Response({"stripe_subscription": account.stripe_subscription}, status=201)


class NewCredits(Body):
    """Credits that were paid for, or that are given; ``reference`` makes it happen once."""

    amount = Usd()
    reference = Text(max_length=200)
    is_gift = Flag(required=False, help_text="given by the operator, and paid for by nobody")
    reason = Text(required=False, allow_blank=True, max_length=300)


class CreditsOfView(OperatorView):
    """A customer's wallet."""

    @extend_schema(request=NewCredits, responses={201: TransferAnswer})
    def post(self, request: Request, pk: str) -> Response:
        """Put credits into the wallet."""
        body = self.read(NewCredits)
        body["amount_nanos"] = body.pop("amount")
        body["source"] = WalletAccount.PROMOTIONS if body.pop("is_gift", False) else WalletAccount.CASH
        with self.customer(pk) as actor:
            return Response(TransferAnswer(add_credits(actor=actor, **body)).data, status=201)


class CreditRefund(Body):
    """Credits whose money was given back, by a transfer say; what is given back at Stripe is booked by itself.
    ``reference`` makes it happen once."""

    amount = Usd()
    reference = Text(max_length=200)
    reason = Text(required=False, allow_blank=True, max_length=300)


class CreditRefundsOfView(OperatorView):
    """What is given back of a customer's wallet."""

    @extend_schema(request=CreditRefund, responses={201: TransferAnswer})
    def post(self, request: Request, pk: str) -> Response:
        """Take credits out of the wallet whose money was given back: never more than are left."""
        body = self.read(CreditRefund)
        body["amount_nanos"] = body.pop("amount")
        with self.customer(pk) as actor:
            return Response(TransferAnswer(refund_credits(actor=actor, **body)).data, status=201)


class NewNote(Body):
    """What to take back of which lines, by position; without ``lines`` all of it."""

    invoice = Text()
    reason = Text(max_length=300)
    kind = Choice(InvoiceKind, required=False)
    lines = serializers.ListField(child=serializers.DictField(), required=False, max_length=1_000)


class NoteLine(Body):
    """A line of the invoice, and so much of it in USD."""

    position = Whole()
    amount = Usd()


class NotesOfView(OperatorView):
    """Credit and debit notes of a customer."""

    @extend_schema(request=NewNote, responses={201: InvoiceAnswer})
    def post(self, request: Request, pk: str) -> Response:
        """Correct an issued invoice."""
        body = self.read(NewNote)
        amounts: dict[int, int] | None = None
        if "lines" in body:
            amounts = {}
            for line in body["lines"]:
                form = NoteLine(data=line)
                form.is_valid(raise_exception=True)
                amounts[form.validated_data["position"]] = form.validated_data["amount"]
        kind = body.get("kind") or InvoiceKind.CREDIT_NOTE
        if kind not in NOTES:
            raise InvalidField("Give credit_note or debit_note.", field="kind")
        with self.customer(pk) as actor:
            note = add_note(
                actor=actor,
                invoice=_invoice(actor, body["invoice"]),
                amounts=amounts,
                reason=body["reason"],
                now=clock.now(),
                kind=kind,
            )
            return Response(InvoiceAnswer(note).data, status=201)


class InvoiceEvent(Body):
    """What has happened to an invoice: ``paid`` by hand, ``void`` or ``uncollectible``."""

    invoice = Text()
    event = Text()
    reason = Text(required=False, allow_blank=True, max_length=300)


class InvoiceEventsOfView(OperatorView):
    """What becomes of a customer's invoices."""

    @extend_schema(request=InvoiceEvent, responses={200: InvoiceAnswer})
    def post(self, request: Request, pk: str) -> Response:
        """Say that an invoice is paid, void or given up."""
        body = self.read(InvoiceEvent)
        with self.customer(pk) as actor:
            invoice = _invoice(actor, body["invoice"])
            now, reason = clock.now(), body.get("reason", "")
            if body["event"] == "paid":
                mark_paid(actor=actor, invoice=invoice, now=now, reference=reason)
            elif body["event"] == "void":
                void_invoice(actor=actor, invoice=invoice, reason=reason or "Void", now=now)
            elif body["event"] == "uncollectible":
                mark_uncollectible(actor=actor, invoice=invoice, now=now)
            else:
                raise InvalidField("Give paid, void or uncollectible.", field="event")
            invoice.refresh_from_db()
            return Response(InvoiceAnswer(invoice).data)


def _invoice(actor: Actor, name: str) -> Invoice:
    rows = Invoice.objects.filter(org=actor.org)
    return rows.filter(number=name).exclude(number="").first() or access_row(rows, actor, name)
