"""The seam to the upstreams: where a call goes, what it carries, and whether a failure may have cost money."""

import asyncio
import gzip
import ipaddress
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import orjson
import pytest

from costhub.lib.net import AllowedNetwork, Gate
from proxy.upstreams import transport
from proxy.upstreams.transport import AnswerTooLong, BrokenOff, NotTaken, Upstreams
from tenants.snapshots import UpstreamSnapshot
from tests.bank import Bank
from tests.lib.certificates import Authority
from tests.lib.net_canary import open_canary
from tests.lib.resolving import Answers
from tests.patience import PATIENCE_SECONDS
from tests.proxy.upstreams.hot_path import MASTER_KEY, ORG, make_upstream, post, seal_for
from tests.proxy.upstreams.raw_server import OK, Caller, answer, answer_and_close, answer_and_stay, dead_port, serve

LOOPBACK: AllowedNetwork = (ipaddress.ip_network("127.0.0.0/8"), None)
LOOPBACK_V6: AllowedNetwork = (ipaddress.ip_network("::1"), None)
HOST = "llm.acme.example"
CREDENTIAL = "sk-acme-0123456789abcdefgh"


@asynccontextmanager
async def opened(gate: Gate | None = None) -> AsyncIterator[Upstreams]:
    upstreams = Upstreams(gate or Gate([LOOPBACK]), MASTER_KEY)
    yield upstreams
    upstreams.close()


async def refusal(upstreams: Upstreams, upstream: UpstreamSnapshot) -> NotTaken:
    with pytest.raises(NotTaken) as caught:
        await post(upstreams, upstream)
    return caught.value


async def breaking_off(upstreams: Upstreams, upstream: UpstreamSnapshot) -> BrokenOff:
    with pytest.raises(BrokenOff) as caught:
        await post(upstreams, upstream)
    return caught.value


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def shared_bank(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bank]:
    bank = Bank.start(tmp_path_factory.mktemp("bank"), fsync=False)
    yield bank
    bank.stop()


class TestRequest:
    async def test_every_byte_of_it(self) -> None:
        async with serve(answer(OK)) as server, opened() as upstreams:
            url = f"http://127.0.0.1:{server.port}/v1"
            upstream = make_upstream(url, credential=seal_for(url, CREDENTIAL))
            async with upstreams.post(upstream, ORG, "embeddings", b'{"a": 1}', "id-7:2") as exchange:
                assert (exchange.status, await exchange.read_whole()) == (200, b"ok")
            (asked,) = server.asked
        assert asked.head.split("\r\n") == [
            "POST /v1/embeddings HTTP/1.1",
            f"host: 127.0.0.1:{server.port}",
            "user-agent: CostHub",
            "accept: */*",
            "accept-encoding: identity",
            "content-type: application/json",
            f"authorization: Bearer {CREDENTIAL}",
            "x-client-request-id: id-7:2",
            "content-length: 8",
            "",
            "",
        ]
        assert asked.body == b'{"a": 1}'

    async def test_each_call_has_its_own_path_id_and_length(self) -> None:
        async with serve(answer(OK)) as server, opened() as upstreams:
            upstream = make_upstream(f"http://127.0.0.1:{server.port}")
            for path, body, request_id in (("completions", b"{}", "a:1"), ("embeddings", b'{"x":1}', "b:1")) * 2:
                async with upstreams.post(upstream, ORG, path, body, request_id) as exchange:
                    await exchange.read_whole()
            assert [
                (asked.head.partition(" HTTP")[0], asked.header("x-client-request-id"), asked.body)
                for asked in server.asked
            ] == [("POST /completions", ["a:1"], b"{}"), ("POST /embeddings", ["b:1"], b'{"x":1}')] * 2
            assert [asked.header("authorization") for asked in server.asked] == [[]] * 4
            assert len(server.callers) == 1

    async def test_a_literal_of_ipv6_stands_in_brackets(self) -> None:
        async with serve(answer(OK), host="::1") as server, opened(Gate([LOOPBACK_V6])) as upstreams:
            assert await post(upstreams, make_upstream(f"http://[::1]:{server.port}/v1")) == (200, b"ok")
            assert server.asked[0].header("host") == [f"[::1]:{server.port}"]

    async def test_a_name_goes_into_the_host_header_though_the_call_goes_to_its_pin(self) -> None:
        gate = Gate([LOOPBACK], Answers(("127.0.0.1",)))
        async with serve(answer(OK)) as server, opened(gate) as upstreams:
            assert await post(upstreams, make_upstream(f"http://{HOST}:{server.port}")) == (200, b"ok")
            assert server.asked[0].header("host") == [f"{HOST}:{server.port}"]

    async def test_the_bank_bills_it_under_our_id_on_one_connection(self, shared_bank: Bank) -> None:
        async with opened() as upstreams:
            upstream = make_upstream(shared_bank.base_url)
            body = orjson.dumps({"model": "small", "messages": [{"role": "user", "content": "Hi"}]})
            await asyncio.to_thread(shared_bank.clear)
            for number in range(3):
                async with upstreams.post(upstream, ORG, "chat/completions", body, f"mine:{number}") as exchange:
                    assert exchange.status == 200
                    assert exchange.header("content-type") == "application/json"
                    assert orjson.loads(await exchange.read_whole())["usage"]["completion_tokens"] == 12
        calls = await asyncio.to_thread(shared_bank.calls_received)
        assert [call.header("x-client-request-id") for call in calls] == ["mine:0", "mine:1", "mine:2"]
        assert len({call.connection for call in calls}) == 1


