"""The tables of tenants. Every row but people and packaged prices belongs to one organisation."""

from tenants.models.audit import AuditEntry
from tenants.models.budget_requests import BudgetRequest
from tenants.models.budgets import Budget
from tenants.models.cache import CachePolicy, CachePurge
from tenants.models.capture import CapturePolicy
from tenants.models.increases import BudgetIncrease
from tenants.models.invitations import Invitation
from tenants.models.keys import AdminToken, ApiKey, PlatformToken, ServiceAccount
from tenants.models.limits import RateLimit
from tenants.models.orgs import EndUser, Membership, Organization, Project
from tenants.models.people import User
from tenants.models.pricing import ListPrice, Price, PriceAdjustment
from tenants.models.routes import CompressionPolicy, Route, RouteVersion, SystemPrompt
from tenants.models.sign_on import ClaimedDomain, SignOn
from tenants.models.upstreams import LanguageModel, Upstream, UpstreamEndpoint
from tenants.models.views import SavedView

__all__ = [
    "AdminToken",
    "ApiKey",
    "AuditEntry",
    "Budget",
    "BudgetIncrease",
    "BudgetRequest",
    "CachePolicy",
    "CachePurge",
    "CapturePolicy",
    "ClaimedDomain",
    "CompressionPolicy",
    "EndUser",
    "Invitation",
    "LanguageModel",
    "ListPrice",
    "Membership",
    "Organization",
    "PlatformToken",
    "Price",
    "PriceAdjustment",
    "Project",
    "RateLimit",
    "Route",
    "RouteVersion",
    "SavedView",
    "ServiceAccount",
    "SignOn",
    "SystemPrompt",
    "Upstream",
    "UpstreamEndpoint",
    "User",
]
