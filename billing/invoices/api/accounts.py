"""/billing-account, /plans, /subscription, /wallet: who pays, for what, with what."""

from typing import Any, ClassVar, Final
from uuid import uuid4

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from billing.invoices.actions.accounts import (
    choose_plan,
    connect_bucket,
    disconnect_bucket,
    leave,
    update_account,
)
from billing.invoices.actions.top_up import open_checkout, open_portal, set_top_up
from billing.invoices.actions.wallet import find_available
from billing.invoices.choices import PackTo
from billing.invoices.core.terms import show_terms
from billing.invoices.models import BillingAccount, Plan, Subscription, WalletTransfer
from billing.invoices.selectors.accounts import find_account, find_subscription, list_public_plans, terms_of
from billing.invoices.selectors.wallet import find_balances, list_transfers
from costhub.lib.errors import NotFound
from tenants.access import find_uuid
from tenants.api.base import ManagementView, TenantViewSet
from tenants.api.fields import Answer, Body, Choice, Nothing, Text, Usd
from tenants.choices import Permission

NO_CUSTOMER: Final = "This organisation is no customer: ask the operator of this installation."


class AccountAnswer(Answer):
    """Whom invoices are made out to."""

    seller = serializers.CharField(source="legal_entity.name")
    top_up_below = Usd(source="top_up_below_nanos", allow_null=True)
    top_up_amount = Usd(source="top_up_nanos", allow_null=True)

    class Meta:
        model = BillingAccount
        fields: ClassVar = [
            "id",
            "seller",
            "name",
            "street",
            "postcode",
            "city",
            "country",
            "tax_id",
            "po_number",
            "emails",
            "collection",
            "top_up_below",
            "top_up_amount",
            "pack_to",
            "bucket_url",
            "bucket_region",
            "bucket_key_id",
            "dunning",
            "created_at",
        ]


class AccountChanges(Body):
    """What may change."""

    name = Text(required=False)
    street = Text(required=False, allow_blank=True)
    postcode = Text(required=False, allow_blank=True)
    city = Text(required=False, allow_blank=True)
    country = Text(required=False)
    tax_id = Text(required=False, allow_blank=True)
    po_number = Text(required=False, allow_blank=True)
    emails = serializers.ListField(child=Text(), required=False, max_length=20)
    top_up_below = Usd(required=False, allow_null=True)
    top_up_amount = Usd(required=False, allow_null=True)
    pack_to = Choice(PackTo, required=False, help_text="where the month's papers go by themselves")


class AccountView(ManagementView):
    """The organisation as a customer."""

    works_when_read_only = True

    @extend_schema(responses=AccountAnswer)
    def get(self, request: Request) -> Response:
        """Whom invoices are made out to. 404 where the organisation is no customer."""
        self.actor.check(Permission.READ_MONEY)
        account = find_account(self.actor)
        if account is None:
            raise NotFound(NO_CUSTOMER)
        return Response(AccountAnswer(account).data)

    @extend_schema(request=AccountChanges, responses=AccountAnswer)
    def patch(self, request: Request) -> Response:
        """Change names and addresses for the invoices to come."""
        body = self.read(AccountChanges)
        self.actor.check(Permission.WRITE_MONEY)
        account = find_account(self.actor)
        if account is None:
            raise NotFound(NO_CUSTOMER)
        if body.keys() & {"top_up_below", "top_up_amount"}:
            below, amount = body.pop("top_up_below", None), body.pop("top_up_amount", None)
            set_top_up(actor=self.actor, account=account, below=below, amount=amount)
        return Response(AccountAnswer(update_account(actor=self.actor, account=account, **body)).data)


class NewBucket(Body):
    """A bucket of S3's kind that the month's papers are put into: ``https://endpoint/bucket``, with a prefix or
    without, and a key that may put objects there. The secret is never shown."""

    url = Text()
    region = Text()
    key_id = Text()
    secret = Text()


class BucketView(ManagementView):
    """The organisation's own bucket for the month's papers."""

    @extend_schema(request=NewBucket, responses=AccountAnswer)
    def put(self, request: Request) -> Response:
        """Have the month's papers put there from now on; in place of where they went before."""
        body = self.read(NewBucket)
        return Response(AccountAnswer(connect_bucket(actor=self.actor, account=self._account(), **body)).data)

    @extend_schema(responses={200: AccountAnswer})
    def delete(self, request: Request) -> Response:
        """Forget the bucket and its key."""
        return Response(AccountAnswer(disconnect_bucket(actor=self.actor, account=self._account())).data)

    def _account(self) -> BillingAccount:
        self.actor.check(Permission.WRITE_MONEY)
        account = find_account(self.actor)
        if account is None:
            raise NotFound(NO_CUSTOMER)
        return account


class PlanAnswer(Answer):
    """A version of a plan that may be chosen. Terms are decimal USD and per cents."""

    terms = serializers.JSONField()

    class Meta:
        model = Plan
        fields: ClassVar = ["id", "name", "version", "terms", "created_at"]


