"""Every path of the management API that is about the ledger and about alerts, below /api/v1."""

from django.urls import URLPattern, URLResolver, path
from rest_framework.routers import SimpleRouter

from billing.alerts.api.alerts import AlertViewSet
from billing.alerts.api.channels import ChannelViewSet, DeliveryViewSet
from billing.alerts.api.rules import AlertRuleViewSet
from billing.bills.api import BillSourceViewSet
from billing.cache.api import CacheEntryViewSet, CacheRequestView, CacheShadowView, CacheStatsView
from billing.demo.api import RemoveDemoView
from billing.gpu.api import GpuEndpointViewSet
from billing.invoices.api.accounts import (
    AccountView,
    BucketView,
    CheckoutView,
    PlanViewSet,
    PortalView,
    SubscriptionView,
    TransferViewSet,
    WalletView,
)
from billing.invoices.api.customers import CustomersView, DocumentsOfView
from billing.invoices.api.focus import FocusView
from billing.invoices.api.invoices import CreditNoteViewSet, InvoiceViewSet
from billing.invoices.api.operator import (
    AccountOfView,
    CreditRefundsOfView,
    CreditsOfView,
    InvoiceEventsOfView,
    NotesOfView,
    StripeSubscriptionOfView,
    SubscriptionOfView,
)
from billing.invoices.api.packs import FinancePackViewSet
from billing.invoices.api.rerating import ReratingViewSet
from billing.invoices.api.stripe_events import StripeEventRetryView, StripeEventsView
from billing.invoices.api.webhooks import receive_stripe
from billing.routes.api import (
    CompressionKeptView,
    CompressionSavingsView,
    DistilView,
    LearnedView,
    LearnView,
    PlaygroundView,
    RouteSavingsView,
    RouteThresholdsView,
    UnlearnView,
    WhatIfView,
)
from billing.spend.api.bridge import BridgeView
from billing.spend.api.budget_requests import TellingBudgetRequestViewSet
from billing.spend.api.budget_use import BudgetUseView
from billing.spend.api.outlook import AnomalyViewSet, ForecastView
from billing.spend.api.requests import RequestsView, RequestView
from billing.spend.api.roi import RoiView
from billing.spend.api.savings import SavingsView
from billing.spend.api.spend import SpendView
from billing.spend.api.upstream_bill import UpstreamBillView
from billing.status.api import StatusPageView, UpstreamStatesView

app_name = "billing"

router = SimpleRouter(trailing_slash=False)
router.register("alerts", AlertViewSet, basename="alerts")
router.register("alert-rules", AlertRuleViewSet, basename="alert-rules")
router.register("channels", ChannelViewSet, basename="channels")
router.register("deliveries", DeliveryViewSet, basename="deliveries")
router.register("cache/entries", CacheEntryViewSet, basename="cache-entries")
router.register("budget-requests", TellingBudgetRequestViewSet, basename="budget-requests")
router.register("invoices", InvoiceViewSet, basename="invoices")
router.register("gpu-endpoints", GpuEndpointViewSet, basename="gpu-endpoints")
router.register("bill-sources", BillSourceViewSet, basename="bill-sources")
router.register("finance-packs", FinancePackViewSet, basename="finance-packs")
router.register("reratings", ReratingViewSet, basename="reratings")
router.register("credit-notes", CreditNoteViewSet, basename="credit-notes")

urlpatterns: list[URLPattern | URLResolver] = [
    path("upstream-states", UpstreamStatesView.as_view(), name="upstream-states"),
    path("status-page", StatusPageView.as_view(), name="status-page"),
    path("anomalies", AnomalyViewSet.as_view({"get": "list"}), name="anomalies"),
    path("anomalies/<str:pk>", AnomalyViewSet.as_view({"get": "retrieve"}), name="anomaly"),
    path("routes/<str:pk>/savings", RouteSavingsView.as_view(), name="route-savings"),
    path("routes/<str:pk>/thresholds", RouteThresholdsView.as_view(), name="route-thresholds"),
    path("routes/<str:pk>/learned", LearnedView.as_view(), name="route-learned"),
    path("routes/<str:pk>/learn", LearnView.as_view(), name="route-learn"),
    path("routes/<str:pk>/unlearn", UnlearnView.as_view(), name="route-unlearn"),
    path("route-playground", PlaygroundView.as_view(), name="route-playground"),
    path("compression-policies/<str:pk>/kept", CompressionKeptView.as_view(), name="compression-kept"),
    path("compression/savings", CompressionSavingsView.as_view(), name="compression-savings"),
    path("system-prompt-preview", DistilView.as_view(), name="system-prompt-preview"),
    path("what-if", WhatIfView.as_view(), name="what-if"),
    path("cache/requests/<str:pk>", CacheRequestView.as_view(), name="cache-request"),
    path("cache/shadow", CacheShadowView.as_view(), name="cache-shadow"),
    path("cache/stats", CacheStatsView.as_view(), name="cache-stats"),
    path("budget-use", BudgetUseView.as_view(), name="budget-use"),
    path("billing-account", AccountView.as_view(), name="billing-account"),
    path("plans", PlanViewSet.as_view({"get": "list"}), name="plans"),
    path("subscription", SubscriptionView.as_view(), name="subscription"),
    path("stripe/webhook", receive_stripe, name="stripe-webhook"),
    path("stripe-events", StripeEventsView.as_view(), name="stripe-events"),
    path("stripe-events/<str:pk>/retry", StripeEventRetryView.as_view(), name="stripe-event-retry"),
    path("wallet", WalletView.as_view(), name="wallet"),
    path("wallet/checkout", CheckoutView.as_view(), name="wallet-checkout"),
    path("billing-account/bucket", BucketView.as_view(), name="billing-bucket"),
    path("billing-account/portal", PortalView.as_view(), name="billing-portal"),
    path("wallet/transfers", TransferViewSet.as_view({"get": "list"}), name="wallet-transfers"),
    path("organizations/<str:pk>/billing-account", AccountOfView.as_view(), name="billing-account-of"),
    path("organizations/<str:pk>/subscription", SubscriptionOfView.as_view(), name="subscription-of"),
    path("customers", CustomersView.as_view(), name="customers"),
    path("organizations/<str:pk>/invoices", DocumentsOfView.as_view(), name="invoices-of"),
    path(
        "organizations/<str:pk>/stripe-subscription",
        StripeSubscriptionOfView.as_view(),
        name="stripe-subscription-of",
    ),
    path("organizations/<str:pk>/credits", CreditsOfView.as_view(), name="credits-of"),
    path("organizations/<str:pk>/credit-refunds", CreditRefundsOfView.as_view(), name="credit-refunds-of"),
    path("organizations/<str:pk>/notes", NotesOfView.as_view(), name="notes-of"),
    path("organizations/<str:pk>/invoice-events", InvoiceEventsOfView.as_view(), name="invoice-events-of"),
    path("forecast", ForecastView.as_view(), name="forecast"),
    path("requests", RequestsView.as_view(), name="requests"),
    path("requests/<str:pk>", RequestView.as_view(), name="request"),
    path("remove-demo", RemoveDemoView.as_view(), name="remove-demo"),
    path("roi", RoiView.as_view(), name="roi"),
    path("upstream-bills", UpstreamBillView.as_view(), name="upstream-bills"),
    path("spend/focus", FocusView.as_view(), name="focus"),
    path("spend/bridge", BridgeView.as_view(), name="bridge"),
    path("savings", SavingsView.as_view(), name="savings"),
    path("spend", SpendView.as_view(), name="spend"),
    *router.urls,
]
