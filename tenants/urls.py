"""Every path of the management API that is about tenants, below /api/v1."""

from django.urls import URLPattern, URLResolver, path
from rest_framework.routers import SimpleRouter

from tenants.api.audit_log import AuditViewSet
from tenants.api.budgets import BudgetViewSet
from tenants.api.cache import CachePolicyViewSet, CachePurgeViewSet
from tenants.api.capture import CapturePolicyViewSet
from tenants.api.end_users import EndUserViewSet
from tenants.api.endpoints import UpstreamEndpointViewSet
from tenants.api.invitations import InvitationViewSet
from tenants.api.keys import KeyViewSet
from tenants.api.list_prices import ListPriceViewSet
from tenants.api.members import MemberViewSet
from tenants.api.models import ModelViewSet
from tenants.api.organizations import OrganizationViewSet
from tenants.api.price_adjustments import PriceAdjustmentViewSet
from tenants.api.prices import PriceViewSet
from tenants.api.projects import ProjectViewSet
from tenants.api.rate_limits import RateLimitViewSet
from tenants.api.routes import CompressionPolicyViewSet, RouteViewSet
from tenants.api.sign_on import DomainViewSet, SignOnViewSet
from tenants.api.system_prompts import SystemPromptViewSet
from tenants.api.tokens import AdminTokenViewSet, ServiceAccountViewSet
from tenants.api.upstreams import UpstreamTestView, UpstreamViewSet
from tenants.api.views import SavedViewViewSet

app_name = "tenants"

router = SimpleRouter(trailing_slash=False)
for prefix, viewset in {
    "organizations": OrganizationViewSet,
    "members": MemberViewSet,
    "invitations": InvitationViewSet,
    "service-accounts": ServiceAccountViewSet,
    "admin-tokens": AdminTokenViewSet,
    "sign-ons": SignOnViewSet,
    "domains": DomainViewSet,
    "projects": ProjectViewSet,
    "keys": KeyViewSet,
    "end-users": EndUserViewSet,
    "upstreams": UpstreamViewSet,
    "upstream-endpoints": UpstreamEndpointViewSet,
    "models": ModelViewSet,
    "prices": PriceViewSet,
    "price-adjustments": PriceAdjustmentViewSet,
    "list-prices": ListPriceViewSet,
    "budgets": BudgetViewSet,
    "rate-limits": RateLimitViewSet,
    "cache-policies": CachePolicyViewSet,
    "cache-purges": CachePurgeViewSet,
    "routes": RouteViewSet,
    "compression-policies": CompressionPolicyViewSet,
    "system-prompts": SystemPromptViewSet,
    "capture-policies": CapturePolicyViewSet,
    "saved-views": SavedViewViewSet,
    "audit-log": AuditViewSet,
}.items():
    router.register(prefix, viewset, basename=prefix)

urlpatterns: list[URLPattern | URLResolver] = [
    path("upstreams/<str:pk>/test", UpstreamTestView.as_view(), name="upstream-test"),
    *router.urls,
]
