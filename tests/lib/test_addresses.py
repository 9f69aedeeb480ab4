from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costhub.lib.addresses import METADATA, SPECIAL_IPV4, SPECIAL_IPV6, is_never_allowed, is_public, network_of, plain

#: network, and whether the addresses just before and just after it are public (None: there is no such address)
SPECIAL_RANGES = [
    ("0.0.0.0/8", None, True),
    ("10.0.0.0/8", True, True),
    ("100.64.0.0/10", True, True),
    ("127.0.0.0/8", True, True),
    ("168.63.129.16/32", True, True),
    ("169.254.0.0/16", True, True),
    ("172.16.0.0/12", True, True),
    ("192.0.0.0/24", True, True),
    ("192.0.2.0/24", True, True),
    ("192.31.196.0/24", True, True),
    ("192.52.193.0/24", True, True),
    ("192.88.99.0/24", True, True),
    ("192.168.0.0/16", True, True),
    ("192.175.48.0/24", True, True),
    ("198.18.0.0/15", True, True),
    ("198.51.100.0/24", True, True),
    ("203.0.113.0/24", True, True),
    ("224.0.0.0/4", True, False),
    ("240.0.0.0/4", False, None),
    ("::/128", None, False),
    ("::1/128", False, False),
    ("::ffff:0:0/96", False, False),
    ("::ffff:0:0:0/96", False, False),
    ("64:ff9b::/96", False, False),
    ("64:ff9b:1::/48", False, False),
    ("100::/64", False, False),
    ("100:0:0:1::/64", False, False),
    ("2001::/23", True, True),
    ("2001:2::/48", False, False),
    ("2001:10::/28", False, False),
    ("2001:20::/28", False, False),
    ("2001:db8::/32", True, True),
    ("2002::/16", True, True),
    ("2620:4f:8000::/48", True, True),
    ("3ffe::/16", True, False),
    ("3fff::/20", False, True),
    ("4000::/3", True, False),
    ("5f00::/16", False, False),
    ("fc00::/7", False, False),
    ("fe80::/10", False, False),
    ("fec0::/10", False, False),
    ("ff00::/8", False, None),
]


@pytest.mark.parametrize(("network", "before", "after"), SPECIAL_RANGES)
def test_a_special_range_is_closed_to_its_edges_and_no_further(
    network: str, before: bool | None, after: bool | None
) -> None:
    first, last = ip_network(network)[0], ip_network(network)[-1]
    assert (is_public(first), is_public(last)) == (False, False)
    assert before is None or is_public(first - 1) is before
    assert after is None or is_public(last + 1) is after


def test_every_range_of_the_table_is_tried_above() -> None:
    assert {str(network) for network in (*SPECIAL_IPV4, *SPECIAL_IPV6)} <= {row[0] for row in SPECIAL_RANGES}


@pytest.mark.parametrize(
    "address",
    ["1.1.1.1", "8.8.8.8", "104.18.6.192", "2606:4700:4700::1111", "2a00:1450:4001:80b::200e", "2000::1"],
)
def test_ordinary_addresses_are_public(address: str) -> None:
    assert is_public(ip_address(address))
    assert not is_never_allowed(ip_address(address))


def test_a_zone_is_never_public() -> None:
    assert not is_public(IPv6Address("2606:4700::1%eth0"))


def _isatap(inner: int) -> int:
    return int(IPv6Address("2606:4700::5efe:0:0")) | inner


def _teredo_client(inner: int) -> int:
    return int(IPv6Address("2001:0:808:808::")) | (inner ^ 0xFFFF_FFFF)


def _teredo_server(inner: int) -> int:
    return int(IPv6Address("2001::")) | inner << 64 | (0x0808_0808 ^ 0xFFFF_FFFF)


