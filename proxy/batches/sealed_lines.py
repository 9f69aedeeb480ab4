"""What a deferred call asks, and how it and lines of files came out, is sealed in its row. What a line of a file asks
is in the file, which is sealed too (``sealed_files``). Lines from before they were sealed are read as they are.
"""

from typing import Final
from uuid import UUID

from costhub.lib.secrets import UnusableCredential
from tenants.sealed_rows import OpenSealer, Sealer

ANSWER: Final = "answer"
BODY: Final = "body"
_GONE: Final = b'{"response":null,"error":{"code":"unreadable","message":"It cannot be opened any more."}}'


def place_of_line(batch_id: UUID | str, number: int, what: str) -> str:
    """What a column of a line is sealed for: in another line it does not open."""
    return f"{what} of line {number} of batch {batch_id}"


def open_answer(sealer: Sealer | OpenSealer, batch_id: UUID, number: int, answer: bytes) -> bytes:
    """How a line came out; an error of the same form where it does not open."""
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
