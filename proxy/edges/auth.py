"""Who is calling: a bearer's secret to a key and its organisation."""

import hmac
from collections.abc import Container, Mapping
from dataclasses import replace
from typing import Final, Protocol

from costhub.lib import clock, secrets
from costhub.lib.addresses import find_caller
from proxy.core.allow_lists import check_may_call
from proxy.edges.catalog import Catalog
from proxy.edges.entry import Entry
from proxy.errors import Unauthorized
from tenants.snapshots import KeySnapshot, OrgSnapshot

#: by which a call of our own jobs is known
OWN: Final = "x-costhub-own-call"
_FORWARDED: Final = "x-forwarded-for"
_USUAL: Final = "authorization"
_SCHEME: Final = "Bearer"
_BEARER: Final = f"{_SCHEME} "
_OTHERS: Final = ("x-api-key", "api-key")
_RARE: Final = frozenset(_OTHERS)


class Incoming(Protocol):
    """What authentication needs to know of a request."""

    headers: dict[str, str]
    repeated: dict[str, list[str]]

    @property
    def path(self) -> str:
        """Of its URL."""

    @property
    def peer(self) -> str:
        """Whoever opened the connection."""

    def bearer(self) -> str:
        """The one secret that it carries."""


def sign_own(bearer: str, pepper: bytes) -> str:
    """The value of the header ``OWN`` for a call that one of our jobs makes with somebody's API key. Nobody else can
    make it."""
    return secrets.digest_of(f"{OWN} {bearer}", pepper).hex()


class Auth:
    """Checks keys against what the catalog knows. ``proxies`` is how many of the operator's proxies stand before us,
    each of which names the address that a request came from."""

    def __init__(self, catalog: Catalog, pepper: bytes, proxies: int = 0) -> None:
        self._catalog = catalog
        self._pepper = pepper
        self._proxies = proxies

    def recall(self, bearer: str) -> tuple[KeySnapshot, OrgSnapshot] | None:
        """As ``authenticate``, but only from memory: None where Valkey or PostgreSQL would have to be asked."""
        known = self._catalog.recall(secrets.digest_of(bearer, self._pepper))
        return None if known is None else _check_valid(*known)

    async def authenticate(self, bearer: str) -> tuple[KeySnapshot, OrgSnapshot]:
        """The key and its organisation. Raises Unauthorized, in the same words for every key that is not valid."""
        if (known := self.recall(bearer)) is not None:
            return known
        digest = secrets.digest_of(bearer, self._pepper)
        key = await self._catalog.find_key(digest) if secrets.is_well_formed(bearer, secrets.API_KEY) else None
        if key is None:
            raise _incorrect()
        _check_key(key)
        return _check_valid(key, await self._catalog.get_org(key.org_id))

    async def admit(self, call: Incoming) -> tuple[KeySnapshot, OrgSnapshot]:
        """The key and the organisation of a request that no ledger entry is written for. Raises Unauthorized, and
        NotAllowed for a key that may not be used here."""
        key, org = await self.authenticate(call.bearer())
        self.check_origin(key, call)
        return key, org

    def check_origin(self, key: KeySnapshot, call: Incoming, path: str = "") -> None:
        """Raise NotAllowed unless the key may be used from this address and for this path: the call's own, where none
        is named."""
        if key.networks or key.endpoints:
            forwarded = ",".join(call.repeated.get(_FORWARDED) or [call.headers.get(_FORWARDED, "")])
            check_may_call(key, path or call.path, find_caller(call.peer, forwarded, self._proxies))

    def is_own(self, call: Incoming, bearer: str) -> bool:
        """Whether one of our own jobs calls."""
        signed = call.headers.get(OWN, "")
        return bool(signed) and hmac.compare_digest(signed.encode(), sign_own(bearer, self._pepper).encode())

    async def renew(self, entry: Entry, bearer: str, version: int = 0) -> None:
        """Bring the entry's organisation and key to what is known of them now, and at least to a version. Where nothing
        has changed, nobody is asked.

        Raises Unauthorized where the key is not valid any more, and GovernanceUnavailable when that cannot be read.
        """
        if version:
            await self._catalog.get_org(entry.org.id, version)
        entry.key, entry.org = await self.authenticate(bearer)


def _check_valid(key: KeySnapshot, org: OrgSnapshot) -> tuple[KeySnapshot, OrgSnapshot]:
    """The key and its organisation, if both are valid for a call. Raises Unauthorized."""
    _check_key(key)
    if not org.is_active:
        raise _incorrect()
    if org.hides_amounts and not key.hides_amounts:
        key = replace(key, hides_amounts=True)
    return key, org


def _check_key(key: KeySnapshot) -> None:
    if key.is_revoked:
        raise _incorrect()
    if key.expires_at_ms is not None and key.expires_at_ms <= clock.now_ms():
        raise Unauthorized("This API key has expired. Make a new one in the console under Keys.")


def find_bearer(headers: Mapping[str, str], repeated: Container[str]) -> str:
    """The one secret that a request carries, in ``Authorization: Bearer``, ``x-api-key`` or ``api-key``.

    Raises Unauthorized if there is none, or several that differ: which of them pays must not be a guess.
    """
    value = headers.get(_USUAL)
    if value is not None and _RARE.isdisjoint(headers) and _USUAL not in repeated:
        secret = value[7:].strip() if value[:7] == _BEARER else _read_usual(value)
    else:
        found = set()
        for name in (_USUAL, *_OTHERS):
            value = headers.get(name)
            if value is None:
                continue
            if name in repeated:
                raise Unauthorized(f"The header {name} was sent more than once: send one API key, once.")
            found.add(_read_usual(value) if name == _USUAL else value.strip())
        if len(found) > 1:
            raise Unauthorized("Several headers carry different API keys: send one API key, once.")
        secret = found.pop() if found else ""
    if not secret:
        raise Unauthorized(
            "You didn't provide an API key. Send yours in the header `Authorization: Bearer <your CostHub API key>`.",
            code="missing_api_key",
        )
    return secret


def _read_usual(value: str) -> str:
    scheme, _, secret = value.partition(" ")
    if scheme != _SCHEME and scheme.lower() != _SCHEME.lower():
        raise Unauthorized("The Authorization header must be `Bearer <your CostHub API key>`.")
    return secret.strip()


def _incorrect() -> Unauthorized:
    return Unauthorized("Incorrect API key provided. You can find your keys in the console under Keys.")