class TestCredential:
    async def test_one_sealed_for_another_origin_goes_nowhere(self) -> None:
        with open_canary() as canary:
            async with opened() as upstreams:
                sealed = seal_for(f"http://127.0.0.1:{canary.port + 1}", CREDENTIAL)
                failure = await refusal(
                    upstreams, make_upstream(f"http://127.0.0.1:{canary.port}/v1", credential=sealed)
                )
            assert canary.arrivals() == 0
        assert failure.error.message == (
            "The upstream gpu cannot be used: The stored credential does not belong here: enter it again."
        )
        assert (failure.error.status, failure.error.error_code) == (502, "upstream_unusable")

    async def test_a_redirect_is_an_answer_and_takes_nothing_along(self) -> None:
        with open_canary() as canary:
            told = f"HTTP/1.1 307 Go\r\nlocation: http://127.0.0.1:{canary.port}/\r\ncontent-length: 0\r\n\r\n"
            async with serve(answer(told.encode())) as server, opened() as upstreams:
                url = f"http://127.0.0.1:{server.port}"
                upstream = make_upstream(url, credential=seal_for(url, CREDENTIAL))
                assert await post(upstreams, upstream) == (307, b"")
            assert canary.arrivals() == 0

    async def test_a_new_one_is_sent_from_the_next_call_on(self) -> None:
        async with serve(answer(OK)) as server, opened() as upstreams:
            url = f"http://127.0.0.1:{server.port}"
            for credential in ("sk-old", "sk-new"):
                await post(upstreams, make_upstream(url, credential=seal_for(url, credential)))
            assert [asked.header("authorization") for asked in server.asked] == [["Bearer sk-old"], ["Bearer sk-new"]]

    @pytest.mark.parametrize("status", [200, 400, 500])
    @pytest.mark.parametrize(
        "said",
        [
            f"wrong key: {CREDENTIAL}",
            f"wrong key: \\u0073{CREDENTIAL[1:]}",
            "x" * 1_990 + CREDENTIAL,
            f'{{"error": {{"code": "bad {CREDENTIAL[:-3]}", "param": "{CREDENTIAL}"}}}}',
        ],
    )
    async def test_one_that_is_quoted_back_is_hidden_before_anything_is_read(self, status: int, said: str) -> None:
        told = f"HTTP/1.1 {status} So\r\ncontent-length: {len(said)}\r\n\r\n{said}".encode()
        async with serve(answer(told)) as server, opened() as upstreams:
            url = f"http://127.0.0.1:{server.port}"
            code, raw = await post(upstreams, make_upstream(url, credential=seal_for(url, CREDENTIAL)))
        assert (code, b"[credential]" in raw) == (status, True)
        assert CREDENTIAL[:12].encode() not in raw
        assert CREDENTIAL[-12:].encode() not in raw

    async def test_nor_does_it_come_in_two_parts_of_a_stream(self) -> None:
        async def talk(caller: Caller) -> None:
            await caller.ask()
            await caller.say(b"HTTP/1.1 200 OK\r\n\r\ndata: my key is " + CREDENTIAL[:9].encode())
            await asyncio.sleep(0)
            await caller.say(CREDENTIAL[9:].encode() + b"\n\n")

        async with serve(talk) as server, opened() as upstreams:
            url = f"http://127.0.0.1:{server.port}"
            upstream = make_upstream(url, credential=seal_for(url, CREDENTIAL))
            parts = []
            async with upstreams.post(upstream, ORG, "chat/completions", b"{}", "call:1") as exchange:
                while (part := await exchange.read()) is not None:
                    parts.append(part)
        assert b"".join(parts) == b"data: my key is [credential]\n\n"

    async def test_a_cookie_never_comes_back(self) -> None:
        told = b"HTTP/1.1 200 OK\r\nset-cookie: tenant=acme\r\ncontent-length: 0\r\n\r\n"
        async with serve(answer(told)) as server, opened() as upstreams:
            upstream = make_upstream(f"http://127.0.0.1:{server.port}")
            for _ in range(2):
                await post(upstreams, upstream)
            assert len(server.asked) == 2
            assert "cookie" not in "".join(asked.head for asked in server.asked)


