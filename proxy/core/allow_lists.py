"""From where a key may be used, and for which paths."""

from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from costhub.lib.addresses import plain
from proxy.errors import NotAllowed
from tenants.snapshots import KeySnapshot


def check_may_call(key: KeySnapshot, path: str, address: str) -> None:
    """Raise NotAllowed for a path that the key is not for, or an address that it may not be used from.

    A path on the list opens all below it. An address that cannot be read is on no list.
    """
    if key.endpoints and not any(path == one or path.startswith(f"{one}/") for one in key.endpoints):
        raise NotAllowed(
            f"This API key is not for {path[:200]}, only for {', '.join(key.endpoints)}: use another key, or have the"
            " path added to this one under Keys.",
            code="endpoint_not_allowed",
        )
    if key.networks and not _is_inside(address, key.networks):
        raise NotAllowed(
            f"This API key may not be used from {address or 'an unknown address'}: have its network added to the key"
            " under Keys, or call from one that is.",
            code="address_not_allowed",
        )


def _is_inside(text: str, networks: tuple[str, ...]) -> bool:
    try:
        address = plain(ip_address(text))
    except ValueError:
        return False
    return any(address in network for network in _parse(networks))


@lru_cache(maxsize=4096)
def _parse(networks: tuple[str, ...]) -> tuple[IPv4Network | IPv6Network, ...]:
    return tuple(ip_network(network) for network in networks)
