"""What pages offer to do beside their form, each a button with what it does in words."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest

from costhub.lib.errors import AppError, Forbidden, NotFound
from tenants.access import Actor


@dataclass(frozen=True, slots=True)
class Act:
    """A button. ``confirm`` is the name to type first, for what cannot be undone; ``tone`` is ``bad`` for that."""

    label: str
    address: str
    button: str
    help: str = ""
    confirm: str = ""
    tone: str = ""
    hidden: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True, slots=True)
class PageLink:
    """A button in a page's head that leads to another page."""

    label: str
    address: str


def try_to(request: HttpRequest, actor: Actor, done: str, act: Callable[[], object]) -> bool:
    """Do it, all of it or nothing, and say on the next page how it went. Raises Forbidden, and NotFound for what is not
    there."""
    try:
        with transaction.atomic():
            act()
    except Forbidden:
        raise
    except AppError as error:
        if isinstance(error, NotFound) and error.field is None:
            raise
        messages.error(request, error.message, extra_tags="bad")
        return False
    if done:
        messages.success(request, done, extra_tags="good")
    return True