class TestNotTaken:
    """Said exactly when not a byte of the request has left: nobody can bill such a call."""

    async def test_nobody_listens(self) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            async with opened() as upstreams:
                failure = await refusal(upstreams, make_upstream(f"http://127.0.0.1:{taken.getsockname()[1]}"))
        assert (failure.error.message, failure.error.error_code, failure.error.status) == (
            "The upstream gpu cannot be reached.",
            "upstream_unreachable",
            502,
        )

    async def test_the_server_does_not_shake_hands(self, authority: Authority) -> None:
        async def talk(caller: Caller) -> None:
            await caller.reader.read(1)
            await caller.wait_gone()

        gate = Gate([LOOPBACK], Answers(("127.0.0.1",)), trusted_ca_pem=authority.pem)
        async with serve(talk) as server, opened(gate) as upstreams:
            upstream = make_upstream(f"https://{HOST}:{server.port}", connect_timeout_ms=100)
            assert (await refusal(upstreams, upstream)).error.error_code == "upstream_unreachable"
            await server.callers[0].has_gone.wait()

    async def test_the_server_speaks_plain_http_where_tls_was_asked_for(self) -> None:
        async def talk(caller: Caller) -> None:
            await caller.say(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        async with serve(talk) as server, opened(Gate([LOOPBACK], Answers(("127.0.0.1",)))) as upstreams:
            upstream = make_upstream(f"https://{HOST}:{server.port}")
            assert (await refusal(upstreams, upstream)).error.error_code == "upstream_unreachable"

    async def test_a_name_without_an_address(self) -> None:
        def know_nothing(host: str, port: int) -> tuple[str, ...]:
            raise socket.gaierror(-2, "Name or service not known")

        async with opened(Gate(resolver=know_nothing)) as upstreams:
            failure = await refusal(upstreams, make_upstream(f"https://{HOST}/v1"))
        assert failure.error.message == (
            f"The upstream gpu cannot be used: No address was found for {HOST}: check the host name."
        )


class TestBrokenOff:
    """Said of everything that happens once the request may have been read."""

    @pytest.mark.parametrize(
        "told",
        [
            b"",
            b"HTTP/1.1 200",
            b"SSH-2.0\r\n",
            b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nnonsense\r\n",
        ],
    )
    async def test_what_is_no_whole_answer(self, told: bytes) -> None:
        async with serve(answer_and_close(told)) as server, opened() as upstreams:
            failure = await breaking_off(upstreams, make_upstream(f"http://127.0.0.1:{server.port}"))
        assert (failure.error.message, failure.error.error_code, failure.error.status) == (
            "The upstream gpu broke off its answer.",
            "upstream_broke_off",
            502,
        )

    async def test_a_server_that_hangs_up_before_it_has_read_anything(self) -> None:
        async def talk(caller: Caller) -> None:
            """Accept, and go."""

        async with serve(talk) as server, opened() as upstreams:
            failure = await breaking_off(upstreams, make_upstream(f"http://127.0.0.1:{server.port}"))
        assert failure.error.error_code == "upstream_broke_off"

    @pytest.mark.parametrize("told", [b"", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf"])
    async def test_what_is_not_whole_in_time(self, told: bytes) -> None:
        async with serve(answer_and_stay(told)) as server, opened() as upstreams:
            upstream = make_upstream(f"http://127.0.0.1:{server.port}", timeout_ms=50)
            failure = await breaking_off(upstreams, upstream)
            await server.callers[0].has_gone.wait()
        assert (failure.error.message, failure.error.error_code, failure.error.status) == (
            "The upstream gpu did not answer in time.",
            "upstream_timeout",
            504,
        )

    @pytest.mark.parametrize(
        "fault", ["hang_up", "reset", "eof", "wrong_content_length"], ids=lambda fault: fault.replace("_", " ")
    )
    async def test_what_the_bank_does_wrong(self, shared_bank: Bank, fault: str) -> None:
        body = {
            "model": "small",
            "messages": [{"role": "user", "content": "Hi"}],
            "bank": {"fault": fault, **({"at_byte": 10} if fault in {"reset", "eof"} else {})},
        }
        async with opened() as upstreams:
            with pytest.raises(BrokenOff) as caught:
                await post(upstreams, make_upstream(shared_bank.base_url), orjson.dumps(body))
            assert caught.value.error.error_code == "upstream_broke_off"
            # The next call has a connection of its own and its own answer.
            del body["bank"]
            status, raw = await post(upstreams, make_upstream(shared_bank.base_url), orjson.dumps(body))
            assert (status, orjson.loads(raw)["model"]) == (200, "small")


class TestAnswer:
    @pytest.mark.parametrize("length", [1, 65_536, 65_537, 400_000])
    async def test_it_is_read_to_its_limit_and_no_further(self, length: int) -> None:
        told = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (length, b"x" * length)
        async with serve(answer(told)) as server, opened() as upstreams:
            upstream = make_upstream(f"http://127.0.0.1:{server.port}")
            async with upstreams.post(upstream, ORG, "x", b"{}", "id") as exchange:
                assert await exchange.read_whole(length) == b"x" * length
            async with upstreams.post(upstream, ORG, "x", b"{}", "id") as exchange:
                with pytest.raises(AnswerTooLong):
                    await exchange.read_whole(length - 1)

    async def test_an_empty_one(self) -> None:
        async with serve(answer(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")) as server, opened() as upstreams:
            assert await post(upstreams, make_upstream(f"http://127.0.0.1:{server.port}")) == (200, b"")

    async def test_a_gzip_bomb_stays_folded(self) -> None:
        bomb = gzip.compress(bytes(16 * 1024 * 1024))
        told = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\ncontent-length: %d\r\n\r\n%b" % (len(bomb), bomb)
        async with serve(answer(told)) as server, opened() as upstreams:
            upstream = make_upstream(f"http://127.0.0.1:{server.port}")
            async with upstreams.post(upstream, ORG, "x", b"{}", "id") as exchange:
                assert exchange.header("content-encoding") == "gzip"
                assert await exchange.read_whole() == bomb

    @pytest.mark.parametrize("told", [b"", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n"])
    async def test_whoever_is_cancelled_hangs_up_at_once(self, told: bytes) -> None:
        async with serve(answer_and_stay(told)) as server, opened() as upstreams:
            calling = asyncio.create_task(post(upstreams, make_upstream(f"http://127.0.0.1:{server.port}")))
            await server.arrived.wait()
            await server.callers[0].has_asked.wait()
            for _ in range(20):
                await asyncio.sleep(0)
            calling.cancel()
            with pytest.raises(asyncio.CancelledError):
                await calling
            await server.callers[0].has_gone.wait()

    async def test_whoever_leaves_in_the_middle_hangs_up_at_once(self) -> None:
        told = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf"
        async with serve(answer_and_stay(told)) as server, opened() as upstreams:
            upstream = make_upstream(f"http://127.0.0.1:{server.port}")
            async with upstreams.post(upstream, ORG, "x", b"{}", "id") as exchange:
                assert await exchange.read() == b"half"
            await server.callers[0].has_gone.wait()


@pytest.mark.allow_hosts(["127.0.0.1", "127.0.0.2"])
class TestAddresses:
    async def test_the_next_one_is_taken_when_one_is_dead_by_however_many_callers_that_is_found(self) -> None:
        resolver = Answers(("127.0.0.1", "127.0.0.2"))
        async with AsyncExitStack() as stack:
            port = stack.enter_context(dead_port())
            server = await stack.enter_async_context(serve(answer(OK), host="127.0.0.2", port=port))
            upstreams = await stack.enter_async_context(opened(Gate([LOOPBACK], resolver)))
            upstream = make_upstream(f"http://{HOST}:{port}")
            failures = await asyncio.gather(*(refusal(upstreams, upstream) for _ in range(4)))
            assert {failure.error.error_code for failure in failures} == {"upstream_unreachable"}
            assert [await post(upstreams, upstream) for _ in range(3)] == [(200, b"ok")] * 3
            assert len(server.callers) == 1
        assert len(resolver.asked) == 1

    async def test_behind_the_last_comes_the_first(self) -> None:
        resolver = Answers(("127.0.0.1", "127.0.0.2"))
        async with opened(Gate([LOOPBACK], resolver)) as upstreams:
            with dead_port() as port:
                async with serve(answer(OK), host="127.0.0.2", port=port):
                    upstream = make_upstream(f"http://{HOST}:{port}")
                    await refusal(upstreams, upstream)
                    assert await post(upstreams, upstream) == (200, b"ok")
            # Its server is gone, and its resting connection with it.
            async with serve(answer(OK), port=port) as first:
                await refusal(upstreams, upstream)
                assert await post(upstreams, upstream) == (200, b"ok")
                assert len(first.callers) == 1

    async def test_within_a_minute_a_name_is_not_asked_for_again(self) -> None:
        resolver = Answers(("127.0.0.1",), ("10.0.0.1",))
        async with serve(answer(OK)) as server, opened(Gate([LOOPBACK], resolver)) as upstreams:
            upstream = make_upstream(f"http://{HOST}:{server.port}")
            assert [await post(upstreams, upstream) for _ in range(3)] == [(200, b"ok")] * 3
            assert resolver.asked == [(HOST, server.port)]

    async def test_after_it_a_name_that_rebinds_is_refused_and_nobody_called(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        resolver = Answers(("127.0.0.1",), ("127.0.0.2",), ("169.254.169.254",))
        only_first = Gate([(ipaddress.ip_network("127.0.0.1"), None)], resolver)
        async with serve(answer(OK)) as server, opened(only_first) as upstreams:
            with open_canary("127.0.0.2", server.port) as canary:
                upstream = make_upstream(f"http://{HOST}:{server.port}")
                assert await post(upstreams, upstream) == (200, b"ok")
                monkeypatch.setattr(transport, "PINNED_FOR_SECONDS", 0)
                for _ in range(2):
                    failure = await refusal(upstreams, upstream)
                    assert failure.error.message == (
                        f"The upstream gpu cannot be used: {HOST} leads to an address that may not be called from here. If "
                        "it is a server of your own, ask the operator to add its network to COSTHUB_ALLOWED_NETWORKS."
                    )
                    assert failure.error.error_code == "upstream_unusable"
                assert canary.arrivals() == 0
            assert len(server.asked) == 1
        assert len(resolver.asked) == 3

    async def test_after_it_the_same_addresses_keep_their_connections(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(transport, "PINNED_FOR_SECONDS", 0)
        resolver = Answers(("127.0.0.1",))
        async with serve(answer(OK)) as server, opened(Gate([LOOPBACK], resolver)) as upstreams:
            upstream = make_upstream(f"http://{HOST}:{server.port}")
            for _ in range(3):
                assert await post(upstreams, upstream) == (200, b"ok")
            assert len(server.callers) == 1
        assert len(resolver.asked) == 3

    async def test_after_it_other_addresses_are_called_and_the_old_connections_closed(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(transport, "PINNED_FOR_SECONDS", 0)
        resolver = Answers(("127.0.0.1",), ("127.0.0.2",))
        async with (
            serve(answer(OK)) as old,
            serve(answer(OK), host="127.0.0.2", port=old.port) as new,
            opened(Gate([LOOPBACK], resolver)) as upstreams,
        ):
            upstream = make_upstream(f"http://{HOST}:{old.port}")
            for _ in range(2):
                assert await post(upstreams, upstream) == (200, b"ok")
            assert [len(server.asked) for server in (old, new)] == [1, 1]
            await old.callers[0].has_gone.wait()

    async def test_a_snapshot_that_says_the_same_keeps_the_connections(self) -> None:
        resolver = Answers(("127.0.0.1",))
        async with serve(answer(OK)) as server, opened(Gate([LOOPBACK], resolver)) as upstreams:
            upstream = make_upstream(f"http://{HOST}:{server.port}")
            for snapshot in (upstream, replace(upstream), replace(upstream)):
                assert await post(upstreams, snapshot) == (200, b"ok")
            assert len(server.callers) == 1


class SlowNames:
    """A DNS server that answers when it is told to."""

    def __init__(self) -> None:
        self.asked = 0
        self.is_asked = threading.Event()
        self.may_answer = threading.Event()

    def __call__(self, host: str, port: int) -> tuple[str, ...]:
        self.asked += 1
        self.is_asked.set()
        self.may_answer.wait(PATIENCE_SECONDS)
        return ("127.0.0.1",)


class TestLookUps:
    async def test_all_who_wait_share_one(self) -> None:
        names = SlowNames()
        async with serve(answer(OK)) as server, opened(Gate([LOOPBACK], names)) as upstreams:
            upstream = make_upstream(f"http://{HOST}:{server.port}")
            calling = [asyncio.create_task(post(upstreams, upstream)) for _ in range(10)]
            await asyncio.to_thread(names.is_asked.wait)
            names.may_answer.set()
            assert await asyncio.gather(*calling) == [(200, b"ok")] * 10
            # All their connections are of one pool, so that all of them are found again.
            connections = len(server.callers)
            assert (
                await asyncio.gather(*(post(upstreams, upstream) for _ in range(connections)))
                == [(200, b"ok")] * connections
            )
            assert len(server.callers) == connections
        assert names.asked == 1

    async def test_whoever_leaves_meanwhile_does_not_spoil_it_for_the_others(self) -> None:
        names = SlowNames()
        async with serve(answer(OK)) as server, opened(Gate([LOOPBACK], names)) as upstreams:
            upstream = make_upstream(f"http://{HOST}:{server.port}")
            leaving, staying = (asyncio.create_task(post(upstreams, upstream)) for _ in range(2))
            await asyncio.to_thread(names.is_asked.wait)
            leaving.cancel()
            with pytest.raises(asyncio.CancelledError):
                await leaving
            names.may_answer.set()
            assert await staying == (200, b"ok")
        assert names.asked == 1

    async def test_a_failed_one_is_tried_again_by_the_next_call(self) -> None:
        resolver = Answers((), ("127.0.0.1",))
        async with serve(answer(OK)) as server, opened(Gate([LOOPBACK], resolver)) as upstreams:
            upstream = make_upstream(f"http://{HOST}:{server.port}")
            assert (await refusal(upstreams, upstream)).error.error_code == "upstream_unusable"
            assert await post(upstreams, upstream) == (200, b"ok")

    async def test_each_who_waits_for_one_that_fails_hands_on_an_error_of_its_own(self) -> None:
        names = SlowNames()
        async with opened(Gate(resolver=names)) as upstreams:
            upstream = make_upstream(f"https://{HOST}/v1")
            calling = [asyncio.create_task(refusal(upstreams, upstream)) for _ in range(3)]
            await asyncio.to_thread(names.is_asked.wait)
            names.may_answer.set()
            errors = [failure.hand_over() for failure in await asyncio.gather(*calling)]
        assert names.asked == 1
        assert [(error.status, error.error_code) for error in errors] == [(502, "upstream_unusable")] * 3
        assert len({id(error) for error in errors}) == 3

    async def test_an_upstream_that_changes_meanwhile_has_one_of_its_own(self) -> None:
        names = SlowNames()
        async with serve(answer(OK)) as old, serve(answer(OK)) as new, opened(Gate([LOOPBACK], names)) as upstreams:
            upstream = make_upstream(f"http://{HOST}:{old.port}")
            calling_old = asyncio.create_task(post(upstreams, upstream))
            await asyncio.to_thread(names.is_asked.wait)
            moved = replace(upstream, base_url=f"http://{HOST}:{new.port}")
            calling_new = asyncio.create_task(post(upstreams, moved))
            for _ in range(5):
                await asyncio.sleep(0)
            names.may_answer.set()
            assert [await calling_old, await calling_new] == [(200, b"ok")] * 2
            assert [len(server.asked) for server in (old, new)] == [1, 1]


class TestTls:
    """The certificate is checked against the name in the URL, though the connection goes to an address."""

    @staticmethod
    def gate(authority: Authority | None) -> Gate:
        return Gate([LOOPBACK], Answers(("127.0.0.1",)), trusted_ca_pem=authority.pem if authority else None)

    async def test_the_right_name_under_a_private_authority(self, authority: Authority) -> None:
        async with (
            serve(answer(OK), tls=authority.serve_as(HOST)) as server,
            opened(self.gate(authority)) as upstreams,
        ):
            upstream = make_upstream(f"https://{HOST}:{server.port}/v1")
            assert [await post(upstreams, upstream) for _ in range(3)] == [(200, b"ok")] * 3
            assert len(server.callers) == 1

    async def test_a_large_request_and_a_large_answer(self, authority: Authority) -> None:
        body = bytes(range(256)) * 20_000
        told = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
        async with (
            serve(answer(told), tls=authority.serve_as(HOST)) as server,
            opened(self.gate(authority)) as upstreams,
        ):
            upstream = make_upstream(f"https://{HOST}:{server.port}")
            assert await post(upstreams, upstream, body) == (200, body)
            assert server.asked[0].body == body

    @pytest.mark.parametrize(
        ("served_as", "valid_for", "is_trusted"),
        [
            ("llm.mallcorp.example", timedelta(days=1), True),
            (HOST, -timedelta(seconds=1), True),
            (HOST, timedelta(days=1), False),
        ],
        ids=["another name", "expired", "an unknown authority"],
    )
    async def test_a_certificate_that_proves_nothing_gets_no_request(
        self, authority: Authority, served_as: str, valid_for: timedelta, is_trusted: bool
    ) -> None:
        tls = authority.serve_as(served_as, valid_for=valid_for)
        async with (
            serve(answer(OK), tls=tls) as server,
            opened(self.gate(authority if is_trusted else None)) as upstreams,
        ):
            url = f"https://{HOST}:{server.port}"
            upstream = make_upstream(url, credential=seal_for(url, CREDENTIAL))
            assert (await refusal(upstreams, upstream)).error.error_code == "upstream_unreachable"
            assert server.asked == []
