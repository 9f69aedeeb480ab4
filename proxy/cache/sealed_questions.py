"""Questions of the semantic level and of its look-ups, sealed with the organisation's data key: each for its own row,
and for its own column of it.

Columns of text hold them, in base 64, so that processes of a version before read a new row as a question like no other
while a new version takes their place; and rows of theirs are read as they are until ``seal_what_is_not`` has come by.
"""

import logging
from collections.abc import Iterable
from contextlib import suppress
from typing import Final
from uuid import UUID

from django.db import connection

from costhub.lib import clock
from costhub.lib.secrets import UnusableCredential
from proxy.cache.model import CacheEntry, CacheLookup
from tenants.access import org_scope
from tenants.sealed_rows import SEALED_TEXT, OpenSealer, Sealer, find_sealer

_log = logging.getLogger(__name__)

#: columns of a look-up
ASKED: Final = "asked"
KEPT_QUESTION: Final = "kept_question"
#: so many rows are sealed in one transaction
_AT_ONCE: Final = 500


def place_of_question(entry_id: UUID | str) -> str:
    """What an entry's question is sealed for: in another entry it does not open."""
    return f"question of cache entry {entry_id}"


def place_of_lookup(request_id: UUID | str, column: str) -> str:
    """The same of a column of a look-up, ``ASKED`` or ``KEPT_QUESTION``."""
    return f"{column} of cache look-up {request_id}"


def open_text(sealer: Sealer | OpenSealer, place: str, text: str) -> str:
    """A question as it was asked; empty where it cannot be opened: it was sealed with another key, or moved."""
    with suppress(UnusableCredential):
        return sealer.open_text(place, text)
    return ""


def open_entries(sealer: Sealer, rows: Iterable[CacheEntry]) -> None:
    """Put questions that were read in the place of what they are sealed as. Such rows must not be saved."""
    for row in rows:
        row.question = open_text(sealer, place_of_question(row.id), row.question)


def open_lookups(sealer: Sealer, rows: Iterable[CacheLookup]) -> None:
    """The same of look-ups."""
    for row in rows:
        row.asked = open_text(sealer, place_of_lookup(row.request_id, ASKED), row.asked)
        row.kept_question = open_text(sealer, place_of_lookup(row.request_id, KEPT_QUESTION), row.kept_question)


def seal_what_is_not(org_id: UUID, until_ns: int) -> int:
    """Seal an organisation's questions from before they were sealed, as many as there is time for until that moment of
    the monotonic clock. Gives how many rows these were. Where its data key does not open, they stay as they are, which
    the log says."""
    sealed = 0
    while clock.monotonic_ns() < until_ns:
        try:
            with org_scope(org_id):
                found = _seal_entries(org_id) + _seal_lookups(org_id)
        except UnusableCredential:
            _log.warning("questions of the cache could not be sealed", extra={"org": str(org_id)})
            break
        if not found:
            break
        sealed += found
    return sealed


def _seal_entries(org_id: UUID) -> int:
    with connection.cursor() as cursor:
        # Word for word as the index has it that knows these rows alone.
        cursor.execute(
            "SELECT id, question FROM proxy_cacheentry WHERE org_id = %s AND NOT starts_with(question, E'\\x01')"
            " LIMIT %s FOR UPDATE SKIP LOCKED",
            [org_id, _AT_ONCE],
        )
        rows = cursor.fetchall()
        if rows:
            sealer = find_sealer(org_id).keep_open()
            cursor.executemany(
                "UPDATE proxy_cacheentry SET question = %s WHERE org_id = %s AND id = %s",
                [(sealer.seal_text(place_of_question(row_id), text), org_id, row_id) for row_id, text in rows],
            )
    return len(rows)


def _seal_lookups(org_id: UUID) -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT request_id, asked, kept_question FROM proxy_cachelookup WHERE org_id = %s"
            " AND NOT starts_with(asked, E'\\x01') LIMIT %s FOR UPDATE SKIP LOCKED",
            [org_id, _AT_ONCE],
        )
        rows = cursor.fetchall()
        if rows:
            sealer = find_sealer(org_id).keep_open()
            cursor.executemany(
                "UPDATE proxy_cachelookup SET asked = %s, kept_question = %s WHERE org_id = %s AND request_id = %s",
                [(*_seal_rest(sealer, row_id, asked, kept), org_id, row_id) for row_id, asked, kept in rows],
            )
    return len(rows)


def _seal_rest(sealer: OpenSealer, request_id: UUID, asked: str, kept_question: str) -> tuple[str, str]:
    """What a version before has written: where it met a sealed entry, it took what that is sealed as for the kept
    question, which stays so."""
    if kept_question.startswith(SEALED_TEXT):
        return seal_lookup(sealer, request_id, asked, "")[0], kept_question
    return seal_lookup(sealer, request_id, asked, kept_question)


def seal_lookup(sealer: Sealer | OpenSealer, request_id: UUID | str, asked: str, kept_question: str) -> tuple[str, str]:
    """Both texts of a look-up. One that found nothing has no kept question, and none is made of it."""
    kept = sealer.seal_text(place_of_lookup(request_id, KEPT_QUESTION), kept_question) if kept_question else ""
    return sealer.seal_text(place_of_lookup(request_id, ASKED), asked), kept