class PlanViewSet(TenantViewSet):
    """The plans of the installation's operator that anybody may choose."""

    queryset = Plan.objects.all()
    serializer_class = PlanAnswer

    def rows(self) -> Any:
        """The newest version of each that is open to all."""
        return list_public_plans()


class SubscriptionAnswer(Answer):
    """The plan that holds, with the terms as they are for this organisation."""

    plan = serializers.CharField(source="plan.name")
    version = serializers.IntegerField(source="plan.version")
    terms = serializers.SerializerMethodField()

    class Meta:
        model = Subscription
        fields: ClassVar = ["id", "plan", "version", "terms", "coupon", "starts_at", "ends_at", "trial_until"]

    def get_terms(self, row: Subscription) -> dict[str, Any]:
        """The plan's with what was agreed beside them."""
        return show_terms(terms_of(row))


class NewSubscription(Body):
    """Which plan, by name or id."""

    plan = Text()


class SubscriptionView(ManagementView):
    """The organisation's plan."""

    works_when_read_only = True

    @extend_schema(responses=SubscriptionAnswer)
    def get(self, request: Request) -> Response:
        """The plan that holds until further notice. 404 where there is none."""
        self.actor.check(Permission.READ_MONEY)
        subscription = find_subscription(self.actor)
        if subscription is None:
            raise NotFound("This organisation has no plan: choose one by POST.")
        return Response(SubscriptionAnswer(subscription).data)

    @extend_schema(request=NewSubscription, responses={201: SubscriptionAnswer})
    def post(self, request: Request) -> Response:
        """Choose a plan, from now on; what is left of the month is prorated. A minimum that was agreed stays."""
        name = self.read(NewSubscription)["plan"]
        self.actor.check(Permission.WRITE_MONEY)
        plans = list_public_plans()
        wanted = find_uuid(name)
        plan = plans.filter(name=name).first() or (plans.filter(pk=wanted).first() if wanted else None)
        if plan is None:
            raise NotFound("There is no such plan.", field="plan")
        return Response(SubscriptionAnswer(choose_plan(actor=self.actor, plan=plan)).data, status=201)

    @extend_schema(responses={200: SubscriptionAnswer})
    def delete(self, request: Request) -> Response:
        """End the plan with the month. From then on calls are refused, until a plan is chosen. 409 where a minimum was
        agreed: the operator of the installation ends such a plan."""
        return Response(SubscriptionAnswer(leave(actor=self.actor)).data)


class TransferAnswer(Answer):
    """A transfer between two accounts of the wallet, in USD."""

    amount = Usd(source="amount_nanos")

    class Meta:
        model = WalletTransfer
        fields: ClassVar = ["id", "debit", "credit", "amount", "reference", "reason", "created_by", "created_at"]


class WalletAnswer(serializers.Serializer[Any]):
    """Prepaid credits in USD: what the books hold, and what is left of it to be spent now. ``accounts`` sum to zero."""

    balance = Usd()
    available = Usd()
    accounts = serializers.DictField(child=serializers.CharField())


class WalletView(ManagementView):
    """What is left of prepaid money."""

    @extend_schema(responses=WalletAnswer)
    def get(self, request: Request) -> Response:
        """The wallet."""
        self.actor.check(Permission.READ_MONEY)
        balances = find_balances(self.actor)
        available = find_available(self.actor) if find_account(self.actor) else 0
        body = {
            "balance": balances["credits"],  # type: ignore[index]
            "available": available,
            "accounts": {name.value: Usd().to_representation(nanos) for name, nanos in balances.items()},
        }
        return Response(WalletAnswer(body).data)


class PageAnswer(serializers.Serializer[Any]):
    """Where to send the person who pays."""

    url = serializers.CharField()


class NewCheckout(Body):
    """How many USD of credits."""

    amount = Usd()


class CheckoutView(ManagementView):
    """Credits by card."""

    works_when_read_only = True

    @extend_schema(request=NewCheckout, responses={201: PageAnswer})
    def post(self, request: Request) -> Response:
        """Open a page of Stripe's at which credits are paid for."""
        amount = self.read(NewCheckout)["amount"]
        url = open_checkout(actor=self.actor, amount=amount, key=uuid4().hex)
        return Response(PageAnswer({"url": url}).data, status=201)


class PortalView(ManagementView):
    """Means of payment."""

    works_when_read_only = True

    @extend_schema(request=Nothing, responses={201: PageAnswer})
    def post(self, request: Request) -> Response:
        """Open Stripe's page at which the customer keeps its means of payment."""
        self.read(Nothing)
        return Response(PageAnswer({"url": open_portal(actor=self.actor)}).data, status=201)


class TransferViewSet(TenantViewSet):
    """Every movement of prepaid money."""

    queryset = WalletTransfer.objects.all()
    serializer_class = TransferAnswer
    read_permission = Permission.READ_MONEY

    def rows(self) -> Any:
        """Those of the open organisation."""
        return list_transfers(self.actor)
