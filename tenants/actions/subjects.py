"""Whom a budget or a rate limit is for."""

import re
from collections.abc import Mapping
from typing import Final

from costhub.lib.errors import InvalidField, NotFound
from tenants.access import Actor, find_named, find_row
from tenants.actions.values import MAX_NAME_CHARACTERS, check_identifier
from tenants.choices import NARROWING, BudgetScope
from tenants.models import ApiKey, LanguageModel, Project

_TAG: Final = re.compile(r"[^=\s][^=]*=.+")


def check_subject(actor: Actor, scope: BudgetScope, subject: str) -> str:
    """What is stored of a subject: as the hot path will name it. Empty for each subject of the scope.

    Raises InvalidField for one that cannot be, NotFound for one that does not exist.
    """
    if not subject:
        return ""
    if scope == BudgetScope.ORGANIZATION:
        raise InvalidField("What holds for the whole organisation has no subject: leave it out.", field="subject")
    if scope == BudgetScope.TAG:
        if not _TAG.fullmatch(subject) or not subject.isprintable() or len(subject) > MAX_NAME_CHARACTERS:
            raise InvalidField("Name a tag as key=value.", field="subject")
        return subject
    if scope in {BudgetScope.END_USER, BudgetScope.SESSION}:
        return check_identifier(subject, "subject")
    found = _find_subject(actor, scope, subject)
    if found is None:
        raise NotFound(f"There is no such {scope.value}.", field="subject")
    return found


def check_within(actor: Actor, scope: BudgetScope, within: Mapping[str, str] | None) -> tuple[str, str]:
    """The scope and id that are stored of ``{"project": name or id}`` or ``{"key": id}``; empty ones for a limit that
    counts everywhere.

    Raises InvalidField for what cannot be, NotFound for a project or key that does not exist.
    """
    if within is None:
        return "", ""
    if scope in {BudgetScope.ORGANIZATION, *NARROWING}:
        raise InvalidField(
            "A limit of an organisation, project or key is not narrowed: leave within out, or give another scope.",
            field="within",
        )
    if len(within) != 1 or not set(within) <= set(NARROWING) or not all(within.values()):
        raise InvalidField('Name one project or one key: {"project": "search"} or {"key": "<id>"}.', field="within")
    ((kind, name),) = within.items()
    found = _find_subject(actor, BudgetScope(kind), name)
    if found is None:
        raise NotFound(f"There is no such {kind}.", field="within")
    return kind, found


def _find_subject(actor: Actor, scope: BudgetScope, subject: str) -> str | None:
    """What a budget stores of its subject: the id of a project or key, the name of a model."""
    if scope == BudgetScope.MODEL:
        model = find_named(LanguageModel.objects.all(), actor, subject)
        return model.name if model else None
    if scope == BudgetScope.KEY:
        key = find_row(ApiKey.objects.all(), actor, subject)
        return str(key.root) if key else None
    project = find_named(Project.objects.all(), actor, subject)
    return str(project.pk) if project else None
