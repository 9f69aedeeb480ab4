"""What pages offer to do beside their form, each a button with what it does in words."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest

from costhub.lib.errors import AppError, Forbidden, InvalidField, NotFound
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


def switch_act(address: str, off: str, on: str, *, is_on: bool, what: str = "it") -> Act:
    """The button that switches something off, or on again, for ``try_to_set`` of ``is_active``: ``off`` and ``on`` say
    what that does."""
    if is_on:
        return Act(f"Switch {what} off", address, "Switch off", off, tone="bad", hidden=[("is_active", "no")])
    return Act(f"Switch {what} on", address, "Switch on", on, hidden=[("is_active", "yes")])


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


def try_to_set(
    request: HttpRequest, actor: Actor, flag: str, words: tuple[str, str], act: Callable[[bool], object]
) -> None:
    """``try_to`` set what a switch's button asks for, which sends the flag hidden as yes or no: of two people who press
    Stop in one moment, the second must not resume. ``words`` say that the flag is set, and that it is not."""
    is_on = {"yes": True, "no": False}.get(request.POST.get(flag, ""))

    def set_flag() -> None:
        if is_on is None:
            raise InvalidField("Nothing was changed: press the button again, on the page as it is now.", field=flag)
        act(is_on)

    try_to(request, actor, words[0] if is_on else words[1], set_flag)
