"""No tenant's word leads anywhere but to the open internet: by no field that takes an address, in no spelling.

``tests/lib/test_net.py`` proves the gate; here it is proved that there is no way past it: which modules may open a
connection at all is a table, and every field that takes an address is given every hostile one.
"""

import ast
import asyncio
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from datetime import date
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Final

import pytest
from django.db import transaction
from dns.rdatatype import RdataType
from dns.resolver import Resolver
from pytest_django.fixtures import Settings

from billing.alerts.actions.channels import create_channel
from billing.bills.provider import Provider
from billing.choices import ChannelKind
from billing.invoices.actions.packs import _put
from billing.invoices.core.s3 import Bucket
from costhub.lib.errors import AppError
from costhub.lib.net import BlockedAddress, gate_from_settings
from tenants.access import org_scope
from tenants.accounts.outbound import make_session
from tenants.actions.endpoints import register_endpoint
from tenants.actions.sign_on import claim_domain, create_sign_on, verify_domain
from tenants.actions.upstreams import create_upstream, update_upstream
from tenants.choices import Role, SignOnKind, UpstreamKind
from tenants.models import Upstream
from tests.lib.name_server import serve_names
from tests.lib.net_canary import Canary, open_canary
from tests.lib.net_hostile import HOSTILE, resolve_hostile
from tests.proxy.upstreams.hot_path import call_once
from tests.sampling import part
from tests.world import Tenant, World, make_catalog

DAY, NEXT_DAY = date(2026, 11, 1), date(2026, 11, 2)
ROOT: Final = Path(__file__).resolve().parents[2]
#: libraries that speak to others. PostgreSQL's, Valkey's and Celery's know the operator's servers alone
LIBRARIES: Final = frozenset(
    "aiohttp boto3 botocore dns ftplib http.client httpx httpx2 imaplib obstore paramiko poplib pycurl requests smtplib"
    " socket ssl stripe telnetlib urllib.request urllib3 websocket websockets xmlrpc".split()
)
#: methods that open a connection or ask for an address, whoever has them
METHODS: Final = frozenset(
    "create_connection create_datagram_endpoint getaddrinfo gethostbyname open_connection urlopen".split()
)

GATE: Final = "through the gate"
OPERATOR: Final = "an address of the operator's, in which no tenant has a word"
NAMES: Final = "its exceptions and constants"
#: every module that may, and by which right
MAY: Final = {
    "billing.alerts.channels.mail": NAMES,
    "billing.invoices.actions.mails": NAMES,
    "billing.invoices.actions.webhooks": NAMES,
    "billing.invoices.stripe_client": GATE,
    "costhub.client.admin": OPERATOR,
    "costhub.client.serving_worker": OPERATOR,
    "costhub.console.batch_files": GATE,
    "costhub.console.single_sign_on": NAMES,
    "costhub.eval.distil": OPERATOR,
    "costhub.lib.blocking_http": GATE,
    "costhub.lib.broker": NAMES,
    "costhub.lib.instance_metadata": OPERATOR,
    "costhub.lib.net": GATE,
    "costhub.lib.objects": OPERATOR,
    "costhub.lib.text_records": OPERATOR,
    "costhub.lib.valkey_url": NAMES,
    "costhub.ops.doctor": OPERATOR,
    "costhub.ops.export": OPERATOR,
    "costhub.ops.watch": NAMES,
    "costhub.serve.runner": OPERATOR,
    "costhub.stack.backup.store": OPERATOR,
    "costhub.stack.model_server": OPERATOR,
    "costhub.stack.ports": OPERATOR,
    "proxy.batches.remote_api": GATE,
    "proxy.edges.valkey_dial": OPERATOR,
    "proxy.learning.checkpoints": OPERATOR,
    "proxy.learning.gpu_worker": NAMES,
    "proxy.learning.lora.serving": OPERATOR,
    "proxy.learning.lora.tuned_server": NAMES,
    "proxy.telemetry.export": OPERATOR,
    "proxy.upstreams.http1": GATE,
    "tenants.accounts.outbound": GATE,
    "tenants.accounts.sign_on": NAMES,
    "tenants.mails": NAMES,
}


@cache
def modules() -> tuple[tuple[str, ast.Module], ...]:
    """Every module of ours, read; generated ones are checked where they are generated."""
    return tuple(_read_modules())


