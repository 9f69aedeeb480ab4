"""TXT records, as a real name server on this machine answers."""

import dns.resolver
import pytest
from pytest_django import Settings

from costhub.lib.text_records import find_text_records
from tests.lib.name_server import serve_text_records


def test_a_record_in_several_parts_is_read_in_one_piece(settings: Settings) -> None:
    with serve_text_records({"_costhub.acme.example": "x" * 250 + "y"}) as settings.DNS_SERVER:
        assert find_text_records("_costhub.acme.example") == ["x" * 250 + "y"]
        assert find_text_records("acme.example") == []


@pytest.mark.parametrize("name", ["a" * 64 + ".example", "", "a..b"])
def test_a_name_that_cannot_be_has_none(settings: Settings, name: str) -> None:
    with serve_text_records({}) as settings.DNS_SERVER:
        assert find_text_records(name) == []


def test_a_machine_without_a_resolver_finds_none(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.DNS_SERVER = None
    monkeypatch.setattr(dns.resolver.Resolver, "read_resolv_conf", _no_resolver)
    assert find_text_records("_costhub.acme.example") == []


def _no_resolver(self: dns.resolver.Resolver, f: object) -> None:
    raise dns.resolver.NoResolverConfiguration