DISGUISES = {
    "compatible": lambda inner: inner,
    "mapped": lambda inner: int(IPv6Address("::ffff:0:0")) | inner,
    "translated": lambda inner: int(IPv6Address("::ffff:0:0:0")) | inner,
    "nat64": lambda inner: int(IPv6Address("64:ff9b::")) | inner,
    "6to4": lambda inner: int(IPv6Address("2002::1")) | inner << 80,
    "teredo client": _teredo_client,
    "teredo server": _teredo_server,
    "isatap": _isatap,
}

any_ipv4 = st.one_of(
    st.integers(0, 2**32 - 1),
    st.sampled_from([*SPECIAL_IPV4, *(network for network in METADATA if network.version == 4)]).flatmap(
        lambda network: st.integers(int(network[0]), int(network[-1]))
    ),
)


@pytest.mark.parametrize("disguise", sorted(DISGUISES))
@given(inner=any_ipv4)
def test_an_embedded_ipv4_address_gets_its_own_verdict(disguise: str, inner: int) -> None:
    outer = IPv6Address(DISGUISES[disguise](inner))
    assert is_public(outer) is is_public(IPv4Address(inner))


@pytest.mark.parametrize("disguise", sorted(DISGUISES))
@pytest.mark.parametrize(
    "address", ["169.254.169.254", "169.254.170.2", "168.63.129.16", "100.100.100.200", "192.0.0.192"]
)
def test_metadata_is_never_allowed_in_any_disguise(disguise: str, address: str) -> None:
    assert is_never_allowed(ip_address(address))
    assert is_never_allowed(IPv6Address(DISGUISES[disguise](int(IPv4Address(address)))))


@pytest.mark.parametrize(
    "address",
    [
        *("fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254", "fd00:42::42", "fd00:c1::a9fe:a9fe"),
        *("fe80::a9fe:a9fe", "fe80::a9fe:a9fe%eth0"),
    ],
)
def test_metadata_over_ipv6_is_never_allowed(address: str) -> None:
    assert is_never_allowed(ip_address(address))


@given(inner=any_ipv4)
def test_a_local_nat64_prefix_is_never_public(inner: int) -> None:
    assert not is_public(IPv6Address(int(IPv6Address("64:ff9b:1::")) | inner))


@pytest.mark.parametrize(
    "address",
    [
        "64:ff9b:1:a9fe:a9:fe00::",  # 48 bits
        "64:ff9b:1:a9:fe:a9fe::",  # 56 bits
        "64:ff9b:1:0:a9:fea9:fe00:0",  # 64 bits
        "64:ff9b:1::a9fe:a9fe",  # 96 bits
    ],
)
def test_metadata_is_found_at_each_place_of_a_local_nat64_prefix(address: str) -> None:
    assert is_never_allowed(ip_address(address))


@pytest.mark.parametrize("address", ["0.0.0.0", "224.0.0.1", "255.255.255.255", "::", "::ffff:0.0.0.0", "ff02::1"])
def test_no_single_host_is_never_allowed(address: str) -> None:
    assert is_never_allowed(ip_address(address))


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "::1", "fd12::1", "64:ff9b:1::808:808"])
def test_a_private_address_may_be_allowed_by_the_operator(address: str) -> None:
    assert not is_never_allowed(ip_address(address))
    assert not is_public(ip_address(address))


def test_a_mapped_address_is_seen_as_the_kernel_sees_it() -> None:
    assert plain(ip_address("::ffff:10.1.2.3")) == IPv4Address("10.1.2.3")
    assert plain(ip_address("2606:4700::1")) == IPv6Address("2606:4700::1")
    assert ip_address("64:ff9b:1::1") in IPv6Network("64:ff9b:1::/48")


@pytest.mark.parametrize(
    ("caller", "network"),
    [
        ("1.2.3.4", "1.2.3.4"),
        ("::ffff:1.2.3.4", "1.2.3.4"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("unknown", "unknown"),
        ("x" * 65, "x" * 64),
    ],
)
def test_whom_a_callers_address_stands_for(caller: str, network: str) -> None:
    assert network_of(caller) == network
