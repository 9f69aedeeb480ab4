"""What an organisation's upstream is known by to our own servers of models. Pure."""

import hmac
from typing import Final
from uuid import UUID

from costhub.lib.secrets import digest_of

_KIND: Final = "chs"


def make_credential(org_id: UUID, pepper: bytes) -> str:
    """What an organisation's upstream is known by to these servers."""
    return f"{_KIND}_{org_id.hex}{digest_of(f'{_KIND}:{org_id}', pepper).hex()}"


def read_credential(text: str, pepper: bytes) -> UUID | None:
    """Whose it is; None for one that we have not made."""
    head = f"{_KIND}_"
    try:
        org_id = UUID(text.removeprefix(head)[:32])
    except ValueError:
        return None
    return org_id if hmac.compare_digest(text.encode(), make_credential(org_id, pepper).encode()) else None
