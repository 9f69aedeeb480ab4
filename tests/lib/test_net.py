import asyncio
import gzip
import ipaddress
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack

import httpx2
import pytest
from django.test import override_settings

from costhub.lib.errors import AppError, InvalidField
from costhub.lib.net import (
    AllowedNetwork,
    BlockedAddress,
    Gate,
    Pinned,
    Unreachable,
    Unresolvable,
    gate_from_settings,
    parse_origin,
    resolve_with_system,
)
from proxy.upstreams.transport import NotTaken
from tests.lib.certificates import Authority
from tests.lib.net_canary import Canary, open_canary, serve
from tests.lib.net_hostile import HOSTILE, resolve_hostile
from tests.lib.resolving import Answers
from tests.patience import PATIENCE_SECONDS
from tests.proxy.upstreams.hot_path import call_once

LOOPBACK: AllowedNetwork = (ipaddress.ip_network("127.0.0.1/32"), None)
LOOPBACK_V6: AllowedNetwork = (ipaddress.ip_network("::1/128"), None)


def resolve_to(*addresses: str) -> Answers:
    return Answers(addresses)


@pytest.fixture(scope="module")
def canaries() -> Iterator[list[Canary]]:
    """Every place of this machine where a hostile URL could come out, on several ports."""
    with ExitStack() as opened:
        first = opened.enter_context(open_canary("0.0.0.0"))
        others = [opened.enter_context(open_canary("127.0.0.1")) for _ in range(3)]
        v6 = opened.enter_context(open_canary("::1", first.port))
        yield [first, v6, *others]


@pytest.fixture(scope="module")
def gate(canaries: list[Canary]) -> Gate:
    """One port of loopback is open to tenants, and it is not the one that the hostile URLs name."""
    return Gate([(ipaddress.ip_network("127.0.0.0/8"), canaries[2].port)], resolve_hostile)


def test_a_canary_sees_who_comes(canaries: list[Canary]) -> None:
    for canary, host in ((canaries[0], "127.0.0.1"), (canaries[1], "::1")):
        with socket.create_connection((host, canary.port)):
            pass
        assert canary.arrivals() == 1
        assert canary.arrivals() == 0


@pytest.mark.parametrize(("url", "error"), HOSTILE)
async def test_a_hostile_url_reaches_nobody(
    canaries: list[Canary], gate: Gate, url: str, error: type[AppError]
) -> None:
    url = url.replace("{port}", str(canaries[0].port))
    with pytest.raises(error) as caught:
        await call_once(gate, url)
    assert type(caught.value) is error
    if "?" not in url:  # a webhook may have a query
        with pytest.raises(error) as caught:
            await gate.fetch("POST", url, content=b"{}", timeout_seconds=PATIENCE_SECONDS)
        assert type(caught.value) is error
    assert [canary.arrivals() for canary in canaries] == [0] * len(canaries)


@pytest.mark.parametrize("url", [url for url, _ in HOSTILE])
async def test_httpx2_given_a_hostile_url_without_our_parser_reaches_nobody(
    canaries: list[Canary], gate: Gate, url: str
) -> None:
    url = url.replace("{port}", str(canaries[0].port))
    async with gate.httpx_client(timeout_seconds=PATIENCE_SECONDS) as client:
        with pytest.raises((AppError, httpx2.InvalidURL, UnicodeError)):
            await client.get(url)
    assert [canary.arrivals() for canary in canaries] == [0] * len(canaries)


