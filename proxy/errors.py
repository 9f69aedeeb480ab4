"""The errors of the LLM API, in OpenAI's shape.

::

    ApiError                     status, type, code, param, headers, more fields
    |- InvalidRequest            400  the body, a header or a parameter
    |  `- FileNamed              400  a message names a file that lies here
    |- Unauthorized              401  missing, unknown, revoked or expired key
    |- NotAllowed                403  a known key that may not do this
    |- ModelNotFound             404
    |- ModelNotPriced            402
    |- OrganizationSuspended     402
    |- BudgetExceeded            402  names the budget and when it resets
    |- RateLimited               429  names the limit and when to come again
    |- IdempotencyConflict       409
    |- GovernanceUnavailable     503  Valkey is out of reach: closed, not open
    `- UpstreamError             the upstream's status, or 502, 503, 504
       `- BrokenStream           after the first byte: an SSE error event
"""

from typing import Any, ClassVar, Generic, TypeVar

from costhub.lib.errors import AppError


class ApiError(AppError):
    """An error that a caller of the LLM API sees. The message is for a person, and holds no secret."""

    type: ClassVar[str] = "api_error"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        status: int | None = None,
        param: str | None = None,
        headers: dict[str, str] | None = None,
        more: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message, field=param)
        self.error_code = code or self.code
        self.status = status or self.http_status
        self.param = param
        self.headers = headers or {}
        self.more = more or {}

    @property
    def word(self) -> str:
        """Its code, where that is one word, else that of its kind: an upstream's own codes are any text."""
        is_word = self.error_code.isascii() and self.error_code.isidentifier()
        return self.error_code if is_word else self.code

    def body(self, request_id: str) -> dict[str, Any]:
        """The JSON that OpenAI's clients understand, with the id to ask us about it."""
        return {
            "error": {
                "message": self.message,
                "type": self.type,
                "param": self.param,
                "code": self.error_code,
                "request_id": request_id,
                **self.more,
            }
        }


class InvalidRequest(ApiError):
    """The request cannot be understood: ``param`` names what is at fault."""

    code = "invalid_request"
    http_status = 400
    type = "invalid_request_error"


class FileNamed(InvalidRequest):
    """A message names a file of ``/v1/files``. Where what it holds may stand in its place, it is put there, and the
    call is read once more."""

    code = "file_not_readable"


class Unauthorized(ApiError):
    """No key, or none that is valid now."""

    code = "invalid_api_key"
    http_status = 401
    type = "invalid_request_error"


class NotAllowed(ApiError):
    """The key is valid and may not do this."""

    code = "not_allowed"
    http_status = 403
    type = "invalid_request_error"


class AmountsHidden(NotAllowed):
    """What was asked for is amounts of money, and the key hides them from its callers."""

    code = "amounts_hidden"


class ModelNotFound(ApiError):
    """No such model for this key."""

    code = "model_not_found"
    http_status = 404
    type = "invalid_request_error"


class NotFound(ApiError):
    """No such path or object."""

    code = "not_found"
    http_status = 404
    type = "invalid_request_error"


class MethodNotAllowed(ApiError):
    """The path exists, the method does not."""

    code = "method_not_allowed"
    http_status = 405
    type = "invalid_request_error"


class ModelNotPriced(ApiError):
    """What a call would cost is unknown, so it is not made."""

    code = "model_not_priced"
    http_status = 402
    type = "insufficient_quota"


class OrganizationSuspended(ApiError):
    """Invoices are overdue for so long that no call is taken, or the organisation has no plan any more."""

    code = "organization_suspended"
    http_status = 402
    type = "insufficient_quota"


class BudgetExceeded(ApiError):
    """A hard budget cannot take what the call may cost."""

    code = "budget_exceeded"
    http_status = 402
    type = "insufficient_quota"


class RateLimited(ApiError):
    """A window is full: the same call fits later."""

    code = "rate_limit_exceeded"
    http_status = 429
    type = "rate_limit_error"


class IdempotencyConflict(ApiError):
    """The Idempotency-Key was used with another body, or its first call still runs."""

    code = "idempotency_conflict"
    http_status = 409
    type = "invalid_request_error"


class AnsweredLater(Exception):
    """No error: the call is answered later, or in another way than it was begun, and its entry is left unwritten."""


class GovernanceUnavailable(ApiError):
    """Budgets cannot be checked, so nothing is spent."""

    code = "governance_unavailable"
    http_status = 503
    type = "api_error"


class UpstreamError(ApiError):
    """The upstream refused, failed or could not be reached."""

    code = "upstream_error"
    http_status = 502
    type = "upstream_error"


class TooLate(UpstreamError):
    """The upstream was left before its own time was over: its answer is not wanted any later."""

    code = "latency_cap"
    http_status = 504


class BrokenStream(UpstreamError):
    """The answer had begun, and then the upstream broke off or made no sense."""

    code = "upstream_stream_broken"


ErrorT = TypeVar("ErrorT", bound=ApiError)


class Carrier(Exception, Generic[ErrorT]):
    """Carries the error that a caller may be told of in the end, to whoever decides that."""

    def __init__(self, error: ErrorT) -> None:
        super().__init__(error.message)
        self.error = error

    def hand_over(self) -> ErrorT:
        """The error, to be raised from this one, which lets go of it: it would hold an error whose cause it is, and all
        that a failed call had would wait for the garbage collector."""
        error = self.error
        del self.error
        return error
