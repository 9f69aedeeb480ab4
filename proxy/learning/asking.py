"""Asks models through the proxy, like any caller: priced, held to budgets, in the ledger."""

import ipaddress
import logging
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import orjson
from django.conf import settings

from costhub.lib.errors import AppError, InvalidField
from costhub.lib.money import parse_usd
from costhub.lib.net import CONNECT_FAILURES, AllowedNetwork, Gate, Unreachable
from costhub.lib.secrets import API_KEY, digest_of, is_well_formed
from proxy.edges.auth import OWN, sign_own
from proxy.learning.conversations import NoExample, read_call
from tenants.access import Actor, find_owner_of_digest

_log = logging.getLogger(__name__)

ANSWER_SECONDS: Final = 120.0
MAX_ANSWER_BYTES: Final = 1024 * 1024
_PATH: Final = "/v1/chat/completions"
#: money, rates, a proxy that is starting: the next turn may find it otherwise
_LATER: Final = frozenset({402, 408, 409, 429, 500, 502, 503, 504})
#: what a call is refused with that might cost more than its caller lets it
OVER_CAP: Final = "max_cost_exceeded"
#: and one whose key another one has that still runs, or whose answer cannot be given again
IN_CONFLICT: Final = "idempotency_conflict"
_KEY_IS_BAD: Final = frozenset({401, 403, 404})


def check_own_key(actor: Actor, api_key: str) -> None:
    """Raise InvalidField for what is no API key, or another organisation's: what was captured here, or put together
    here, must not be sent there."""
    owner = find_owner_of_digest("api_key", digest_of(api_key, settings.KEY_PEPPER))
    if not is_well_formed(api_key, API_KEY) or (owner is not None and owner[0] != actor.org.pk):
        raise InvalidField("Give an API key of this organisation, such as chk_...", field="api_key")


@dataclass(frozen=True, slots=True)
class Answered:
    """A model's answer and what it cost in nano-USD. ``original``: it was given before, and paid for as this request;
    then it costs nothing. ``body``: as it came."""

    text: str
    cost: int
    original: str = ""
    body: bytes = b""


class Later(Exception):
    """It cannot be asked now. The message says why, ``code`` is the error's. By ``request_id`` the ledger knows a call
    that failed on its way, and may have been billed all the same. ``is_lost``: so may this one, whose id nobody has
    heard. ``status``: the proxy's, 0 where it gave none."""

    def __init__(
        self, message: str, code: str = "", request_id: str = "", *, status: int = 0, is_lost: bool = False
    ) -> None:
        super().__init__(message)
        self.code = code
        self.status = status
        self.request_id = request_id
        self.is_lost = is_lost


class Never(Exception):
    """It can be asked at no time."""


def gate_to_proxy() -> Gate:
    """The way out, which may also reach our own proxy."""
    return gate_to(settings.PROXY_URL)


def gate_to(own_url: str) -> Gate:
    """The way out, which may also reach a server of ours."""
    url = urlsplit(own_url)
    own: list[AllowedNetwork] = []
    # Of a name the operator has opened the network, or it is public.
    with suppress(ValueError):
        own.append((ipaddress.ip_network(url.hostname or ""), url.port or (443 if url.scheme == "https" else 80)))
    return Gate((*settings.ALLOWED_PRIVATE_NETWORKS, *own))


def ask(
    gate: Gate,
    api_key: str,
    model: str,
    messages: list[dict[str, Any]],
    *,
    idempotency_key: str,
    headers: dict[str, str] | None = None,
    more: dict[str, Any] | None = None,
) -> Answered | None:
    """One answer; None where this prompt gets none. ``more``: of the request, beside model and messages. Raises Later,
    Never."""
    try:
        answer = gate.fetch_now(
            "POST",
            f"{settings.PROXY_URL}{_PATH}",
            headers={
                "authorization": f"Bearer {api_key}",
                "content-type": "application/json",
                "idempotency-key": idempotency_key,
                # Nobody's earlier answer, and no second copy of what is stored here.
                "x-costhub-cache-control": "no-cache, no-store",
                # Also where callers of the key are told no amounts: what this costs is counted against a cap.
                OWN: sign_own(api_key, settings.KEY_PEPPER),
                **(headers or {}),
            },
            content=orjson.dumps({"model": model, "messages": messages, **(more or {})}),
            timeout_seconds=ANSWER_SECONDS,
            max_bytes=MAX_ANSWER_BYTES,
        )
    except AppError as error:
        is_lost = isinstance(error, Unreachable) and not isinstance(error.__cause__, CONNECT_FAILURES)
        raise Later(f"The proxy does not answer: {error.message}", is_lost=is_lost) from error
    told = {name.lower(): value for name, value in answer.headers.items()}
    if answer.status == 200:
        is_replayed = told.get("x-costhub-replayed") == "true"
        if "x-costhub-cost" not in told:
            # Such as where something before the proxy takes headers away. Asked again, it is in the ledger by then.
            raise Later("The proxy does not say what its answer cost.")
        cost = 0 if is_replayed else parse_usd(told["x-costhub-cost"])
        try:
            _, text = read_call({"messages": messages}, answer.body, told.get("content-type", ""))
        except NoExample:
            text = ""
        original = told.get("x-costhub-original-request-id", "") if is_replayed else ""
        return Answered(text, cost, original, answer.body)
    why, code = _read_error(answer.body)
    if answer.status in _LATER:
        request_id = told.get("x-request-id", "") if answer.status >= 500 else ""
        raise Later(f"{answer.status}: {why}", code, request_id, status=answer.status)
    if answer.status in _KEY_IS_BAD:
        raise Never(f"{answer.status}: {why}")
    _log.info("a prompt got no answer", extra={"status": answer.status})
    return None


def _read_error(body: bytes) -> tuple[str, str]:
    """An error's message and code."""
    try:
        error = orjson.loads(body)["error"]
        return str(error["message"])[:500], str(error.get("code") or "")
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
        return "no reason was given", ""