class TestPin:
    async def test_every_address_is_kept_in_order_and_once(self) -> None:
        gate = Gate(resolver=resolve_to("2606:4700::1", "1.1.1.1", "1.1.1.1", "::ffff:1.0.0.1"))
        target = parse_origin("https://api.example/v1")
        expected = Pinned(target, ("2606:4700::1", "1.1.1.1", "1.0.0.1"))
        assert await gate.pin(target) == expected
        assert gate.pin_now(target) == expected

    async def test_a_literal_is_vetted_without_a_lookup(self) -> None:
        resolver = resolve_to("1.1.1.1")
        target = parse_origin("https://[2606:4700:0::1]")
        assert await Gate(resolver=resolver).pin(target) == Pinned(target, ("2606:4700::1",))
        assert Gate(resolver=resolver).pin_now(target) == Pinned(target, ("2606:4700::1",))
        assert resolver.asked == []

    async def test_a_lookup_that_hangs_is_given_up(self) -> None:
        answered = threading.Event()

        def hang(host: str, port: int) -> tuple[str, ...]:
            answered.wait()
            return ("1.1.1.1",)

        gate = Gate(resolver=hang, resolve_timeout_seconds=0.05)
        try:
            with pytest.raises(Unresolvable) as caught:
                await gate.pin(parse_origin("https://slow.example"))
            with pytest.raises(Unresolvable):
                gate.pin_now(parse_origin("https://slow.example"))
        finally:
            answered.set()
        assert caught.value.message == "No address was found for slow.example: check the host name."

    async def test_the_system_resolver_knows_this_machine_and_the_gate_blocks_it(self) -> None:
        assert "127.0.0.1" in resolve_with_system("localhost", 80)
        with pytest.raises(BlockedAddress):
            await Gate().pin(parse_origin("https://localhost"))
        with pytest.raises(BlockedAddress):
            Gate().pin_now(parse_origin("https://localhost"))

    async def test_the_caller_learns_what_to_do_and_the_log_alone_the_address(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        with pytest.raises(BlockedAddress) as caught:
            await Gate(resolver=resolve_to("10.9.8.7")).pin(parse_origin("https://gpu.acme.example:8000"))
        assert caught.value.message == (
            "gpu.acme.example leads to an address that may not be called from here. If it is a server of your own, "
            "ask the operator to add its network to COSTHUB_ALLOWED_NETWORKS."
        )
        assert (caught.value.code, caught.value.http_status, caught.value.field) == ("blocked_address", 400, "base_url")
        assert [vars(record)["address"] for record in caplog.records if record.message == "blocked_address"] == [
            "10.9.8.7"
        ]

    async def test_a_public_host_in_plain_http_is_told_to_use_https(self) -> None:
        with pytest.raises(InvalidField) as caught:
            await Gate(resolver=resolve_to("1.1.1.1")).pin(parse_origin("http://api.example"))
        assert (
            caught.value.message
            == "Use https for api.example: plain http is only for the networks that the operator allowed."
        )
        assert caught.value.field == "base_url"


class TestAllowList:
    @pytest.mark.parametrize(
        ("network", "port", "url", "answers"),
        [
            ("10.1.0.0/16", None, "http://gpu.test", ("10.1.2.3",)),
            ("10.1.0.0/16", None, "https://gpu.test:1234", ("10.1.2.3", "10.1.255.255")),
            ("10.1.0.0/16", 8000, "http://gpu.test:8000", ("10.1.2.3",)),
            ("10.1.0.0/16", 8000, "http://10.1.0.1:8000", ()),
            ("10.1.0.0/16", 8000, "http://gpu.test:8000", ("::ffff:10.1.2.3",)),
            ("fd12::/16", None, "http://gpu.test", ("fd12::1",)),
            ("10.1.0.0/16", None, "https://gpu.test", ("10.1.2.3", "1.1.1.1")),
        ],
    )
    async def test_what_the_operator_opened_is_open(
        self, network: str, port: int | None, url: str, answers: tuple[str, ...]
    ) -> None:
        gate = Gate([(ipaddress.ip_network(network), port)], resolve_to(*answers))
        pinned = await gate.pin(parse_origin(url))
        assert len(pinned.addresses) == max(1, len(answers))

    @pytest.mark.parametrize(
        ("network", "port", "url", "answers", "error"),
        [
            ("10.1.0.0/16", 8000, "http://gpu.test:8001", ("10.1.2.3",), BlockedAddress),
            ("10.1.0.0/16", 8000, "https://gpu.test", ("10.1.2.3",), BlockedAddress),
            ("10.1.0.0/16", None, "http://gpu.test", ("10.2.0.0",), BlockedAddress),
            ("10.1.0.0/16", None, "http://gpu.test", ("10.0.255.255",), BlockedAddress),
            ("10.1.0.0/16", None, "http://gpu.test", ("10.1.2.3", "10.2.0.0"), BlockedAddress),
            ("10.1.0.0/16", None, "http://gpu.test", ("10.1.2.3", "1.1.1.1"), InvalidField),
            ("10.1.0.0/16", None, "http://gpu.test", ("1.1.1.1", "10.1.2.3"), InvalidField),
            ("10.1.0.0/16", None, "http://gpu.test", ("64:ff9b::a01:203",), BlockedAddress),
            ("10.1.0.0/16", None, "http://gpu.test", ("2002:a01:203::1",), BlockedAddress),
            ("0.0.0.0/0", None, "http://gpu.test", ("169.254.169.254",), BlockedAddress),
            ("0.0.0.0/0", None, "http://gpu.test", ("168.63.129.16",), BlockedAddress),
            ("0.0.0.0/0", None, "http://gpu.test", ("100.100.100.200",), BlockedAddress),
            ("0.0.0.0/0", None, "http://gpu.test", ("0.0.0.0",), BlockedAddress),
            ("::/0", None, "http://gpu.test", ("::",), BlockedAddress),
            ("169.254.0.0/16", 80, "http://169.254.169.254", (), BlockedAddress),
            ("::/0", None, "http://gpu.test", ("64:ff9b::a9fe:a9fe",), BlockedAddress),
            ("::/0", None, "http://gpu.test", ("64:ff9b:1:a9fe:a9:fe00::",), BlockedAddress),
            ("::/0", None, "http://gpu.test", ("fd00:ec2::254",), BlockedAddress),
        ],
    )
    async def test_nothing_beside_it_is(
        self, network: str, port: int | None, url: str, answers: tuple[str, ...], error: type[AppError]
    ) -> None:
        gate = Gate([(ipaddress.ip_network(network), port)], resolve_to(*answers))
        with pytest.raises(error) as caught:
            await gate.pin(parse_origin(url))
        assert type(caught.value) is error

    async def test_the_settings_name_the_networks(self) -> None:
        with override_settings(ALLOWED_PRIVATE_NETWORKS=((ipaddress.ip_network("127.0.0.1/32"), 8081),)):
            gate = gate_from_settings()
        target = parse_origin("http://127.0.0.1:8081/v1")
        assert await gate.pin(target) == Pinned(target, ("127.0.0.1",))
        with pytest.raises(BlockedAddress):
            await gate.pin(parse_origin("http://127.0.0.1:8082/v1"))


class TestFetch:
    async def test_a_name_that_no_dns_server_knows_reaches_its_pin(self) -> None:
        async with serve(b"HTTP/1.1 201 Created\r\nX-Id: 7\r\nContent-Length: 4\r\n\r\ndone") as hook:
            gate = Gate([LOOPBACK], resolve_to("127.0.0.1"))
            answer = await gate.fetch(
                "POST", f"http://hook.test:{hook.port}/a?b=c", headers={"x-signature": "s"}, content=b"{}"
            )
        assert (answer.status, answer.headers["x-id"], answer.body, answer.truncated) == (201, "7", b"done", False)
        head = hook.heads[0].lower()
        assert head.startswith("post /a?b=c http/1.1\r\n")
        assert f"\r\nhost: hook.test:{hook.port}\r\n" in head
        assert "\r\naccept-encoding: identity\r\n" in head
        assert "\r\nx-signature: s\r\n" in head

    async def test_it_works_outside_of_a_loop_too(self) -> None:
        async with serve() as hook:
            gate = Gate([LOOPBACK])
            answer = await asyncio.to_thread(gate.fetch_now, "GET", f"http://127.0.0.1:{hook.port}/")
        assert (answer.status, answer.body) == (200, b"ok")

    async def test_a_line_keeps_its_connection_to_one_origin_and_trusts_its_pin(self) -> None:
        async with serve() as often, serve() as once:
            resolver = Answers(("127.0.0.1",))
            gate = Gate([LOOPBACK], resolver)

            def talk() -> list[int]:
                with gate.keep_open() as line:
                    ports = (often.port, often.port, once.port, often.port, once.port)
                    return [line.fetch_now("GET", f"http://kept.test:{port}/").status for port in ports]

            assert await asyncio.to_thread(talk) == [200] * 5
            # Another origin's calls are on their own, each resolved anew.
            assert (often.connections, once.connections) == (1, 2)
            assert len(resolver.asked) == 3

    async def test_a_line_leads_to_no_blocked_address(self) -> None:
        def talk(url: str) -> None:
            with Gate().keep_open() as line:
                line.fetch_now("GET", url)

        with open_canary() as canary:
            with pytest.raises(BlockedAddress):
                await asyncio.to_thread(talk, f"http://127.0.0.1:{canary.port}/")
            assert canary.arrivals() == 0

    async def test_each_connection_is_resolved_vetted_and_pinned(self) -> None:
        async with serve() as hook:
            with open_canary("127.0.0.2", hook.port) as canary:
                resolver = Answers(("127.0.0.1",), ("127.0.0.2",))
                gate = Gate([(ipaddress.ip_network("127.0.0.1"), None)], resolver)
                url = f"http://rebind.test:{hook.port}/"
                async with gate.httpx_client() as client:
                    assert (await client.get(url)).status_code == 200
                    with pytest.raises(BlockedAddress):
                        await client.get(url)
                assert hook.connections == 1
                assert len(resolver.asked) == 2
                assert canary.arrivals() == 0

    async def test_the_next_address_is_tried_when_one_is_dead(self) -> None:
        async with serve() as hook:
            gate = Gate([LOOPBACK, LOOPBACK_V6], resolve_to("::1", "127.0.0.1"))
            url = f"http://two.test:{hook.port}/"
            assert (await gate.fetch("GET", url)).status == 200

    async def test_a_redirect_is_an_answer_like_any_other(self) -> None:
        with open_canary() as canary:
            redirect = f"HTTP/1.1 302 Go\r\nLocation: http://127.0.0.1:{canary.port}/\r\nContent-Length: 0\r\n\r\n"
            async with serve(redirect.encode()) as hook:
                assert (await Gate([LOOPBACK]).fetch("GET", f"http://127.0.0.1:{hook.port}/")).status == 302
            assert canary.arrivals() == 0

    async def test_a_redirect_that_a_caller_follows_passes_the_gate_again(self) -> None:
        with open_canary() as canary:
            redirect = f"HTTP/1.1 302 Go\r\nLocation: http://127.0.0.1:{canary.port}/\r\nContent-Length: 0\r\n\r\n"
            async with serve(redirect.encode()) as hook:
                gate = Gate([(ipaddress.ip_network("127.0.0.1"), hook.port)])
                async with gate.httpx_client() as client:
                    with pytest.raises(BlockedAddress):
                        await client.get(f"http://127.0.0.1:{hook.port}/", follow_redirects=True)
            assert canary.arrivals() == 0

    async def test_a_gzip_bomb_stays_folded(self) -> None:
        bomb = gzip.compress(bytes(64 * 1024 * 1024))
        async with serve(_compressed(bomb)) as hook:
            gate, url = Gate([LOOPBACK]), f"http://127.0.0.1:{hook.port}/"
            answer = await gate.fetch("GET", url, max_bytes=10_000)
            async with gate.httpx_client() as client:
                whole = (await client.get(url)).content
        assert answer.body == bomb[:10_000]
        assert answer.truncated
        assert whole == bomb

    async def test_an_endless_answer_is_cut_and_the_peer_hung_up_on(self) -> None:
        async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            while True:
                writer.write(b"x" * 65_536)
                await writer.drain()

        async with serve(pour) as hook:
            answer = await Gate([LOOPBACK]).fetch("GET", f"http://127.0.0.1:{hook.port}/", max_bytes=100_000)
            await asyncio.wait_for(hook.hung_up.wait(), PATIENCE_SECONDS)
        assert answer.body == b"x" * 100_000
        assert answer.truncated

    async def test_an_answer_of_exactly_the_limit_is_whole(self) -> None:
        async with serve() as hook:
            answer = await Gate([LOOPBACK]).fetch("GET", f"http://127.0.0.1:{hook.port}/", max_bytes=2)
        assert (answer.body, answer.truncated) == (b"ok", False)

    async def test_a_peer_that_drips_is_given_up_after_the_whole_time(self) -> None:
        async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 200 OK\r\nX-Drip: ")
            while True:  # a byte whenever the loop comes by: no single read ever waits
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(0.01)

        async with serve(drip) as hook:
            with pytest.raises(Unreachable) as caught:
                await Gate([LOOPBACK]).fetch("GET", f"http://127.0.0.1:{hook.port}/", timeout_seconds=0.2)
        assert caught.value.message == "127.0.0.1 gave no whole answer within 0.2 s."
        assert (caught.value.code, caught.value.http_status) == ("unreachable", 502)

    @pytest.mark.parametrize(
        "answer", [b"", b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort"]
    )
    async def test_a_peer_that_speaks_no_http_is_a_failed_call(self, answer: bytes) -> None:
        async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(answer)
            writer.close()
            await writer.wait_closed()
            raise ConnectionResetError

        async with serve(hang_up) as hook:
            with pytest.raises(Unreachable) as caught:
                await Gate([LOOPBACK]).fetch("GET", f"http://127.0.0.1:{hook.port}/")
        assert caught.value.message == "The call to 127.0.0.1 failed: check that it serves HTTP there."

    async def test_a_password_in_the_url_is_refused_by_the_client_as_well(self) -> None:
        async with Gate([LOOPBACK]).httpx_client() as client:
            with pytest.raises(InvalidField):
                await client.get("http://ada:secret@127.0.0.1:1/")


PROXY_VARIABLES = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"]


@pytest.mark.parametrize("scheme", ["http", "socks5"])
async def test_proxy_variables_are_ignored(monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    with open_canary() as proxy:
        for variable in PROXY_VARIABLES:
            monkeypatch.setenv(variable, f"{scheme}://127.0.0.1:{proxy.port}")
        async with serve() as upstream:
            gate = Gate([LOOPBACK], resolve_to("127.0.0.1"))
            url = f"http://pinned.test:{upstream.port}"
            assert await call_once(gate, url) == (200, b"ok")
            assert (await gate.fetch("GET", url)).status == 200
            assert (await asyncio.to_thread(gate.fetch_now, "GET", url)).status == 200
            assert upstream.connections == 3
        assert proxy.arrivals() == 0


class TestTls:
    """The certificate is checked against the name in the URL, though the connection goes to an address."""

    async def test_both_clients_accept_the_right_name(self, authority: Authority) -> None:
        async with serve(tls=authority.serve_as("api.acme.example")) as upstream:
            gate = Gate([LOOPBACK], resolve_to("127.0.0.1"), trusted_ca_pem=authority.pem)
            url = f"https://api.acme.example:{upstream.port}"
            assert await call_once(gate, url) == (200, b"ok")
            assert (await gate.fetch("GET", url)).status == 200
            assert (await asyncio.to_thread(gate.fetch_now, "GET", url)).body == b"ok"

    async def test_both_clients_refuse_another_name_on_the_same_address(self, authority: Authority) -> None:
        async with serve(tls=authority.serve_as("api.acme.example")) as upstream:
            gate = Gate([LOOPBACK], resolve_to("127.0.0.1"), trusted_ca_pem=authority.pem)
            url = f"https://api.mallcorp.example:{upstream.port}"
            with pytest.raises(NotTaken):
                await call_once(gate, url)
            async with gate.httpx_client() as client:
                assert (await client.get(f"https://api.acme.example:{upstream.port}")).status_code == 200
                with pytest.raises(httpx2.ConnectError):
                    await client.get(url)
            with pytest.raises(Unreachable):
                await gate.fetch("GET", url)
            assert len(upstream.heads) == 1

    async def test_both_clients_refuse_an_unknown_authority(self, authority: Authority) -> None:
        async with serve(tls=authority.serve_as("api.acme.example")) as upstream:
            gate = Gate([LOOPBACK], resolve_to("127.0.0.1"))
            url = f"https://api.acme.example:{upstream.port}"
            with pytest.raises(NotTaken):
                await call_once(gate, url)
            with pytest.raises(Unreachable):
                await gate.fetch("GET", url)
            assert upstream.heads == []


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


def _compressed(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
