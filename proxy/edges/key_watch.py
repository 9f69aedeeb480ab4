"""Processes that serve no calls hear of changes, too: pages and jobs, which have opened organisations' data keys."""

from proxy.edges.announcements import Announcements, Change, Versions
from tenants.open_keys import OPEN_KEYS


def watch_keys(redis_url: str) -> Announcements:
    """Begin to listen, and let go of an organisation's data key whenever it changes, and of all where something may
    have been missed. Whoever asked for it closes it."""
    announcements = Announcements(redis_url, catch_up=_forget_all, change=_forget)
    announcements.open(0)
    return announcements


def _forget_all(_: Versions) -> None:
    OPEN_KEYS.forget_all()


def _forget(change: Change) -> None:
    OPEN_KEYS.forget(change.org_id)
