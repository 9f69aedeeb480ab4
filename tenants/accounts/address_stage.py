"""The step of signing in at which an address is confirmed."""

from typing import Any

from allauth.account.internal.flows.login import get_authentication_records
from allauth.account.models import EmailAddress
from allauth.account.stages import EmailVerificationStage


class AddressStage(EmailVerificationStage):  # type: ignore[misc]
    """Asks for a code by mail, but of accounts that an operator or a member made: no stranger ever claimed their
    address, and whoever signs in was given the password, or has just read a code that was sent there."""

    def handle(self) -> tuple[Any, bool]:
        """The next page, if there is one, and whether to go on."""
        user = self.login.user
        if user is None or EmailAddress.objects.filter(user=user).exists():
            return super().handle()  # type: ignore[no-any-return]
        methods = {record.get("method") for record in get_authentication_records(self.request, user)}
        if methods & {"password_reset", "code"}:
            EmailAddress.objects.create(user=user, email=user.email, primary=True, verified=True)
        return None, True
