"""Second factors: their secrets are sealed under the installation's master key."""

from typing import Final

from allauth.mfa.adapter import DefaultMFAAdapter
from django.conf import settings

from costhub.lib.secrets import open_own, seal_own

#: what they are sealed for
ORIGIN: Final = "second-factor"


class SecondFactorAdapter(DefaultMFAAdapter):  # type: ignore[misc]
    """Seals the seeds of authenticator apps and of recovery codes."""

    def encrypt(self, text: str) -> str:
        """As it is stored."""
        return seal_own(settings.MASTER_KEYS, ORIGIN, text)

    def decrypt(self, encrypted_text: str) -> str:
        """As it is checked. Raises UnusableCredential if the master key changed."""
        return open_own(settings.MASTER_KEYS, ORIGIN, encrypted_text)
