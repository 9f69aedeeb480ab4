"""Subjects of budgets as people call them."""

from tenants.access import find_uuid
from tenants.choices import BudgetScope
from tenants.models import ApiKey, Organization, Project


def name_subject(org: Organization, scope: str, subject: str) -> str:
    """``Project Research``, ``Key web``, ``End user ada``: an id without a row is shown as it is. The organisation is open."""
    if scope == BudgetScope.ORGANIZATION:
        return org.name
    if scope == BudgetScope.PROJECT:
        return f"Project {_name(Project, org, subject)}"
    if scope == BudgetScope.KEY:
        return f"Key {_name(ApiKey, org, subject)}"
    words = {
        BudgetScope.END_USER: "End user",
        BudgetScope.MODEL: "Model",
        BudgetScope.TAG: "Tag",
        BudgetScope.SESSION: "Run",
    }
    return f"{words[BudgetScope(scope)]} {subject}"


def _name(model: type[Project] | type[ApiKey], org: Organization, row_id: str) -> str:
    wanted = find_uuid(row_id)
    row = model._default_manager.filter(org=org, pk=wanted).only("name").first() if wanted else None
    return row.name if row else row_id
