"""What people said, sealed with their organisation's key, each text for its own place."""

from typing import Final

from django.conf import settings

from costhub.lib import secrets
from costhub.lib.secrets import UnusableCredential
from tenants.models import Organization

EXAMPLE: Final = "learned example"
PROMPTS: Final = "teacher run's prompts"
KEY: Final = "teacher run's key"
TRIALS_KEY: Final = "provider model's key"
REPLAY_KEY: Final = "paid replay's key"


class Unreadable(Exception):
    """A sealed text does not open: its row was moved, or the master key is another one."""


def seal(org: Organization, place: str, text: str) -> bytes:
    """Seal a text for one place, such as ``learned example <id>``; nowhere else does it open."""
    return secrets.seal(settings.MASTER_KEYS, bytes(org.data_key), org_id=str(org.pk), origin=place, text=text)


def unseal(org: Organization, place: str, sealed: bytes | memoryview) -> str:
    """Open what ``seal`` made for that place. Raises Unreadable."""
    try:
        return secrets.unseal(
            settings.MASTER_KEYS, bytes(org.data_key), org_id=str(org.pk), origin=place, sealed=bytes(sealed)
        )
    except UnusableCredential as error:
        raise Unreadable(f"The {place} cannot be opened with this installation's master key.") from error
