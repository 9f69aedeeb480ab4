"""A server that is told to stop: what is under way ends, for as long as COSTHUB_DRAIN_SECONDS says, and nobody new
comes in."""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from proxy.models import LedgerEntry
from proxy.tasks import drain_ledger
from tenants.access import org_scope
from tests.patience import PATIENCE_SECONDS
from tests.proxy.deployment import NO_TLS, Deployment, deploy
from tests.proxy.scripted_upstream import DONE, USAGE, Json, chunk, scripted, stream
from tests.world import Tenant, World, make_catalog


class HeldUpstream:
    """Begins a stream, and ends it when the test says so."""

    def __init__(self) -> None:
        self.release = threading.Event()

    def __call__(self, body: Json) -> Iterator[bytes]:
        """The script of an upstream."""
        last = chunk({}, "stop"), chunk(usage=USAGE), DONE
        first, *rest = stream(chunk({"role": "assistant", "content": "Once"}), *last)
        yield first + rest.pop(0)
        self.release.wait(PATIENCE_SECONDS)
        yield from rest


@pytest.fixture
def held() -> HeldUpstream:
    return HeldUpstream()


@pytest.fixture
def acme(committed_world: World, held: HeldUpstream) -> Iterator[Tenant]:
    with scripted(held) as upstream:
        make_catalog(committed_world.acme, base_url=upstream.base_url)
        yield committed_world.acme
        held.release.set()


def call(http: httpx2.Client, proxy: Deployment, acme: Tenant) -> httpx2.Request:
    body = {"model": "small", "stream": True, "messages": [{"role": "user", "content": "A tale, please."}]}
    headers = {"authorization": f"Bearer {acme.api_key}"}
    return http.build_request("POST", f"{proxy.base_url}/chat/completions", json=body, headers=headers)


def wait_until_nobody_listens(port: int) -> None:
    """Whoever connects is refused at once, and does not wait for an answer that never comes."""
    pause = threading.Event()
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
        except ConnectionRefusedError:
            return
        pause.wait(0.02)


def read_row(acme: Tenant) -> LedgerEntry:
    drain_ledger()
    with org_scope(acme.org_id):
        return LedgerEntry.objects.get()


def test_a_stream_that_takes_longer_ends_whole(acme: Tenant, held: HeldUpstream, tmp_path: Path) -> None:
    with (
        deploy(tmp_path, workers=2, COSTHUB_DRAIN_SECONDS="60") as proxy,
        httpx2.Client(trust_env=False, verify=NO_TLS, timeout=PATIENCE_SECONDS) as http,
    ):
        answer = http.send(call(http, proxy, acme), stream=True)
        lines = answer.iter_lines()
        assert "Once" in next(lines)
        proxy._process.terminate()
        wait_until_nobody_listens(proxy.port)
        assert proxy._process.poll() is None
        held.release.set()
        assert [line for line in lines if line.startswith("data: ")][-1] == "data: [DONE]"
        assert proxy._process.wait(timeout=PATIENCE_SECONDS) == 0
    row = read_row(acme)
    assert (row.status, row.error_code, row.is_estimated) == (200, "", False)


def test_one_that_takes_too_long_is_cut_off_and_paid_for(acme: Tenant, tmp_path: Path) -> None:
    with (
        deploy(tmp_path, COSTHUB_DRAIN_SECONDS="1") as proxy,
        httpx2.Client(trust_env=False, verify=NO_TLS, timeout=PATIENCE_SECONDS) as http,
    ):
        answer = http.send(call(http, proxy, acme), stream=True)
        lines = answer.iter_lines()
        assert "Once" in next(lines)
        assert proxy.terminate() == 0
        with pytest.raises(httpx2.RemoteProtocolError):
            list(lines)
    row = read_row(acme)
    assert (row.error_code, row.is_estimated) == ("client_disconnected", True)
    assert row.effective_cost > 0
