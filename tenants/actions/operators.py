"""Word to the people who operate the installation."""

import logging

from django.core.mail import EmailMessage, get_connection

from tenants.models import User

_log = logging.getLogger(__name__)

#: a mail server that says nothing must not keep a worker
_TIMEOUT_SECONDS = 10


def tell_operators(subject: str, body: str) -> int:
    """Mail every platform operator; gives how many there are. Raises OSError or SMTPException if the server refuses."""
    people = list(
        User.objects.filter(is_platform_operator=True, is_active=True).order_by("email").values_list("email", flat=True)
    )
    if not people:
        _log.warning("there is no platform operator to tell", extra={"subject": subject})
        return 0
    connection = get_connection(timeout=_TIMEOUT_SECONDS)
    EmailMessage(subject, f"{body}\n", to=people, connection=connection).send()
    return len(people)