def _read_modules() -> Iterator[tuple[str, ast.Module]]:
    for app in ("costhub", "tenants", "proxy", "billing"):
        for path in sorted((ROOT / app).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            if "generated" not in name:
                yield name, ast.parse(path.read_text())


def imported(tree: ast.Module) -> set[str]:
    """The names of modules, and of what is taken out of them."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def opens(tree: ast.Module) -> bool:
    """Whether a module could reach somebody."""
    names = imported(tree)
    has_library = any(name == library or name.startswith(f"{library}.") for name in names for library in LIBRARIES)
    return has_library or any(isinstance(node, ast.Attribute) and node.attr in METHODS for node in ast.walk(tree))


def test_no_other_module_can_reach_anybody() -> None:
    """A new one belongs in the table, with the right by which it may."""
    assert {name for name, tree in modules() if opens(tree)} == set(MAY)


def test_the_search_finds_what_would_be_new() -> None:
    for text in (
        "import socket",
        "from urllib.request import urlopen",
        "import httpx2 as x",
        "loop.create_connection(1)",
    ):
        assert opens(ast.parse(text)), text
    assert not opens(ast.parse("from http import HTTPStatus\nfrom urllib.parse import quote"))


@pytest.fixture(scope="module")
def canaries() -> Iterator[list[Canary]]:
    """Where a hostile address of this machine could come out."""
    with ExitStack() as opened:
        first = opened.enter_context(open_canary("0.0.0.0"))
        yield [first, opened.enter_context(open_canary("::1", first.port))]


@pytest.fixture
def strange_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine's resolver is that of somebody who means harm."""

    def answer(host: str, port: int, **_: Any) -> list[tuple[Any, ...]]:
        return [(0, 0, 0, "", (address, port)) for address in resolve_hostile(host, port)]

    monkeypatch.setattr(socket, "getaddrinfo", answer)


Way = Callable[[Tenant, Upstream, str], object]


def _call(url: str) -> None:
    """A call of the hot path: a name is vetted whenever it is called, not when it is typed."""
    asyncio.run(call_once(gate_from_settings(), url))


def _discover(url: str) -> None:
    with make_session() as session:
        session.get(url, timeout=5, allow_redirects=True)


def _create(acme: Tenant, _: Upstream, url: str) -> None:
    create_upstream(
        actor=acme.owner, name="x", kind=UpstreamKind.OPENAI_COMPATIBLE, base_url=url, credential="sk-0123456789"
    )
    _call(url)


def _move(acme: Tenant, upstream: Upstream, url: str) -> None:
    update_upstream(actor=acme.owner, upstream=upstream, base_url=url, credential="sk-0123456789")
    _call(url)


def _register(acme: Tenant, upstream: Upstream, url: str) -> None:
    register_endpoint(actor=acme.owner, upstream=upstream, base_url=url)
    _call(url)


def _sign_on(acme: Tenant, _: Upstream, url: str) -> None:
    made = create_sign_on(
        actor=acme.owner,
        name="x",
        kind=SignOnKind.OIDC,
        role=Role.VIEWER,
        issuer=url,
        client_id="costhub",
        client_secret="secret",
    )
    _discover(f"{made.issuer}/.well-known/openid-configuration")


def _hook(kind: ChannelKind) -> Way:
    """A channel's address is vetted when it is typed, and whenever it is called."""
    return lambda acme, _, url: create_channel(actor=acme.owner, kind=kind, name="x", url=url)


WAYS: Final[dict[str, Way]] = {
    "a new upstream": _create,
    "an upstream that moves": _move,
    "an endpoint": _register,
    "a webhook": _hook(ChannelKind.WEBHOOK),
    "Slack": _hook(ChannelKind.SLACK),
    "an identity provider": _sign_on,
    "what a provider's document names": lambda acme, _, url: _discover(url),
    "a provider's bills": lambda acme, _, url: Provider(gate_from_settings(), url, "sk-admin").read_bill(DAY, NEXT_DAY),
    "a bucket for a month's papers": lambda acme, _, url: _put(
        Bucket(url, "eu-central-1", "AKIA", "secret"), "x.zip", b"x"
    ),
    "Stripe": lambda acme, _, url: gate_from_settings().fetch_now("POST", url, content=b"a=b", timeout_seconds=5),
}


def test_the_operators_stores_are_named_by_no_tenant() -> None:
    """S3, and folders: their addresses are settings, and go no other way than that."""
    opened = {
        ast.unparse(node.args[0])
        for name, tree in modules()
        if name != "costhub.lib.objects"
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in {"Objects", "open_store"}
    }
    assert opened == {
        "settings.FILES_URL",
        "settings.CHECKPOINTS_URL",
        # what these two are given is one of the settings, or what the operator typed
        "url",
    }


class Rebinding:
    """A name that is a harmless server when it is first asked for, and one of the inside from then on."""

    def __init__(self, first: str, later: str) -> None:
        self.first, self.later = first, later
        self.asked = 0

    def __call__(self, name: str, kind: RdataType) -> Sequence[str]:
        if kind != RdataType.A:
            return ()
        self.asked += 1
        return [self.first if self.asked == 1 else self.later]


class Harmless(BaseHTTPRequestHandler):
    """Answers everything with an empty object."""

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def do_POST(self) -> None:
        self.do_GET()

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Nothing."""


@pytest.fixture
def harmless() -> Iterator[int]:
    """The port of a server at 127.0.0.1, which the operator allows here: as good as one of the open internet."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Harmless)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server.server_port
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize("way", WAYS)
def test_a_name_that_rebinds_leads_nobody_inside(
    world: World, harmless: int, monkeypatch: pytest.MonkeyPatch, settings: Settings, way: str
) -> None:
    """By a name server of its owner's, whose answers are good for no longer than a moment: each connection goes to what
    was vetted for it."""
    upstream = _make_upstream(world)
    settings.ALLOWED_PRIVATE_NETWORKS = ((ip_network("127.0.0.1"), None),)
    names = Rebinding("127.0.0.1", "127.0.0.2")
    with open_canary("127.0.0.2", harmless) as canary, serve_names(names) as (address, port):
        resolver = Resolver(configure=False)
        resolver.nameservers, resolver.port = [address], port

        def resolve(host: str, port: int, **_: Any) -> list[tuple[Any, ...]]:
            if host[0].isdigit():
                return [(0, 0, 0, "", (host, port))]
            found = resolver.resolve(host, "A")
            return [(0, 0, 0, "", (each.address, port)) for each in found]

        monkeypatch.setattr(socket, "getaddrinfo", resolve)
        refused = 0
        for _ in range(3):
            try:
                with org_scope(world.acme.org.pk), transaction.atomic():
                    WAYS[way](world.acme, upstream, f"http://rebind.example:{harmless}/v1")
                    transaction.set_rollback(True)
            except (AppError, OSError, ValueError) as error:
                # django-allauth hears of it from the library that it calls with.
                refused += isinstance(error, BlockedAddress) or isinstance(error.__cause__, BlockedAddress)
        assert canary.arrivals() == 0
    assert names.asked >= 3, "nothing is remembered of a name"
    assert refused >= 2


@pytest.mark.sampled
@pytest.mark.parametrize("way", WAYS)
def test_no_field_leads_inside(world: World, canaries: list[Canary], strange_names: None, way: str) -> None:
    upstream, reached = _make_upstream(world), []
    with org_scope(world.acme.org.pk):
        for url, _ in part(HOSTILE, list(WAYS).index(way)):
            address = url.replace("{port}", str(canaries[0].port))
            try:
                with transaction.atomic():
                    WAYS[way](world.acme, upstream, address)
                    reached.append(address)
                    transaction.set_rollback(True)
            except (AppError, OSError, ValueError):  # what `requests` raises is one of the latter two
                continue
    # A webhook or a provider's address may have a query, which a base URL may not.
    assert [url for url in reached if "?" not in url] == []
    assert [canary.arrivals() for canary in canaries] == [0, 0]


def _make_upstream(world: World) -> Upstream:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(socket, "getaddrinfo", lambda host, port, **_: [(0, 0, 0, "", ("1.1.1.1", port))])
        return make_catalog(world.acme).upstream


@pytest.mark.parametrize(
    "name",
    [
        "localhost",
        "loopback.test",
        "metadata.test",
        "mixed.test",
        "127.0.0.1",
        "2130706433",
        "[::1]",
        "a.test/x",
        "a@b",
    ],
)
def test_a_domain_that_is_claimed_leads_nowhere_inside(
    world: World, canaries: list[Canary], strange_names: None, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr("tenants.actions.sign_on.find_text_records", lambda name: [])
    with org_scope(world.acme.org.pk), pytest.raises(AppError):
        verify_domain(actor=world.acme.owner, claim=claim_domain(actor=world.acme.owner, name=name))
    assert [canary.arrivals() for canary in canaries] == [0, 0]


def test_there_are_as_many_spellings_as_we_say() -> None:
    assert len({url for url, _ in HOSTILE}) == len(HOSTILE) >= 300
