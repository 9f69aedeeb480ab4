"""Every path outside /v1."""

from django.urls import URLPattern, URLResolver, include, path, re_path

from costhub.console.hints import PATHS, add_v1
from costhub.ops import departure, operations
from tenants.api.document import show_document
from tenants.api.problems import answer_unknown_path

handler500 = "tenants.api.problems.answer_failure"

urlpatterns: list[URLPattern | URLResolver] = [
    path("healthz", operations.healthz),
    path("readyz", operations.readyz),
    path("metrics", operations.show_metrics),
    path("api/schema", show_document, name="schema"),
    path("api/v1/", include("tenants.urls")),
    path("api/v1/", include("billing.urls")),
    path("scim/v2/", include("tenants.api.scim")),
    path("scim/v2/", include("tenants.api.scim_groups")),
    path("api/v1/", include("proxy.learning.urls")),
    path("api/v1/", include("proxy.batches.urls")),
    path("api/v1/export", departure.ExportView.as_view(), name="export"),
    path("api/v1/erase", departure.EraseView.as_view(), name="erase"),
    re_path(r"^api/", answer_unknown_path),
    re_path(rf"^(?:{'|'.join(PATHS)})(?:/|$)", add_v1),
    path("", include("costhub.console.urls")),
]
