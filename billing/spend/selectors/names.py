"""What ids and subjects are called today. The organisation is open."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from tenants.access import find_uuid
from tenants.choices import BudgetScope
from tenants.models import ApiKey, Organization, Project, Upstream

#: groups whose keys are ids of rows
NAMED: Final = frozenset({"project", "key", "upstream"})
_WORDS: Final = {
    BudgetScope.PROJECT: "Project",
    BudgetScope.KEY: "Key",
    BudgetScope.END_USER: "End user",
    BudgetScope.MODEL: "Model",
    BudgetScope.TAG: "Tag",
    BudgetScope.SESSION: "Run",
}


def find_names(org: Organization, ids: Iterable[Any]) -> dict[str, str]:
    """Names by id, as text, of the organisation's projects, keys and upstreams among ``ids``. No two of these share an
    id, so all are asked for at once; without ids nothing is."""
    wanted = {found for one in ids if one and (found := find_uuid(str(one)))}
    if not wanted:
        return {}
    projects, keys, upstreams = (
        model._default_manager.filter(org=org, pk__in=wanted).order_by().values_list("pk", "name")
        for model in (Project, ApiKey, Upstream)
    )
    return {str(pk): name for pk, name in projects.union(keys, upstreams, all=True)}


def plain_name(org: Organization, scope: str, subject: str, names: Mapping[str, str]) -> str:
    """A subject's name alone: an id without a row is shown as it is."""
    return org.name if scope == BudgetScope.ORGANIZATION else names.get(subject, subject)


def name_subject(org: Organization, scope: str, subject: str, names: Mapping[str, str] | None = None) -> str:
    """``Project Research``, ``Key web``, ``End user ada``: an id without a row is shown as it is. ``names``: of many
    subjects, those of all of them."""
    if names is None:
        names = find_names(org, [subject]) if scope in NAMED else {}
    name = plain_name(org, scope, subject, names)
    return name if scope == BudgetScope.ORGANIZATION else f"{_WORDS[BudgetScope(scope)]} {name}"
