"""Every path of the management API that is about the ledger, below /api/v1."""

from django.urls import URLPattern, path

from billing.api.outlook import AnomalyViewSet, ForecastView
from billing.api.requests import RequestsView, RequestView
from billing.api.spend import SpendView

app_name = "billing"

urlpatterns: list[URLPattern] = [
    path("anomalies", AnomalyViewSet.as_view({"get": "list"}), name="anomalies"),
    path("anomalies/<str:pk>", AnomalyViewSet.as_view({"get": "retrieve"}), name="anomaly"),
    path("forecast", ForecastView.as_view(), name="forecast"),
    path("requests", RequestsView.as_view(), name="requests"),
    path("requests/<str:pk>", RequestView.as_view(), name="request"),
    path("spend", SpendView.as_view(), name="spend"),
]
