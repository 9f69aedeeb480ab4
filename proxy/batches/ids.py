"""How files and batches are called outside: OpenAI's prefix and a UUIDv7 without its dashes."""

from typing import Final
from uuid import UUID

from proxy.core.kept_files import FILE

__all__ = ["BATCH", "FILE", "MESSAGE_BATCH", "RESPONSE"]

BATCH: Final = "batch_"
#: of a batch as Anthropic's clients know it
MESSAGE_BATCH: Final = "msgbatch_"
#: of a response that runs in the background, before the digits of the call that has handed it in
RESPONSE: Final = "resp_"
_HEX_DIGITS: Final = 32


def show_id(prefix: str, uuid: UUID) -> str:
    """The name of a file or batch."""
    return prefix + uuid.hex


def find_id(prefix: str, text: str) -> UUID | None:
    """The id that a name spells; None for what is no such name."""
    digits = text.removeprefix(prefix)
    if not text.startswith(prefix) or len(digits) != _HEX_DIGITS or not digits.isalnum() or not digits.isascii():
        return None
    try:
        return UUID(digits)
    except ValueError:
        return None


def object_path(org_id: str | UUID, file_id: UUID) -> str:
    """Where a file's bytes lie in the store."""
    return f"{org_id}/{file_id.hex}"


def upstream_path(org_id: str | UUID, batch_id: UUID) -> str:
    """Where a batch's lines lie as its upstream gets them, until it has them."""
    return object_path(org_id, batch_id) + ".upstream"


def line_id(batch_id: UUID, number: int) -> str:
    """The name of a line's call in output and error files."""
    return f"batch_req_{batch_id.hex}_{number}"


def name_response(call_id: str) -> str:
    """The id by which a response is known that a call has handed in."""
    return f"{RESPONSE}{call_id.replace('-', '')}"
