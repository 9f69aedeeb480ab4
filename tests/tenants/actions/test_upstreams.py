"""Upstreams: the credential is write-only and bound to the origin it was given for."""

import pytest
from django.db import connection
from pytest_django import Settings

from costhub.lib.errors import AppError, Conflict, Forbidden, InvalidField
from costhub.lib.net import BlockedAddress
from costhub.lib.secrets import UnusableCredential
from tenants.access import enter_org
from tenants.actions.upstreams import create_upstream, reveal_credential, update_upstream
from tenants.choices import UpstreamKind
from tenants.models import Upstream
from tests.audit import read_audit
from tests.world import World

SECRET = "sk-acme-0123456789abcdefgh"


@pytest.fixture(autouse=True)
def open_acme(world: World) -> None:
    enter_org(world.acme.org.pk)


@pytest.fixture
def upstream(world: World) -> Upstream:
    return create_upstream(
        actor=world.acme.owner,
        name="ours",
        kind=UpstreamKind.OPENAI_COMPATIBLE,
        base_url="https://llm.acme.example/v1/",
        credential=SECRET,
    )


def reveal(world: World, upstream: Upstream) -> str | None:
    return reveal_credential(actor=world.acme.owner, upstream=Upstream.objects.get(pk=upstream.pk))


class TestCreate:
    def test_what_is_stored(self, world: World, upstream: Upstream) -> None:
        assert (upstream.base_url, upstream.origin) == ("https://llm.acme.example/v1", "https://llm.acme.example:443")
        assert upstream.credential_hint == "efgh"
        assert reveal(world, upstream) == SECRET

    def test_the_secret_is_nowhere_in_clear(self, upstream: Upstream) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT string_agg(t::text, ' ') FROM tenants_upstream t")
            (rows,) = cursor.fetchone()
            cursor.execute("SELECT string_agg(t::text, ' ') FROM tenants_auditentry t")
            (log,) = cursor.fetchone()
        assert "0123456789" not in rows + log
        assert SECRET.encode().hex() not in rows

    @pytest.mark.parametrize(("credential", "hint"), [("x" * 19, ""), ("y" * 16 + "last", "last")])
    def test_a_short_secret_is_not_hinted_at(self, world: World, credential: str, hint: str) -> None:
        made = create_upstream(
            actor=world.acme.owner,
            name="short",
            kind=UpstreamKind.OPENAI,
            base_url="https://api.openai.com/v1",
            credential=credential,
        )
        assert made.credential_hint == hint

    @pytest.mark.parametrize("credential", ["", "two words", "line\nbreak", "schlüssel", "x" * 4097, "a\r\nHost: b"])
    def test_a_secret_that_cannot_travel_in_a_header_is_refused(self, world: World, credential: str) -> None:
        with pytest.raises(InvalidField) as caught:
            create_upstream(
                actor=world.acme.owner,
                name="bad",
                kind=UpstreamKind.OPENAI,
                base_url="https://api.openai.com/v1",
                credential=credential,
            )
        assert caught.value.field == "credential"

    @pytest.mark.parametrize(
        "url",
        [
            "http://127.0.0.1:8000/v1",
            "https://169.254.169.254/latest",
            "https://[::ffff:10.0.0.1]/",
            "https://100.64.0.1/v1",
            "https://user:pass@llm.example/v1",
            "ftp://llm.example",
            "https://0x7f.1/v1",
            "https://llm.example/v1?x=1",
            "llm.example",
            "",
            "https://llm.example/" + "a" * 500,
        ],
    )
    def test_a_url_that_may_not_be_called_is_refused(self, world: World, url: str) -> None:
        with pytest.raises((InvalidField, BlockedAddress)) as caught:
            create_upstream(actor=world.acme.owner, name="bad", kind=UpstreamKind.OPENAI_COMPATIBLE, base_url=url)
        assert isinstance(caught.value, AppError)
        assert caught.value.field == "base_url"

    def test_the_operator_opens_private_networks(self, world: World, settings: Settings) -> None:
        from ipaddress import ip_network

        settings.ALLOWED_PRIVATE_NETWORKS = ((ip_network("127.0.0.0/8"), 8081),)
        made = create_upstream(
            actor=world.acme.owner,
            name="gpu",
            kind=UpstreamKind.OPENAI_COMPATIBLE,
            base_url="http://127.0.0.1:8081/v1",
        )
        assert (made.origin, made.credential) == ("http://127.0.0.1:8081", None)

    def test_a_name_is_taken_once(self, world: World, upstream: Upstream) -> None:
        with pytest.raises(Conflict) as caught:
            create_upstream(
                actor=world.acme.owner, name="ours", kind=UpstreamKind.OPENAI, base_url="https://api.openai.com/v1"
            )
        assert caught.value.field == "name"

    def test_a_developer_may_not(self, world: World) -> None:
        with pytest.raises(Forbidden):
            create_upstream(
                actor=world.ben_actor, name="x", kind=UpstreamKind.OPENAI, base_url="https://api.openai.com/v1"
            )


