"""What a caller asks of us in request headers."""

from collections.abc import Mapping
from typing import Final

from costhub.lib.money import MAX_LIMIT_NANOS, NANOS_PER_USD, parse_usd
from proxy.errors import InvalidRequest
from proxy.types import Controls

MAX_TAGS: Final = 16
MAX_TAG_CHARACTERS: Final = 64
MAX_END_USER_CHARACTERS: Final = 200
MAX_IDEMPOTENCY_KEY_CHARACTERS: Final = 255
MAX_SESSION_CHARACTERS: Final = 200

_NONE: Final = Controls()


def parse_controls(headers: Mapping[str, str]) -> Controls:
    """Read our own headers. Raises InvalidRequest naming the header that makes no sense."""
    tags = headers.get("x-costhub-tags")
    end_user = headers.get("x-costhub-user", "")
    max_cost = headers.get("x-costhub-max-cost")
    idempotency_key = headers.get("idempotency-key", "")
    session = headers.get("x-costhub-session", "")
    if not (tags or end_user or max_cost or idempotency_key or session):
        return _NONE
    if len(end_user) > MAX_END_USER_CHARACTERS or not end_user.isprintable():
        raise InvalidRequest(
            f"x-costhub-user must be at most {MAX_END_USER_CHARACTERS} printable characters.", param="x-costhub-user"
        )
    if len(session) > MAX_SESSION_CHARACTERS or not session.isprintable():
        raise InvalidRequest(
            f"x-costhub-session must be at most {MAX_SESSION_CHARACTERS} printable characters.",
            param="x-costhub-session",
        )
    if len(idempotency_key) > MAX_IDEMPOTENCY_KEY_CHARACTERS:
        raise InvalidRequest(
            f"Idempotency-Key must be at most {MAX_IDEMPOTENCY_KEY_CHARACTERS} characters.", param="Idempotency-Key"
        )
    return Controls(
        tags=_parse_tags(tags) if tags else {},
        end_user=end_user,
        max_cost=_parse_max_cost(max_cost) if max_cost else None,
        idempotency_key=idempotency_key,
        session=session,
    )


def _parse_tags(text: str) -> dict[str, str]:
    tags: dict[str, str] = {}
    for part in text.split(","):
        name, value = (side.strip() for side in part.partition("=")[::2])
        if not (name and value) or max(len(name), len(value)) > MAX_TAG_CHARACTERS or not part.isprintable():
            raise InvalidRequest(
                f"x-costhub-tags must be name=value pairs with commas between them, each part at most"
                f" {MAX_TAG_CHARACTERS} characters.",
                param="x-costhub-tags",
            )
        tags[name] = value
    if len(tags) > MAX_TAGS:
        raise InvalidRequest(f"x-costhub-tags holds {len(tags)} tags: {MAX_TAGS} at most.", param="x-costhub-tags")
    return tags


def _parse_max_cost(text: str) -> int:
    try:
        nanos = parse_usd(text.strip())
    except ValueError as error:
        raise InvalidRequest(
            "x-costhub-max-cost must be an amount of USD such as 0.05.", param="x-costhub-max-cost"
        ) from error
    if not 0 < nanos <= MAX_LIMIT_NANOS:
        raise InvalidRequest(
            f"x-costhub-max-cost must be above zero and at most {MAX_LIMIT_NANOS // NANOS_PER_USD} USD.",
            param="x-costhub-max-cost",
        )
    return nanos
