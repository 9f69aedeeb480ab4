"""Where one can go: the pages of an organisation by group, each with who may open it."""

from dataclasses import dataclass
from typing import Final

from django.urls import reverse

from tenants.access import Actor
from tenants.choices import PERMISSIONS, Permission, Role
from tenants.models import Membership


@dataclass(frozen=True, slots=True)
class Entry:
    """A page in the navigation. ``icon`` is a path in a box of 16 by 16; ``shortcut`` follows a g; ``by_project``:
    members of some projects may open it, and find what is in these."""

    section: str
    label: str
    group: str
    permission: Permission
    icon: str
    shortcut: str = ""
    by_project: bool = False


@dataclass(frozen=True, slots=True)
class Link:
    """An entry with its address."""

    entry: Entry
    address: str


_MONEY: Final = Permission.READ_MONEY
_READ: Final = Permission.READ
ENTRIES: Final = (
    Entry("overview", "Overview", "", _MONEY, "M2.5 13.5h11M4 11V8m4 3V3m4 8V5.5", "o"),
    Entry("breakdown", "Breakdown", "", _MONEY, "M8 2.5v5.5l4 4M8 2.5a5.5 5.5 0 1 0 5.5 5.5H8", "d"),
    Entry("requests", "Requests", "", _MONEY, "M5.5 4h8m-8 4h8m-8 4h8M2.5 4h.01M2.5 8h.01M2.5 12h.01", "r"),
    Entry("alerts", "Alerts", "", _READ, "M4 11V7a4 4 0 0 1 8 0v4l1 1.5H3L4 11Zm2.8 3.5h2.4", "a"),
    Entry("budgets", "Budgets & limits", "Control", _MONEY, "M2.5 12.5a5.5 5.5 0 1 1 11 0M8 12.5l2.5-4", "b"),
    Entry(
        "budget-requests",
        "Requests for more",
        "Control",
        _MONEY,
        "M3 3.5h10v7H8.5L5.5 13v-2.5H3v-7ZM8 5v4M6 7h4",
        "q",
    ),
    Entry("keys", "Keys", "Control", _READ, "M10 9.5a3.5 3.5 0 1 0-3-1.7L2.5 12.5v1.5h2v-1.5H6V11h1.2l.9-1", "k", True),
    Entry("projects", "Projects", "Control", _READ, "M2.5 4.5v8h11v-6.5H8L6.5 4.5h-4Z", "p", True),
    Entry(
        "end-users",
        "End users",
        "Control",
        _READ,
        "M8 8a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5Zm-5 5.5c.5-3 2.5-4 5-4s4.5 1 5 4",
        "u",
    ),
    Entry(
        "models",
        "Models & prices",
        "Serve",
        _READ,
        "M8 2.5 13.5 5v6L8 13.5 2.5 11V5L8 2.5Zm0 5.5 5.5-3M8 8v5.5M8 8 2.5 5",
        "m",
    ),
    Entry(
        "upstreams",
        "Upstreams",
        "Serve",
        _READ,
        "M4 10.5a2.5 2.5 0 0 1 .3-5 3.8 3.8 0 0 1 7.3.8A2.2 2.2 0 0 1 12 10.5M8 13.5v-5M6 10.3l2-2 2 2",
        "s",
    ),
    Entry(
        "cache",
        "Cache",
        "Serve",
        _MONEY,
        "M2.5 4c0-1 2.5-1.5 5.5-1.5s5.5.5 5.5 1.5v8c0 1-2.5 1.5-5.5 1.5s-5.5-.5-5.5-1.5V4Zm0 4c0 1 2.5 1.5 5.5 1.5s5.5-.5 5.5-1.5",
        "c",
    ),
    Entry("routes", "Routes", "Serve", _MONEY, "M2.5 8h4l3-4h4m-7 4 3 4h4M11.5 2l2 2-2 2m0 4 2 2-2 2", "x"),
    Entry("compression", "Compression", "Serve", _MONEY, "M3 8h10M8 1.5v4m-2-2 2 2 2-2m-2 11v-4m-2 2 2-2 2 2", "z"),
    Entry("batches", "Batches", "Serve", _MONEY, "M3 2.5h7.5V10H3V2.5Zm3 10h7.5V5.5M5 5h3.5M5 7.5h3.5", "j"),
    Entry(
        "learning", "Learning", "Serve", _MONEY, "M8 3 1.5 6 8 9l6.5-3L8 3ZM4 7.5V11c1 1.5 7 1.5 8 0V7.5M14.5 6v4", "n"
    ),
    Entry(
        "invoices",
        "Invoices & billing",
        "Organisation",
        _MONEY,
        "M4 2.5h8v11l-2-1.3-2 1.3-2-1.3-2 1.3v-11ZM6 6h4M6 8.5h4",
        "i",
    ),
    Entry(
        "members",
        "Members & roles",
        "Organisation",
        _READ,
        "M6 8a2.2 2.2 0 1 0 0-4.4A2.2 2.2 0 0 0 6 8Zm-4 5c.3-2.4 1.8-3.3 4-3.3S9.7 10.6 10 13m.6-5a1.9 1.9 0 1 0-.6-3.7M11.5 9.8c1.5.3 2.3 1.3 2.5 3.2",
        "t",
    ),
    Entry(
        "tokens",
        "API tokens",
        "Organisation",
        Permission.WRITE_MEMBERS,
        "M2.5 3.5h11v9h-11v-9Zm2.5 3 2 1.5-2 1.5M8.5 10h2.5",
        "y",
    ),
    Entry(
        "sign-ons",
        "Single sign-on",
        "Organisation",
        Permission.WRITE_MEMBERS,
        "M8 2.5 13 4v4c0 3-2 4.8-5 5.5C5 12.8 3 11 3 8V4l5-1.5ZM6 8l1.5 1.5L10.5 6.5",
        "w",
    ),
    Entry("audit-log", "Audit log", "Organisation", _MONEY, "M4 2.5h6l2.5 2.5v8.5H4v-11Zm2 5h4.5M6 10h4.5", "l"),
    Entry(
        "api-reference",
        "API reference",
        "Organisation",
        _READ,
        "M5.5 4.5 2 8l3.5 3.5M10.5 4.5 14 8l-3.5 3.5M9 3 7 13",
        "h",
        True,
    ),
    Entry("settings", "Settings", "Organisation", _READ, "M2.5 5h6m3 0h2M2.5 11h2m3 0h6M10 6.5v-3m-4 9v-3", "e"),
)


def list_links(actor: Actor) -> list[tuple[str, list[Link]]]:
    """The groups of pages that the actor may open."""
    groups: dict[str, list[Link]] = {}
    for entry in ENTRIES:
        if actor.may(entry.permission) or (entry.by_project and actor.may_anywhere(entry.permission)):
            link = Link(entry, reverse(entry.section, args=[actor.org.slug]))
            groups.setdefault(entry.group, []).append(link)
    return list(groups.items())


def find_start(membership: Membership) -> str:
    """The page on which somebody begins in an organisation: of those who see no money it is not the overview."""
    is_visit, role = membership.visit_until is not None, Role(membership.role)
    sees_money = is_visit or (not membership.projects and Permission.READ_MONEY in PERMISSIONS[role])
    return reverse("overview" if sees_money else "welcome", args=[membership.org.slug])
