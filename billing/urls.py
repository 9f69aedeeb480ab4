"""Every path of the management API that is about the ledger and about alerts, below /api/v1."""

from django.urls import URLPattern, URLResolver, path
from rest_framework.routers import SimpleRouter

from billing.api.alert_rules import AlertRuleViewSet
from billing.api.alerts import AlertViewSet
from billing.api.channels import ChannelViewSet, DeliveryViewSet
from billing.api.outlook import AnomalyViewSet, ForecastView
from billing.api.requests import RequestsView, RequestView
from billing.api.spend import SpendView

app_name = "billing"

router = SimpleRouter(trailing_slash=False)
router.register("alerts", AlertViewSet, basename="alerts")
router.register("alert-rules", AlertRuleViewSet, basename="alert-rules")
router.register("channels", ChannelViewSet, basename="channels")
router.register("deliveries", DeliveryViewSet, basename="deliveries")

urlpatterns: list[URLPattern | URLResolver] = [
    path("anomalies", AnomalyViewSet.as_view({"get": "list"}), name="anomalies"),
    path("anomalies/<str:pk>", AnomalyViewSet.as_view({"get": "retrieve"}), name="anomaly"),
    path("forecast", ForecastView.as_view(), name="forecast"),
    path("requests", RequestsView.as_view(), name="requests"),
    path("requests/<str:pk>", RequestView.as_view(), name="request"),
    path("spend", SpendView.as_view(), name="spend"),
    *router.urls,
]
