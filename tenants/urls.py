"""Every path of the management API that is about tenants, below /api/v1."""

from django.urls import URLPattern, URLResolver, path
from rest_framework.routers import SimpleRouter

from tenants.api.audit_log import AuditViewSet
from tenants.api.budgets import BudgetViewSet
from tenants.api.end_users import EndUserViewSet
from tenants.api.keys import KeyViewSet
from tenants.api.members import MemberViewSet
from tenants.api.models import ModelViewSet
from tenants.api.organizations import OrganizationViewSet
from tenants.api.prices import ListPriceViewSet, PriceViewSet
from tenants.api.projects import ProjectViewSet
from tenants.api.rate_limits import RateLimitViewSet
from tenants.api.upstreams import UpstreamTestView, UpstreamViewSet

app_name = "tenants"

router = SimpleRouter(trailing_slash=False)
for prefix, viewset in {
    "organizations": OrganizationViewSet,
    "members": MemberViewSet,
    "projects": ProjectViewSet,
    "keys": KeyViewSet,
    "end-users": EndUserViewSet,
    "upstreams": UpstreamViewSet,
    "models": ModelViewSet,
    "prices": PriceViewSet,
    "list-prices": ListPriceViewSet,
    "budgets": BudgetViewSet,
    "rate-limits": RateLimitViewSet,
    "audit-log": AuditViewSet,
}.items():
    router.register(prefix, viewset, basename=prefix)

urlpatterns: list[URLPattern | URLResolver] = [
    path("upstreams/<str:pk>/test", UpstreamTestView.as_view(), name="upstream-test"),
    *router.urls,
]
