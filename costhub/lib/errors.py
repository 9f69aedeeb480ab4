"""The root of every error that a caller may see.

::

    AppError                    code, http_status, message for a person, the field at fault
    |- tenants: NotFound, Forbidden, InvalidField, Conflict, PaymentRequired
    |- costhub.lib.net: BlockedAddress
    |- TooManyRequests, which knows when to come again
    `- proxy.errors: the LLM API's own tree, in OpenAI's shape
"""

from typing import ClassVar


class AppError(Exception):
    """An error with a sentence for a person. ``message`` may be shown to anybody: never put a secret in it."""

    code: ClassVar[str] = "error"
    http_status: ClassVar[int] = 500

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.field = field


class InvalidField(AppError):
    """A value that cannot be accepted: ``field`` names it, the message says what to type instead."""

    code = "invalid_field"
    http_status = 400


class NotFound(AppError):
    """There is no such thing, or it belongs to somebody else: the two must look the same."""

    code = "not_found"
    http_status = 404


class Forbidden(AppError):
    """The caller is known, and may not do this."""

    code = "forbidden"
    http_status = 403


class Conflict(AppError):
    """The thing exists already, or has changed meanwhile."""

    code = "conflict"
    http_status = 409


class PaymentRequired(AppError):
    """Invoices are overdue for so long that the organisation may not do this."""

    code = "organization_suspended"
    http_status = 402


class TooManyRequests(AppError):
    """Somebody asks too often. ``seconds``: after how many to come again."""

    code = "too_many_requests"
    http_status = 429

    def __init__(self, message: str, seconds: int) -> None:
        super().__init__(message)
        self.seconds = seconds
