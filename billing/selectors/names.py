"""The names that ids have today."""

from collections.abc import Iterable
from typing import Any, Final
from uuid import UUID

from tenants.access import Actor, find_uuid
from tenants.models import ApiKey, Project, Upstream

NAMED: Final[dict[str, type[Project] | type[ApiKey] | type[Upstream]]] = {
    "project": Project,
    "key": ApiKey,
    "upstream": Upstream,
}


def find_names(actor: Actor, group: str, ids: Iterable[UUID | str | None]) -> dict[Any, str]:
    """Names by id (in the type given) of projects, keys or upstreams that exist; empty for any other group."""
    wanted = {one for one in ids if one}
    if group not in NAMED or not wanted:
        return {}
    uuids = [found for one in wanted if (found := find_uuid(str(one)))]
    rows = NAMED[group]._default_manager.filter(org=actor.org, pk__in=uuids)
    names = {str(pk): name for pk, name in rows.values_list("pk", "name")}
    return {one: names[str(one)] for one in wanted if str(one) in names}
