"""The tables of tenants. Every row but people and packaged prices belongs to one organisation."""

from tenants.models.audit import AuditEntry
from tenants.models.budgets import Budget
from tenants.models.increases import BudgetIncrease
from tenants.models.keys import AdminToken, ApiKey, PlatformToken
from tenants.models.limits import RateLimit
from tenants.models.orgs import EndUser, Membership, Organization, Project
from tenants.models.people import User
from tenants.models.pricing import ListPrice, Price
from tenants.models.upstreams import LanguageModel, Upstream

__all__ = [
    "AdminToken",
    "ApiKey",
    "AuditEntry",
    "Budget",
    "BudgetIncrease",
    "EndUser",
    "LanguageModel",
    "ListPrice",
    "Membership",
    "Organization",
    "PlatformToken",
    "Price",
    "Project",
    "RateLimit",
    "Upstream",
    "User",
]