class TestUpdate:
    def test_another_origin_asks_for_the_credential(self, world: World, upstream: Upstream) -> None:
        for url in ("https://evil.example/v1", "https://llm.acme.example:8443/v1", "https://sub.llm.acme.example/v1"):
            with pytest.raises(InvalidField) as caught:
                update_upstream(actor=world.acme.owner, upstream=upstream, base_url=url)
            assert caught.value.field == "credential"
        assert Upstream.objects.get(pk=upstream.pk).base_url == "https://llm.acme.example/v1"

    def test_with_its_credential_it_moves(self, world: World, upstream: Upstream) -> None:
        update_upstream(
            actor=world.acme.owner, upstream=upstream, base_url="https://new.acme.example/v1", credential="n" * 24
        )
        assert upstream.origin == "https://new.acme.example:443"
        assert reveal(world, upstream) == "n" * 24

    def test_another_path_of_the_same_origin_keeps_it(self, world: World, upstream: Upstream) -> None:
        update_upstream(actor=world.acme.owner, upstream=upstream, base_url="https://llm.acme.example:443/v2")
        assert reveal(world, upstream) == SECRET

    def test_a_credential_can_be_forgotten_and_then_the_url_is_free(self, world: World, upstream: Upstream) -> None:
        update_upstream(actor=world.acme.owner, upstream=upstream, credential=None)
        assert (reveal(world, upstream), upstream.credential_hint) == (None, "")
        update_upstream(actor=world.acme.owner, upstream=upstream, base_url="https://other.example/v1")
        assert upstream.origin == "https://other.example:443"

    def test_a_row_whose_origin_was_tampered_with_does_not_open(self, world: World, upstream: Upstream) -> None:
        Upstream.objects.filter(pk=upstream.pk).update(origin="https://evil.example:443")
        with pytest.raises(UnusableCredential):
            reveal(world, upstream)

    def test_the_log_says_that_a_secret_changed_and_not_to_what(self, world: World, upstream: Upstream) -> None:
        update_upstream(actor=world.acme.owner, upstream=upstream, credential="n" * 24, max_retries=0)
        assert read_audit(world.acme.org)[-1].changes == {
            "credential": "changed",
            "credential_hint": "changed",
            "max_retries": [2, 0],
        }

    def test_a_name_is_taken_once(self, world: World, upstream: Upstream) -> None:
        other = create_upstream(
            actor=world.acme.owner, name="other", kind=UpstreamKind.OPENAI, base_url="https://api.openai.com/v1"
        )
        with pytest.raises(Conflict) as caught:
            update_upstream(actor=world.acme.owner, upstream=other, name="ours")
        assert caught.value.field == "name"
        assert set(Upstream.objects.values_list("name", flat=True)) == {"ours", "other"}

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("connect_timeout_ms", 99),
            ("connect_timeout_ms", 60_001),
            ("timeout_ms", 999),
            ("timeout_ms", 2**40),
            ("max_retries", -1),
            ("max_retries", 11),
            ("batch_concurrency", 0),
            ("batch_concurrency", 257),
            ("batch_hours", "22-6"),
            ("batch_hours", "24:00-06:00"),
            ("bill_path", "no-slash"),
            ("bill_path", "/a/../b"),
            ("bill_path", "/a?b"),
            ("name", " "),
        ],
    )
    def test_values_have_bounds(self, world: World, upstream: Upstream, field: str, value: object) -> None:
        with pytest.raises(InvalidField) as caught:
            update_upstream(actor=world.acme.owner, upstream=upstream, **{field: value})
        assert caught.value.field == field
