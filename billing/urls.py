"""Every path of the management API that is about the ledger, below /api/v1."""

from django.urls import URLPattern, path

from billing.api.requests import RequestsView, RequestView
from billing.api.spend import SpendView

app_name = "billing"

urlpatterns: list[URLPattern] = [
    path("requests", RequestsView.as_view(), name="requests"),
    path("requests/<str:pk>", RequestView.as_view(), name="request"),
    path("spend", SpendView.as_view(), name="spend"),
]
