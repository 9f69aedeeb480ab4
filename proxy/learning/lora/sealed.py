"""An adapter's bytes, sealed with their organisation's key: weights may say what they were taught."""

import base64
from typing import Final
from uuid import UUID

from proxy.learning.sealing import Unreadable, seal, unseal
from tenants.models import Organization

__all__ = ["ADAPTER", "ENCODER", "SERVED", "Unreadable", "open_bytes", "place_of_file", "seal_bytes"]

#: the files of a tuned model, by the columns that they lie in
ADAPTER: Final = "adapter"
SERVED: Final = "served"
#: and of a student
ENCODER: Final = "encoder"


def seal_bytes(org: Organization, row_id: UUID, what: str, content: bytes) -> bytes:
    """Seal one file of a tuned model or student."""
    return seal(org, place_of_file(row_id, what), base64.b64encode(content).decode())


def open_bytes(org: Organization, row_id: UUID, what: str, sealed: bytes | memoryview) -> bytes:
    """Open what ``seal_bytes`` made. Raises Unreadable."""
    return base64.b64decode(unseal(org, place_of_file(row_id, what), sealed))


def place_of_file(row_id: UUID | str, what: str) -> str:
    """For which place a file is sealed."""
    return f"tuned model's {what} {row_id}"
