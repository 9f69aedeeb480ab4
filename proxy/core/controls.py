"""What a caller asks of us in request headers."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from costhub.lib.money import MAX_LIMIT_NANOS, NANOS_PER_USD, parse_usd
from proxy.errors import InvalidRequest
from proxy.values.request import NO_CONTROLS, CacheControl, Controls, Request
from tenants.route_snapshots import OWN_TAGS
from tenants.snapshots import OrgSnapshot

MAX_TAGS: Final = 16
MAX_TAG_CHARACTERS: Final = 64
MAX_END_USER_CHARACTERS: Final = 200
MAX_IDEMPOTENCY_KEY_CHARACTERS: Final = 255
MAX_SESSION_CHARACTERS: Final = 200
MAX_AGE_DIGITS: Final = 10

_TAGS: Final = "x-costhub-tags"
#: the route that a call is for, in place of its body's model; in an answer, why it went where it went
ROUTE: Final = "x-costhub-route"
#: of which a call has one each
_SINGLE: Final = ("x-costhub-user", "x-costhub-max-cost", "idempotency-key", "x-costhub-session", ROUTE)
#: every header that is read here
_OWN: Final = frozenset({_TAGS, *_SINGLE, "x-costhub-cache-control", "x-costhub-compression"})
_NO_LINES: Final[Mapping[str, Sequence[str]]] = {}


def parse_controls(headers: Mapping[str, str], repeated: Mapping[str, Sequence[str]] = _NO_LINES) -> Controls:
    """Read our own headers. ``repeated`` has every line of those that stand there more than once: lines of tags are one
    list (RFC 9110, 5.3), and of the others, which hold one value each, several lines must say the same.

    Raises InvalidRequest naming the header that makes no sense.
    """
    if _OWN.isdisjoint(headers):
        return NO_CONTROLS
    tags = headers.get(_TAGS)
    if repeated:
        check_single(repeated)
        tags = ",".join(repeated.get(_TAGS, (tags or "",)))
    end_user = headers.get("x-costhub-user", "")
    max_cost = headers.get("x-costhub-max-cost")
    idempotency_key = headers.get("idempotency-key", "")
    session = headers.get("x-costhub-session", "")
    cache = headers.get("x-costhub-cache-control")
    compression = headers.get("x-costhub-compression")
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
        cache=_parse_cache_control(cache) if cache else CacheControl(),
        is_uncompressed=bool(compression) and _parse_compression(compression or ""),
    )


def aim(request: Request, headers: Mapping[str, str], org: OrgSnapshot) -> Request:
    """The request as one for the route that a header names, whatever model its body names: as if the route stood there.
    Raises InvalidRequest where there is no such route."""
    name = headers.get(ROUTE)
    if name is None:
        return request
    if name not in org.routes:
        raise InvalidRequest(f"{ROUTE} must name one of the organisation's routes.", param=ROUTE)
    return request._replace(model=name)


def refuse_route(headers: Mapping[str, str]) -> None:
    """Raise InvalidRequest where a header names a route for what is not asked at once: it would be lost on the way."""
    if ROUTE in headers:
        raise InvalidRequest(
            f"{ROUTE} is for calls that are answered at once: give the route as the body's model.", param=ROUTE
        )


def check_single(repeated: Mapping[str, Sequence[str]], names: Iterable[str] = _SINGLE) -> None:
    """Raise InvalidRequest for a header of which a call has one, that stands there several times and says several
    things."""
    for name in names:
        if len(set(repeated.get(name, ()))) > 1:
            raise InvalidRequest(
                f"The header {name} was sent more than once, with different values: send one.", param=name
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
        if name.startswith(OWN_TAGS):
            raise InvalidRequest(f"Tags that begin with {OWN_TAGS} are CostHub's own.", param="x-costhub-tags")
        if tags.setdefault(name, value) != value:
            # Which of them has the budget that holds the call must not be a guess.
            raise InvalidRequest(
                f"x-costhub-tags gives {name} two values: a call has one of each.", param="x-costhub-tags"
            )
    if len(tags) > MAX_TAGS:
        raise InvalidRequest(f"x-costhub-tags holds {len(tags)} tags: {MAX_TAGS} at most.", param="x-costhub-tags")
    return tags


def _parse_cache_control(text: str) -> CacheControl:
    control = CacheControl()
    for part in text.split(","):
        directive, _, value = part.strip().partition("=")
        match directive, value:
            case "no-cache", "":
                control = control._replace(no_cache=True)
            case "no-store", "":
                control = control._replace(no_store=True)
            case "exact-only", "":
                control = control._replace(exact_only=True)
            case "max-age", seconds if seconds.isascii() and seconds.isdigit() and len(seconds) <= MAX_AGE_DIGITS:
                control = control._replace(max_age_seconds=int(seconds))
            case _:
                raise InvalidRequest(
                    "x-costhub-cache-control takes no-cache, no-store, exact-only and max-age=<seconds>, with commas"
                    " between them.",
                    param="x-costhub-cache-control",
                )
    return control


def _parse_compression(text: str) -> bool:
    if text.strip() != "off":
        raise InvalidRequest("The only value of x-costhub-compression is off.", param="x-costhub-compression")
    return True


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
