"""Who is calling: a bearer's secret to a key and its organisation."""

from collections.abc import Mapping
from typing import Final

from costhub.lib import clock, secrets
from proxy.edges.catalog import Catalog
from proxy.errors import Unauthorized
from tenants.snapshots import KeySnapshot, OrgSnapshot

_CARRIERS: Final = ("authorization", "x-api-key", "api-key")


class Auth:
    """Checks keys against what the catalog knows."""

    def __init__(self, catalog: Catalog, pepper: bytes) -> None:
        self._catalog = catalog
        self._pepper = pepper

    async def authenticate(self, bearer: str) -> tuple[KeySnapshot, OrgSnapshot]:
        """The key and its organisation. Raises Unauthorized, in the same words for every key that is not valid."""
        if not secrets.is_well_formed(bearer, secrets.API_KEY):
            raise _incorrect()
        key = await self._catalog.find_key(secrets.digest_of(bearer, self._pepper))
        if key is None or key.is_revoked:
            raise _incorrect()
        if key.expires_at_ms is not None and key.expires_at_ms <= clock.now_ms():
            raise Unauthorized("This API key has expired. Make a new one in the console under Keys.")
        org = await self._catalog.get_org(key.org_id)
        if not org.is_active:
            raise _incorrect()
        return key, org


def find_bearer(headers: Mapping[str, str], repeated: frozenset[str]) -> str:
    """The one secret that a request carries, in ``Authorization: Bearer``, ``x-api-key`` or ``api-key``.

    Raises Unauthorized if there is none, or several that differ: which of them pays must not be a guess.
    """
    found = set()
    for name in _CARRIERS:
        if name in repeated:
            raise Unauthorized(f"The header {name} stands there more than once: send one API key, once.")
        value = headers.get(name)
        if value is None:
            continue
        if name == "authorization":
            scheme, _, value = value.partition(" ")
            if scheme.lower() != "bearer":
                raise Unauthorized("The Authorization header must be `Bearer <your CostHub API key>`.")
        found.add(value.strip())
    if len(found) > 1:
        raise Unauthorized("Several headers carry different API keys: send one API key, once.")
    secret = found.pop() if found else ""
    if not secret:
        raise Unauthorized(
            "You didn't provide an API key. Send yours in the header `Authorization: Bearer <your CostHub API key>`.",
            code="missing_api_key",
        )
    return secret


def _incorrect() -> Unauthorized:
    return Unauthorized("Incorrect API key provided. You can find your keys in the console under Keys.")
