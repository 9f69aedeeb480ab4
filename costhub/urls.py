"""Every path outside /v1."""

from django.urls import URLPattern, URLResolver, include, path, re_path
from drf_spectacular.views import SpectacularJSONAPIView

from costhub import operations
from tenants.api.problems import answer_unknown_path

handler500 = "tenants.api.problems.answer_failure"

urlpatterns: list[URLPattern | URLResolver] = [
    path("healthz", operations.healthz),
    path("readyz", operations.readyz),
    path("metrics", operations.show_metrics),
    path("api/schema", SpectacularJSONAPIView.as_view(), name="schema"),
    path("api/v1/", include("tenants.urls")),
    path("api/v1/", include("billing.urls")),
    re_path(r"^api/", answer_unknown_path),
    path("", include("billing.pages")),
]
