"""Saved views: a page's parameters under a name."""

from typing import Final
from urllib.parse import parse_qsl, urlencode

from django.db import IntegrityError, transaction

from costhub.lib.errors import Conflict, Forbidden, InvalidField
from tenants.access import Actor
from tenants.actions.audit import record
from tenants.actions.values import check_name
from tenants.choices import Permission, ViewPage
from tenants.models import SavedView

MAX_VIEWS: Final = 200
MAX_QUERY_CHARACTERS: Final = 1_000
#: where somebody is in a list is no part of what is looked at
_LEFT_OUT: Final = frozenset({"page", "cursor"})


def save_view(*, actor: Actor, name: str, page: ViewPage, query: str) -> SavedView:
    """Keep a page's parameters under a name, for everybody who may see the page.

    Raises InvalidField for parameters that are none or too long, Conflict for a name that is taken.
    """
    actor.check(Permission.READ_MONEY)
    view = SavedView(
        org=actor.org, name=check_name(name), page=page.value, query=_check_query(query), created_by=actor.name
    )
    try:
        with transaction.atomic():
            if SavedView.objects.filter(org=actor.org).count() >= MAX_VIEWS:
                raise Conflict(f"There are {MAX_VIEWS} saved views already: remove one first.")
            view.save(force_insert=True)
            record(actor, "saved", view, name=view.name, page=page, query=view.query)
    except IntegrityError as error:
        raise Conflict("There is a view of this name: choose another.", field="name") from error
    return view


def remove_view(*, actor: Actor, view: SavedView) -> None:
    """Forget a view. Raises Forbidden for another's, unless one may change settings."""
    actor.check(Permission.READ_MONEY)
    if view.created_by != actor.name and not actor.may(Permission.WRITE_SETTINGS):
        raise Forbidden(f"This view is {view.created_by}'s: ask them, or an owner or admin, to remove it.")
    with transaction.atomic():
        record(actor, "removed", view, name=view.name)
        view.delete()


def _check_query(query: str) -> str:
    try:
        pairs = parse_qsl(
            query.removeprefix("?"), keep_blank_values=False, strict_parsing=bool(query), max_num_fields=50
        )
    except ValueError as error:
        raise InvalidField('Give a page\'s parameters, such as "range=7d&by=model".', field="query") from error
    kept = urlencode([(name, value) for name, value in pairs if name not in _LEFT_OUT])
    if len(kept) > MAX_QUERY_CHARACTERS or "%00" in kept:
        raise InvalidField(f"Give parameters of at most {MAX_QUERY_CHARACTERS} characters.", field="query")
    return kept
