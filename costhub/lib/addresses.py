"""Which IP addresses belong to the open internet: our own table, from IANA's registries of special-purpose addresses.

``ipaddress.is_global`` calls the NAT64 and 6to4 forms of 169.254.169.254 global, and Azure's 168.63.129.16 too;
``is_private`` calls the carriers' 100.64.0.0/10 not private. So neither is asked here.

A NAT64 prefix that an operator took from its own public range cannot be told from any other address: that network's
own filter must guard what lies behind it.
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

#: where clouds hand out credentials to whoever asks: no allow-list opens these
METADATA: Final[tuple[Network, ...]] = (
    IPv4Network("169.254.0.0/16"),  # link-local: AWS, Azure, GCP, Oracle, Tencent, container credentials
    IPv4Network("168.63.129.16/32"),  # Azure's host
    IPv4Network("100.100.100.200/32"),  # Alibaba
    IPv4Network("192.0.0.192/32"),  # Oracle, classic
    IPv6Network("fd00:ec2::/32"),  # AWS
    IPv6Network("fd20:ce::254/128"),  # GCP
    IPv6Network("fd00:42::42/128"),  # Scaleway
    IPv6Network("fd00:c1::a9fe:a9fe/128"),  # Oracle
    IPv6Network("fe80::a9fe:a9fe/128"),  # OpenStack
)

#: addresses of nobody or of everybody; 0.0.0.0 and :: reach the machine itself on Linux
_NO_SINGLE_HOST: Final[tuple[Network, ...]] = (
    IPv4Network("0.0.0.0/8"),
    IPv4Network("224.0.0.0/4"),
    IPv4Network("255.255.255.255/32"),
    IPv6Network("::/128"),
    IPv6Network("ff00::/8"),
)

SPECIAL_IPV4: Final = (
    IPv4Network("0.0.0.0/8"),  # this network
    IPv4Network("10.0.0.0/8"),  # private
    IPv4Network("100.64.0.0/10"),  # carrier-grade NAT
    IPv4Network("127.0.0.0/8"),  # loopback
    IPv4Network("168.63.129.16/32"),  # Azure's host
    IPv4Network("169.254.0.0/16"),  # link-local
    IPv4Network("172.16.0.0/12"),  # private
    IPv4Network("192.0.0.0/24"),  # IETF protocol assignments
    IPv4Network("192.0.2.0/24"),  # documentation
    IPv4Network("192.31.196.0/24"),  # AS112
    IPv4Network("192.52.193.0/24"),  # AMT
    IPv4Network("192.88.99.0/24"),  # 6to4 relays
    IPv4Network("192.168.0.0/16"),  # private
    IPv4Network("192.175.48.0/24"),  # AS112
    IPv4Network("198.18.0.0/15"),  # benchmarking
    IPv4Network("198.51.100.0/24"),  # documentation
    IPv4Network("203.0.113.0/24"),  # documentation
    IPv4Network("224.0.0.0/4"),  # multicast
    IPv4Network("240.0.0.0/4"),  # reserved, and broadcast
)

#: the only block of IPv6 out of which public addresses are given; ULA, link-local, discard and the rest lie outside
_GLOBAL_UNICAST: Final = IPv6Network("2000::/3")
SPECIAL_IPV6: Final = (
    IPv6Network("2001::/23"),  # IETF protocol assignments, benchmarking and ORCHID among them
    IPv6Network("2001:db8::/32"),  # documentation
    IPv6Network("2620:4f:8000::/48"),  # AS112
    IPv6Network("3ffe::/16"),  # the former 6bone
    IPv6Network("3fff::/20"),  # documentation
)

#: forms in which the embedded IPv4 addresses alone decide: how far right to shift the bits, and what to turn over
_TRANSITION: Final = {
    IPv6Network("::/96"): ((0, 0),),  # IPv4-compatible
    IPv6Network("::ffff:0:0:0/96"): ((0, 0),),  # IPv4-translated
    IPv6Network("64:ff9b::/96"): ((0, 0),),  # NAT64
    IPv6Network("2002::/16"): ((80, 0),),  # 6to4
    IPv6Network("2001::/32"): ((64, 0), (0, 0xFFFF_FFFF)),  # Teredo: the server's, and the client's upside down
}
#: NAT64 inside one network: its operator alone knows at which of RFC 6052's places the IPv4 address stands
_LOCAL_NAT64: Final = IPv6Network("64:ff9b:1::/48")
_ISATAP: Final = frozenset({0x0000_5EFE, 0x0200_5EFE})
_LOW_32: Final = 0xFFFF_FFFF


def plain(address: Address) -> Address:
    """An IPv4-mapped address as the IPv4 address that the kernel will connect to; any other as it is."""
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def is_public(address: Address) -> bool:
    """Whether the address is one host on the open internet, judged with every IPv4 address that it carries inside."""
    address = plain(address)
    if isinstance(address, IPv4Address):
        return not any(address in network for network in SPECIAL_IPV4)
    if address.scope_id is not None or address in _LOCAL_NAT64:
        return False
    if not all(is_public(inner) for inner in _carried(address)):
        return False
    if any(address in network for network in _TRANSITION):
        return True
    return address in _GLOBAL_UNICAST and not any(address in network for network in SPECIAL_IPV6)


def find_caller(peer: str, forwarded: str, proxies: int) -> str:
    """The address that a request comes from: the ``peer`` of the connection, or what the farthest of so many trusted
    proxies of the operator's wrote into X-Forwarded-For. Whatever stands before that is the caller's own invention."""
    hops = [hop.strip() for hop in forwarded.split(",") if hop.strip()] if proxies else []
    return hops[-proxies] if len(hops) >= proxies > 0 else peer


def network_of(caller: str) -> str:
    """Whom a caller's address stands for: of IPv6 the network, because a house has more addresses than a counter could
    count. An IPv4 address that a socket for both kinds gives as ``::ffff:1.2.3.4`` is itself: all of them are in one
    network. What is no address stays what it is, cut off."""
    try:
        found = ip_address(caller)
    except ValueError:
        return caller[:64]
    if isinstance(found, IPv4Address):
        return str(found)
    return str(found.ipv4_mapped or ip_network(f"{found}/64", strict=False))


def is_never_allowed(address: Address) -> bool:
    """Whether not even the operator's allow-list may open the address: cloud metadata in any disguise, or no single
    host."""
    address = plain(address)
    if any(address in network for network in _NO_SINGLE_HOST):
        return True
    disguises = (*_carried(address), *_local_nat64_readings(address)) if isinstance(address, IPv6Address) else ()
    return any(candidate in network for candidate in (address, *disguises) for network in METADATA)


def _carried(address: IPv6Address) -> tuple[IPv4Address, ...]:
    bits = int(address)
    places = [place for network, inside in _TRANSITION.items() if address in network for place in inside]
    found = [bits >> shift & _LOW_32 ^ turned for shift, turned in places]
    if bits >> 32 & _LOW_32 in _ISATAP:
        found.append(bits & _LOW_32)
    return tuple(IPv4Address(inner) for inner in found)


def _local_nat64_readings(address: IPv6Address) -> tuple[IPv4Address, ...]:
    """RFC 6052, section 2.2: the places for prefixes of 48, 56, 64 and 96 bits; bits 64 to 71 are always skipped."""
    if address not in _LOCAL_NAT64:
        return ()
    bits = int(address)
    return (
        IPv4Address((bits >> 64 & 0xFFFF) << 16 | bits >> 40 & 0xFFFF),
        IPv4Address((bits >> 64 & 0xFF) << 24 | bits >> 32 & 0xFF_FFFF),
        IPv4Address(bits >> 24 & _LOW_32),
        IPv4Address(bits & _LOW_32),
    )
