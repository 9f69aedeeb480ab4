"""What a deferred call asks, and how it came out, is sealed in its row: both lie there for a month.

A line of a file is not: what it asks is in the file, and its answer will be in another.
"""

from typing import Final
from uuid import UUID

from costhub.lib.secrets import UnusableCredential
from tenants.sealed_rows import Sealer

ANSWER: Final = "answer"
BODY: Final = "body"
_GONE: Final = b'{"response":null,"error":{"code":"unreadable","message":"It cannot be opened any more."}}'


def place_of_line(batch_id: UUID | str, number: int, what: str) -> str:
    """What a column of a line is sealed for: in another line it does not open."""
    return f"{what} of line {number} of batch {batch_id}"


def open_answer(sealer: Sealer, batch_id: UUID, number: int, answer: bytes) -> bytes:
    """How a deferred call came out; an error of the same form where it does not open."""
    try:
        return sealer.open(place_of_line(batch_id, number, ANSWER), answer)
    except UnusableCredential:
        return _GONE


def open_body(sealer: Sealer, batch_id: UUID, number: int, body: bytes) -> bytes:
    """What a deferred call asks; nothing where it does not open, which no upstream takes."""
    try:
        return sealer.open(place_of_line(batch_id, number, BODY), body)
    except UnusableCredential:
        return b""
