"""Bad input, against a real proxy on a real port with the bank behind it.

After every case: the exact status, OpenAI's error shape, no secret and no traceback in the answer or the log, no hold
left behind, the ledger rows that the contract promises, and nothing at the bank.
"""

import gzip
import json
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from ipaddress import ip_network
from typing import Any, Final

import pytest
from django.conf import settings
from django.db import connections
from django.test import override_settings
from pytest_django.plugin import DjangoDbBlocker

from costhub.lib import clock
from costhub.lib.secrets import API_KEY, make_secret
from proxy.models import LedgerEntry
from proxy.tasks import drain_ledger
from tenants.access import org_scope
from tenants.actions.end_users import create_end_user
from tenants.actions.keys import create_key, revoke_key
from tenants.actions.models import create_model
from tenants.actions.pricing import create_price
from tenants.models import ApiKey
from tests.bank import Bank
from tests.patience import wait_until
from tests.proxy.books import open_holds
from tests.proxy.deployment import Deployment, deploy
from tests.proxy.raw_http import Answer, Header, connect, exchange, make_chunk, make_request, read_answer
from tests.world import Tenant, World, make_budget, make_catalog, make_world

MAX_BODY_BYTES: Final = 1_000_000
CREDENTIAL: Final = "sk-acme-0123456789abcdefgh"
CHAT: Final = "/v1/chat/completions"
COMPLETIONS: Final = "/v1/completions"
EMBEDDINGS: Final = "/v1/embeddings"
MESSAGES: Final = [{"role": "user", "content": "Hi there"}]


def body_of(**fields: Any) -> bytes:
    return json.dumps({"model": "small", "messages": MESSAGES, **fields}).encode()


GOOD: Final = body_of()

LetPass = Callable[[int], None]


@dataclass(frozen=True)
class House:
    """The proxy, the bank, and Acme with keys good and bad; Mallcorp has spent its budget."""

    proxy: Deployment
    bank: Bank
    world: World
    keys: dict[str, str]

    @property
    def acme(self) -> Tenant:
        return self.world.acme

    def ask(
        self,
        body: bytes = GOOD,
        *,
        path: str = CHAT,
        method: str = "POST",
        headers: list[Header] | None = None,
        key: str | None = "good",
        content_type: str = "application/json",
    ) -> Answer:
        """One call; ``key`` None sends none, ``headers`` are added."""
        sent: list[Header] = [("content-type", content_type), ("content-length", str(len(body))), *(headers or [])]
        if key is not None:
            sent.append(("authorization", f"Bearer {self.keys[key]}"))
        return exchange(self.proxy.port, make_request(method, path, sent, body), method)

    def rows(self, tenant: Tenant, **query: Any) -> list[LedgerEntry]:
        """The tenant's ledger once everything that the worker has posted is in it.

        The worker has one connection to Valkey: an answer about budgets comes after everything that it sent before.
        """
        key = "good" if tenant is self.acme else "spent"

        def is_settled() -> bool:
            budget = self.ask(b"", path="/v1/costhub/budget", method="GET", key=key)
            return [one["held"] for one in budget.json["budgets"]] == ["0.000000000"] and not open_holds(tenant.org)

        wait_until(is_settled)
        drain_ledger()
        with org_scope(tenant.org_id):
            return list(LedgerEntry.objects.filter(org_id=tenant.org_id, **query))

    def await_row(self, request_id: str) -> LedgerEntry:
        """The row of a call that was answered: what it posts last may come after the answer's last byte."""
        wait_until(lambda: bool(self.rows(self.acme, id=request_id)))
        (row,) = self.rows(self.acme, id=request_id)
        return row

    def await_new_row(self, known: set[object]) -> LedgerEntry:
        """The one row that was not there before."""
        for _ in range(1_000):
            if rows := [row for row in self.rows(self.acme) if row.pk not in known]:
                (row,) = rows
                return row
        raise AssertionError("there is no new row")


@pytest.fixture(scope="module")
def house(
    django_db_setup: None, django_db_blocker: DjangoDbBlocker, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[House]:
    directory = tmp_path_factory.mktemp("bad-input")
    bank = Bank.start(directory)
    try:
        with django_db_blocker.unblock():
            with override_settings(ALLOWED_PRIVATE_NETWORKS=((ip_network("127.0.0.0/8"), None),)):
                world, keys = furnish(bank.base_url)
            with deploy(directory, COSTHUB_MAX_BODY_BYTES=str(MAX_BODY_BYTES)) as proxy:
                yield House(proxy, bank, world, keys)
            connections.close_all()
    finally:
        bank.stop()


def furnish(base_url: str) -> tuple[World, dict[str, str]]:
    """Models with and without a price of now, and keys of every kind."""
    world = make_world(unique=True)
    acme, owner = world.acme, world.acme.owner
    catalog = make_catalog(acme, base_url=base_url, credential=CREDENTIAL)
    make_budget(acme, "10.00")
    with org_scope(acme.org.pk):
        create_model(actor=owner, name="unpriced", upstream=catalog.upstream)
        future = create_model(actor=owner, name="future", upstream=catalog.upstream)
        create_price(
            actor=owner,
            model=future,
            input_per_million=Decimal(1),
            output_per_million=Decimal(1),
            effective_from=clock.now() + timedelta(days=1),
        )
        create_end_user(actor=owner, external_id="mallory", is_blocked=True)
        revoked = create_key(actor=owner, name="revoked")
        revoke_key(actor=owner, key=revoked.key)
        expired = create_key(actor=owner, name="expired", expires_at=clock.now() + timedelta(days=1))
        ApiKey.objects.filter(pk=expired.key.pk).update(expires_at=datetime(2026, 1, 1, tzinfo=UTC))
        limited = create_key(actor=owner, name="limited", models=["future"])
    make_catalog(world.mallcorp, base_url=base_url)
    make_budget(world.mallcorp, "0.000000001")
    good = acme.api_key
    return world, {
        "good": good,
        "spent": world.mallcorp.api_key,
        "unknown": make_secret(API_KEY, settings.KEY_PEPPER).text,
        "mistyped": good[:-1] + ("x" if good[-1] != "x" else "y"),
        "short": good[:-1],
        "token": acme.admin_token,
        "revoked": revoked.secret,
        "expired": expired.secret,
        "limited": limited.secret,
        "not ascii": "chk_\u00e9\u00e9\u00e9",
    }


@pytest.fixture(autouse=True)
def let_pass(house: House) -> Iterator[LetPass]:
    """Nothing may reach the bank, but so many calls as a test says. And no secret and no traceback is ever in the
    log."""
    before, allowed = len(house.bank.bill()), 0

    def allow(calls: int) -> None:
        nonlocal allowed
        allowed = calls

    yield allow
    house.bank.wait_quiet()
    house.bank.clear()
    assert len(house.bank.bill()) - before == allowed
    log = house.proxy.log.read_text()
    assert "Traceback" not in log
    assert "exception" not in log
    assert CREDENTIAL not in log
    assert not any(secret in log for secret in house.keys.values())


def check(house: House, answer: Answer, status: int, code: str, param: str | None = None, kind: str = "") -> None:
    """An error in OpenAI's shape, without anything that it should not tell."""
    assert answer.status == status, answer.body
    assert answer.headers["content-type"] == "application/json"
    error = answer.error
    assert {"message", "type", "param", "code", "request_id"} <= set(error)
    assert (error["code"], error["param"]) == (code, param)
    assert error["type"] == (kind or "invalid_request_error")
    assert error["request_id"] == answer.headers["x-request-id"] != ""
    assert isinstance(error["message"], str)
    assert error["message"][-1] in ".}"
    told = answer.body + repr(answer.headers).encode()
    assert CREDENTIAL.encode() not in told
    assert not any(secret.encode() in told for secret in house.keys.values())


def check_row(house: House, answer: Answer, tenant: Tenant | None = None) -> None:
    """One row, which cost nothing and says what the caller was told."""
    rows = house.rows(tenant or house.acme, id=answer.error["request_id"])
    assert [(row.status, row.error_code) for row in rows] == [(answer.status, answer.error["code"])]
    (row,) = rows
    assert (row.kind, row.list_cost, row.effective_cost, row.attempts, row.is_estimated) == ("call", 0, 0, [], False)


def check_no_row(house: House, answer: Answer) -> None:
    """What nobody is known to have asked is in nobody's ledger."""
    for tenant in (house.acme, house.world.mallcorp):
        assert house.rows(tenant, id=answer.error["request_id"]) == []


# Bodies


def nested(levels: int) -> bytes:
    return b'{"model": "small", "messages": [{"role": "user", "content": "Hi"}], "deep": %s%s}' % (
        b"[" * (levels - 1),
        b"]" * (levels - 1),
    )


NO_JSON: Final = {
    "nothing closed": b'{"model": "small"',
    "words": b"hello",
    "trailing comma": b'{"model": "small",}',
    "single quotes": b"{'model': 'small'}",
    "NaN": b'{"model": "small", "temperature": NaN}',
    "Infinity": b'{"model": "small", "temperature": -Infinity}',
    "1e400": b'{"model": "small", "temperature": 1e400}',
    "escaped lone surrogate": b'{"model": "small", "user": "\\ud800"}',
    "raw lone surrogate": b'{"model": "small", "user": "\xed\xa0\x80"}',
    "no UTF-8": b'{"model": "small", "user": "\xff\xfe"}',
    "UTF-16": '{"model": "small"}'.encode("utf-16"),
    "raw NUL": b'{"model": "small", "user": "a\0b"}',
    "byte order mark": b"\xef\xbb\xbf" + GOOD,
    "gzip": b"\x1f\x8b\x08\x00\x00\x00\x00\x00",
    "2000 levels": nested(2_000),
    "40000 levels": nested(40_000),
}


@pytest.mark.parametrize("path", [CHAT, COMPLETIONS, EMBEDDINGS])
@pytest.mark.parametrize("body", NO_JSON.values(), ids=NO_JSON.keys())
def test_what_is_no_json(house: House, path: str, body: bytes) -> None:
    answer = house.ask(body, path=path)
    check(house, answer, 400, "invalid_json")
    check_row(house, answer)


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b'"text"', b"5"])
def test_what_is_no_object(house: House, body: bytes) -> None:
    answer = house.ask(body)
    check(house, answer, 400, "invalid_request")
    check_row(house, answer)


HUGE: Final = 10**30
WRONG: Final[dict[str, dict[str, list[Any]]]] = {
    CHAT: {
        "model": [None, "", 5, [], {}, True, "x" * 201, "a\0b"],
        "messages": [None, [], {}, "Hi", 5],
        "stream": ["yes", 1, [], {}],
        "n": [0, -1, 129, 1.5, "2", True, HUGE],
        "max_tokens": [0, -2, 1.5, "5", True, HUGE],
        "max_completion_tokens": [0, "5", HUGE],
        "user": [5, [], {}, True, "x" * 201, "a\0b", "a\nb"],
    },
    COMPLETIONS: {"prompt": [None, [], {}, 5, [None], [1, "a"]], "best_of": [0, "2", HUGE]},
    EMBEDDINGS: {"input": [[], {}, 5, [None], [1, "a"]]},
}


@pytest.mark.parametrize(
    ("path", "field", "value"),
    [(path, field, value) for path, wrong in WRONG.items() for field, values in wrong.items() for value in values],
)
def test_a_field_of_the_wrong_type(house: House, path: str, field: str, value: Any) -> None:
    answer = house.ask(body_of(**{field: value}), path=path)
    check(house, answer, 400, "invalid_request", field)
    check_row(house, answer)


@pytest.mark.parametrize("options", ["yes", 5, [], True])
def test_stream_options_of_the_wrong_type(house: House, options: Any) -> None:
    answer = house.ask(body_of(stream=True, stream_options=options))
    check(house, answer, 400, "invalid_request", "stream_options")
    check_row(house, answer)


def test_a_message_that_is_none(house: House) -> None:
    answer = house.ask(body_of(messages=[*MESSAGES, "Hi"]))
    check(house, answer, 400, "invalid_request", "messages[1]")
    check_row(house, answer)


def test_a_stray_field_of_another_endpoint(house: House, let_pass: LetPass) -> None:
    let_pass(3)
    for messages in (5, ["Hi"], None):
        body = json.dumps({"model": "small", "prompt": "Hi", "messages": messages}).encode()
        assert house.ask(body, path=COMPLETIONS).status == 200


@pytest.mark.parametrize("inner", ["[]," * 100_000 + "[]", "{}," * 100_000 + "{}", "1," * 450_000 + "1"])
def test_a_body_of_too_many_values(house: House, inner: str) -> None:
    answer = house.ask(b'{"model": "nobody knows it", "deep": [%s]}' % inner.encode())
    check(house, answer, 400, "too_many_values")
    check_row(house, answer)


@pytest.mark.parametrize(("named", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_a_compressed_body_is_unpacked(
    house: House, let_pass: LetPass, named: str, pack: Callable[[bytes], bytes]
) -> None:
    let_pass(1)
    assert house.ask(pack(GOOD), headers=[("content-encoding", named)]).status == 200
    (arrived,) = house.bank.calls_received()
    assert json.loads(arrived.body)["messages"] == MESSAGES


@pytest.mark.parametrize("named", ["zstd", "br", "gzip, gzip"])
def test_an_encoding_that_is_not_taken(house: House, named: str) -> None:
    answer = house.ask(GOOD, headers=[("content-encoding", named)])
    check(house, answer, 415, "unsupported_content_encoding", "Content-Encoding")
    assert answer.headers["accept-encoding"] == "gzip, deflate"
    check_row(house, answer)


@pytest.mark.parametrize("kind", [["text"], {"a": 1}])
def test_a_part_whose_kind_is_no_text(house: House, kind: Any) -> None:
    answer = house.ask(body_of(messages=[{"role": "user", "content": [{"type": kind}]}]))
    check(house, answer, 400, "invalid_request", "messages[0].content[0].type")
    check_row(house, answer)


@pytest.mark.parametrize("levels", [255, 300, 1_000, 100_000])
def test_a_body_nested_too_deeply_to_be_sent_on(house: House, levels: int) -> None:
    answer = house.ask(nested(levels))
    check(house, answer, 400, "invalid_request")
    check_row(house, answer)


@pytest.mark.parametrize("levels", [10, 250])
def test_a_body_nested_less_deeply_is_sent_on(house: House, let_pass: LetPass, levels: int) -> None:
    let_pass(1)
    assert house.ask(nested(levels)).status == 200
    (arrived,) = house.bank.calls_received()
    assert arrived.body.count(b"[") == levels - 1 + 1


def test_of_duplicate_keys_the_last_wins_and_alone_is_sent_on(house: House, let_pass: LetPass) -> None:
    let_pass(1)
    answer = house.ask(
        b'{"model": "unpriced", "user": "ada", "messages": %s, "model": "small", "user": "ben"}'
        % json.dumps(MESSAGES).encode()
    )
    assert answer.status == 200
    (arrived,) = house.bank.calls_received()
    assert arrived.body.count(b'"model"') == arrived.body.count(b'"user":') == 1
    assert (arrived.json["model"], arrived.json["user"]) == ("small", "ben")
    row = house.await_row(answer.headers["x-request-id"])
    assert (row.request_model, row.end_user, row.status) == ("small", "ben", 200)


def test_an_escaped_nul_in_a_message_is_the_upstreams_affair(house: House, let_pass: LetPass) -> None:
    let_pass(1)
    answer = house.ask(body_of(messages=[{"role": "user", "content": "a\0b"}], seed=HUGE))
    assert answer.status == 200
    (arrived,) = house.bank.calls_received()
    assert arrived.json["messages"][0]["content"] == "a\0b"
    assert arrived.json["seed"] == float(HUGE)
    assert house.await_row(answer.headers["x-request-id"]).status == 200


def test_a_body_that_says_it_is_too_long(house: House) -> None:
    sent: list[Header] = [
        ("authorization", f"Bearer {house.keys['good']}"),
        ("content-type", "application/json"),
        ("content-length", str(MAX_BODY_BYTES + 1)),
    ]
    answer = exchange(house.proxy.port, make_request("POST", CHAT, sent))
    check(house, answer, 400, "request_too_large")
    check_row(house, answer)


def test_a_body_that_grows_too_long(house: House) -> None:
    sent: list[Header] = [
        ("authorization", f"Bearer {house.keys['good']}"),
        ("content-type", "application/json"),
        ("transfer-encoding", "chunked"),
    ]
    piece = make_chunk(b" " * 100_000)
    with connect(house.proxy.port) as connection:
        connection.sendall(make_request("POST", CHAT, sent) + piece * 10)
        connection.sendall(make_chunk(b" "))
        answer = read_answer(connection)
    check(house, answer, 400, "request_too_large")
    check_row(house, answer)


def test_a_body_up_to_the_limit_is_taken(house: House, let_pass: LetPass) -> None:
    let_pass(1)
    body = GOOD.ljust(MAX_BODY_BYTES)
    assert house.ask(body).status == 200


def test_a_body_in_many_small_chunks(house: House, let_pass: LetPass) -> None:
    let_pass(1)
    sent: list[Header] = [
        ("authorization", f"Bearer {house.keys['good']}"),
        ("content-type", "application/json"),
        ("transfer-encoding", "chunked"),
    ]
    chunks = b"".join(make_chunk(GOOD[at : at + 1]) for at in range(len(GOOD))) + make_chunk(b"")
    assert exchange(house.proxy.port, make_request("POST", CHAT, sent, chunks)).status == 200


@pytest.mark.parametrize("content_type", ["text/plain", "multipart/form-data; boundary=x", "application/xml", "\u20ac"])
def test_a_body_that_is_called_something_else(house: House, content_type: str) -> None:
    answer = house.ask(content_type=content_type)
    check(house, answer, 400, "unsupported_content_type", "Content-Type")
    check_row(house, answer)


# Keys


@pytest.mark.parametrize("key", ["unknown", "mistyped", "short", "token", "revoked", "expired", "not ascii"])
@pytest.mark.parametrize(("method", "path"), [("POST", CHAT), ("GET", "/v1/models"), ("GET", "/v1/costhub/budget")])
def test_a_key_that_is_not_valid(house: House, key: str, method: str, path: str) -> None:
    answer = house.ask(key=key, path=path, method=method)
    check(house, answer, 401, "invalid_api_key")
    check_no_row(house, answer)


@pytest.mark.parametrize("path", [CHAT, COMPLETIONS, EMBEDDINGS, f"{CHAT}?api_key=KEY", f"{CHAT}?key=KEY"])
def test_no_key_where_one_belongs(house: House, path: str) -> None:
    headers: list[Header] = [("cookie", f"api_key={house.keys['good']}"), ("x-goog-api-key", house.keys["good"])]
    answer = house.ask(path=path.replace("KEY", house.keys["good"]), key=None, headers=headers)
    check(house, answer, 401, "missing_api_key")
    check_no_row(house, answer)


@pytest.mark.parametrize(
    "carriers",
    [
        [("authorization", "Bearer GOOD"), ("authorization", "Bearer GOOD")],
        [("authorization", "Bearer GOOD"), ("x-api-key", "SPENT")],
        [("authorization", "Bearer SPENT"), ("api-key", "GOOD")],
        [("x-api-key", "GOOD"), ("x-api-key", "GOOD")],
        [("authorization", "Basic R09PRDo=")],
        [("authorization", "GOOD")],
        [("authorization", "Bearer GOOD, Bearer SPENT")],
    ],
)
def test_keys_in_carriers_that_leave_a_doubt(house: House, carriers: list[tuple[str, str]]) -> None:
    headers: list[Header] = [
        (name, value.replace("GOOD", house.keys["good"]).replace("SPENT", house.keys["spent"]))
        for name, value in carriers
    ]
    answer = house.ask(key=None, headers=headers)
    check(house, answer, 401, "invalid_api_key")
    check_no_row(house, answer)


def count_errors(house: House, code: str) -> float:
    text = house.ask(b"", path="/metrics", method="GET").body.decode()
    return sum(
        float(line.split()[-1]) for line in text.splitlines() if f'costhub_errors_total{{code="{code}"}}' in line
    )


def test_refused_keys_are_counted(house: House) -> None:
    before = count_errors(house, "invalid_api_key")
    for _ in range(3):
        house.ask(key="unknown")
    assert count_errors(house, "invalid_api_key") == before + 3


def test_an_upstreams_own_codes_do_not_become_labels(house: House, let_pass: LetPass) -> None:
    let_pass(1)
    house.bank.queue(fault="http_error", status=418)
    before = count_errors(house, "upstream_error")
    answer = house.ask()
    assert answer.status == 418
    assert count_errors(house, answer.error["code"]) == 0
    assert count_errors(house, "upstream_error") == before + 1


def test_one_key_in_three_carriers_is_one_key(house: House, let_pass: LetPass) -> None:
    let_pass(1)
    good = house.keys["good"]
    assert house.ask(headers=[("x-api-key", good), ("api-key", good)]).status == 200


# Models, prices, budgets


@pytest.mark.parametrize(
    ("key", "model", "status", "code", "kind"),
    [
        ("good", "large", 404, "model_not_found", "invalid_request_error"),
        ("good", "SMALL", 404, "model_not_found", "invalid_request_error"),
        ("good", "../small", 404, "model_not_found", "invalid_request_error"),
        ("limited", "small", 404, "model_not_found", "invalid_request_error"),
        ("good", "unpriced", 402, "model_not_priced", "insufficient_quota"),
        ("good", "future", 402, "model_not_priced", "insufficient_quota"),
    ],
)
@pytest.mark.parametrize("path", [CHAT, EMBEDDINGS])
def test_a_model_that_cannot_be_called(
    house: House, path: str, key: str, model: str, status: int, code: str, kind: str
) -> None:
    answer = house.ask(body_of(model=model, input="Hi"), path=path, key=key)
    check(house, answer, status, code, "model", kind)
    check_row(house, answer)


def test_an_unknown_model_and_a_forbidden_one_look_the_same(house: House) -> None:
    unknown = house.ask(body_of(model="nosuch"), key="limited").error["message"]
    forbidden = house.ask(key="limited").error["message"]
    assert unknown.replace("nosuch", "small") == forbidden


@pytest.mark.parametrize("headers", [[], [("x-costhub-user", "mallory")]])
def test_a_blocked_end_user(house: House, headers: list[Header]) -> None:
    answer = house.ask(body_of(user="mallory"), headers=headers)
    check(house, answer, 403, "end_user_blocked")
    check_row(house, answer)


def test_a_budget_that_cannot_take_the_call(house: House) -> None:
    answer = house.ask(key="spent")
    check(house, answer, 402, "budget_exceeded", kind="insufficient_quota")
    assert answer.headers["x-should-retry"] == "false"
    budget = answer.error["budget"]
    assert (budget["scope"], budget["subject"], budget["period"]) == (
        "organization",
        house.world.mallcorp.org_id,
        "day",
    )
    assert (budget["limit"], budget["spent"], budget["held"]) == ("0.000000001", "0.000000000", "0.000000000")
    midnight = clock.now().replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    assert answer.error["resets_at"] == midnight.isoformat()
    check_row(house, answer, house.world.mallcorp)


def test_a_max_cost_that_is_too_small(house: House) -> None:
    answer = house.ask(headers=[("x-costhub-max-cost", "0.000000001")])
    check(house, answer, 402, "max_cost_exceeded", "x-costhub-max-cost", "insufficient_quota")
    assert answer.headers["x-should-retry"] == "false"
    check_row(house, answer)


# Headers, methods, paths


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("x-costhub-tags", "team"),
        ("x-costhub-tags", "=x,y="),
        ("x-costhub-tags", ",".join(f"t{number}=x" for number in range(17))),
        ("x-costhub-tags", "a=" + "b" * 65),
        ("x-costhub-tags", b"a=\xc2\x9b"),
        ("x-costhub-user", "x" * 201),
        ("x-costhub-user", "a\tb"),
        ("x-costhub-user", b"a\x9fb"),
        ("x-costhub-max-cost", "free"),
        ("x-costhub-max-cost", "1e999999999"),
        ("x-costhub-max-cost", "-1"),
        ("x-costhub-max-cost", "0"),
        ("x-costhub-max-cost", "NaN"),
        ("x-costhub-max-cost", "Infinity"),
        ("x-costhub-max-cost", "1e400"),
        ("x-costhub-max-cost", "1" * 5_000),
        ("x-costhub-max-cost", "0.0000000001"),
        ("Idempotency-Key", "k" * 256),
    ],
)
def test_a_hostile_header_of_ours(house: House, header: str, value: str | bytes) -> None:
    answer = house.ask(headers=[(header, value)])
    check(house, answer, 400, "invalid_request", header)
    check_row(house, answer)


def test_headers_that_are_too_long_together(house: House) -> None:
    answer = house.ask(headers=[("x-filler", "x" * 40_000)])
    check(house, answer, 400, "headers_too_large")
    check_no_row(house, answer)


def test_many_small_headers_are_no_harm(house: House, let_pass: LetPass) -> None:
    let_pass(1)
    answer = house.ask(headers=[(f"x-{number}", "y") for number in range(200)])
    assert answer.status == 200
    assert house.await_row(answer.headers["x-request-id"]).status == 200


def test_headers_longer_than_the_servers_own_buffer(house: House) -> None:
    try:
        answer = house.ask(headers=[("x-filler", "x" * 500_000)])
    except ConnectionError:
        return  # it hung up on what it did not want to read, before its answer was read
    # The server's own refusal; or ours, where the network brought all of it in one piece.
    assert answer.status == 431 or answer.error["code"] == "headers_too_large"


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"])
@pytest.mark.parametrize("path", [CHAT, EMBEDDINGS])
def test_a_method_that_the_path_does_not_have(house: House, path: str, method: str) -> None:
    if (path, method) == (CHAT, "GET"):
        path = "/v1/completions"  # there are kept completions to be listed
    answer = house.ask(path=path, method=method)
    check(house, answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == "POST"
    check_no_row(house, answer)


def test_the_queries_have_methods_of_their_own(house: House) -> None:
    for path in ("/v1/models", "/v1/models/small", "/v1/costhub/budget"):
        answer = house.ask(path=path)
        check(house, answer, 405, "method_not_allowed")
        assert answer.headers["allow"] == "GET"
    answer = house.ask(b"", path="/v1/costhub/estimate", method="GET")
    check(house, answer, 405, "method_not_allowed")


def test_a_head_has_no_body(house: House) -> None:
    answer = house.ask(b"", method="HEAD")
    assert (answer.status, answer.body) == (405, b"")


@pytest.mark.parametrize(
    "path",
    [
        "/v1/",
        "/v1/nothing",
        "/v1/chat/completions/",
        "/v1//chat/completions",
        "/v1/../admin",
        "/v1/../../etc/passwd",
        "/v1/%2e%2e/%2e%2e/etc/passwd",
        "/v1/..%5c..%5cwindows",
        "/v1/%00",
        "/v1/%ff%fe",
        "/v1/CHAT/COMPLETIONS",
        "/v1/" + "x" * 5_000,
    ],
)
def test_a_path_that_is_not_there(house: House, path: str) -> None:
    answer = house.ask(path=path)
    check(house, answer, 404, "unknown_url")
    assert len(answer.error["message"]) < 300
    check_no_row(house, answer)


@pytest.mark.parametrize(
    ("path", "instead"),
    [
        ("vector_stores", "/v1/embeddings"),
        ("vector_stores/vs_1/files", "/v1/embeddings"),
        ("conversations/conv_1/items", "previous_response_id"),
        ("fine_tuning/jobs", "/api/v1/provider-tunings"),
        ("uploads", "POST /v1/files"),
        ("threads/runs", "/v1/responses"),
        ("audio/voices", "/v1/audio/speech"),
        ("organization/projects", "/api/v1"),
        ("organizations/users", "/api/v1"),
        ("complete", "/v1/messages"),
        ("decisions", "/v1/chat/completions"),
        ("sessions/s_1/events", "/v1/messages"),
        ("memory_stores", "messages of a call"),
    ],
)
@pytest.mark.parametrize("method", ["POST", "GET", "DELETE"])
def test_what_vendors_have_and_is_not_here_says_what_does_the_same(
    house: House, path: str, instead: str, method: str
) -> None:
    answer = house.ask(b"{}" if method == "POST" else b"", path=f"/v1/{path}", method=method)
    check(house, answer, 404, "not_served")
    assert answer.error["message"].startswith(f"There is nothing at /v1/{path}. ")
    assert instead in answer.error["message"]
    check_no_row(house, answer)


@pytest.mark.parametrize("name", ["..%2f..%2fetc%2fpasswd", "../small", "%00", "small%2520", "", "x" * 5_000])
def test_a_model_by_a_name_that_it_does_not_have(house: House, name: str) -> None:
    answer = house.ask(b"", path=f"/v1/models/{name}", method="GET")
    is_path = name not in {"", "%00"}
    check(house, answer, 404, *(("model_not_found", "model") if is_path else ("unknown_url",)))


@pytest.mark.parametrize(
    "request_id",
    [
        "",
        "..",
        "1",
        "%00",
        "ffffffff-ffff-7fff-bfff-ffffffffffff",
        "00000000-0000-7000-8000-000000000000",
        "0197e9d4-0000-4000-8000-000000000001",
        "0197e9d4-0000-7000-8000-000000000001",
        "'; DROP TABLE proxy_ledgerentry; --".replace(" ", "%20"),
    ],
)
def test_a_request_that_never_was(house: House, request_id: str) -> None:
    answer = house.ask(b"", path=f"/v1/costhub/requests/{request_id}", method="GET")
    check(house, answer, 404, "request_not_found" if request_id not in {"", "%00"} else "unknown_url")


def test_a_request_of_another_organisation_never_was(house: House, let_pass: LetPass) -> None:
    let_pass(1)
    answer = house.ask()
    request_id = answer.headers["x-request-id"]
    house.await_row(request_id)
    path = f"/v1/costhub/requests/{request_id}"
    assert house.ask(b"", path=path, method="GET").json["id"] == request_id
    foreign = house.ask(b"", path=path, method="GET", key="spent")
    check(house, foreign, 404, "request_not_found")
    unknown = house.ask(
        b"", path="/v1/costhub/requests/0197e9d4-0000-7000-8000-000000000001", method="GET", key="spent"
    )
    assert foreign.error["message"] == unknown.error["message"]


@pytest.mark.parametrize(
    ("body", "status", "code", "param"),
    [
        (b"{", 400, "invalid_json", None),
        (b"", 400, "invalid_request", None),
        (b"[]", 400, "invalid_request", None),
        (b'{"model": "small"}', 400, "invalid_request", "prompt"),
        (b'{"model": "small", "input": 5}', 400, "invalid_request", "input"),
        (b'{"model": "small", "messages": [5]}', 400, "invalid_request", "messages[0]"),
        (body_of(model="unpriced"), 402, "model_not_priced", "model"),
        (body_of(model="large"), 404, "model_not_found", "model"),
    ],
)
def test_an_estimate_of_bad_input(house: House, body: bytes, status: int, code: str, param: str | None) -> None:
    answer = house.ask(body, path="/v1/costhub/estimate")
    check(house, answer, status, code, param, "insufficient_quota" if status == 402 else "")
    check_no_row(house, answer)


# Below HTTP


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\0" * 1_000,
        b"GET\r\n\r\n",
        b"POST /v1/chat/completions HTTP/9.9\r\n\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nabcdef",
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nbad header\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
)
def test_garbage_on_the_port(house: House, garbage: bytes) -> None:
    with connect(house.proxy.port) as connection:
        connection.sendall(garbage)
        received = b""
        while part := connection.recv(65_536):
            received += part
    assert received == b"" or received.startswith(b"HTTP/1.1 400 ")
    assert house.ask(b"", path="/v1/models", method="GET").status == 200


def partial_call(house: House, *headers: Header, body: bytes) -> bytes:
    sent: list[Header] = [
        ("authorization", f"Bearer {house.keys['good']}"),
        ("content-type", "application/json"),
        *headers,
    ]
    return make_request("POST", CHAT, sent, body)


def test_a_chunk_that_is_none(house: House) -> None:
    known = {row.pk for row in house.rows(house.acme)}
    request = partial_call(house, ("transfer-encoding", "chunked"), body=b"zz\r\nabc\r\n0\r\n\r\n")
    answer = exchange(house.proxy.port, request)
    assert (answer.status, answer.headers["content-type"]) == (400, "application/json")
    assert answer.error["code"] == "invalid_http"
    row = house.await_new_row(known)
    assert (row.status, row.error_code, row.effective_cost) == (400, "incomplete_body", 0)


@pytest.mark.parametrize("begun", [b"", GOOD[:10]])
def test_a_caller_who_leaves_before_the_body_is_whole(house: House, begun: bytes) -> None:
    known = {row.pk for row in house.rows(house.acme)}
    with connect(house.proxy.port) as connection:
        connection.sendall(partial_call(house, ("content-length", str(len(GOOD))), body=begun))
    row = house.await_new_row(known)
    assert (row.status, row.error_code, row.effective_cost) == (400, "incomplete_body", 0)


def test_half_of_the_headers_and_then_nothing(house: House) -> None:
    known = len(house.rows(house.acme))
    with connect(house.proxy.port) as connection:
        connection.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthor")
    assert len(house.rows(house.acme)) == known


# Idempotency


def idempotent(house: House, key: str, body: bytes = GOOD) -> Answer:
    return house.ask(body, headers=[("idempotency-key", key)])


@pytest.mark.parametrize("stream", [False, True])
def test_the_same_call_again_is_answered_from_memory_and_charged_once(
    house: House, let_pass: LetPass, stream: bool
) -> None:
    let_pass(1)
    body = body_of(stream=stream)
    first = idempotent(house, f"again {stream}", body)
    assert first.status == 200
    paid = house.await_row(first.headers["x-request-id"])
    assert paid.effective_cost > 0
    second = idempotent(house, f"again {stream}", body)
    assert (second.status, second.body) == (200, first.body)
    assert second.headers["x-costhub-replayed"] == "true"
    assert second.headers["x-costhub-original-request-id"] == str(paid.id)
    assert "x-costhub-replayed" not in first.headers
    replay = house.await_row(second.headers["x-request-id"])
    assert (replay.status, replay.cache_status, replay.effective_cost, replay.attempts) == (200, "replayed", 0, [])


def test_the_same_key_with_another_body_is_a_conflict(house: House, let_pass: LetPass) -> None:
    let_pass(1)
    first = idempotent(house, "other body")
    house.await_row(first.headers["x-request-id"])
    answer = idempotent(house, "other body", body_of(temperature=1))
    check(house, answer, 409, "idempotency_conflict")
    check_row(house, answer)


def test_the_same_key_of_another_organisation_is_another_key(house: House, let_pass: LetPass) -> None:
    let_pass(1)
    first = idempotent(house, "shared")
    house.await_row(first.headers["x-request-id"])
    foreign = house.ask(key="spent", headers=[("idempotency-key", "shared")])
    check(house, foreign, 402, "budget_exceeded", kind="insufficient_quota")
    assert "x-costhub-replayed" not in foreign.headers


def test_the_same_key_while_its_first_call_runs_is_a_conflict_and_free_when_that_fails(
    house: House, let_pass: LetPass
) -> None:
    let_pass(2)
    slow = body_of(bank={"first_ms": 600_000})
    request = partial_call(house, ("content-length", str(len(slow))), ("idempotency-key", "concurrent"), body=slow)
    with connect(house.proxy.port) as connection:
        connection.sendall(request)
        while not house.bank.calls_received():
            pass
        answer = idempotent(house, "concurrent", slow)
        check(house, answer, 409, "idempotency_conflict")
        assert answer.headers["retry-after"] == "1"
    # The first caller has left: the key may be used again, with any body.
    house.bank.wait_quiet()
    for _ in range(1_000):
        if (again := idempotent(house, "concurrent")).status != 409:
            break
    assert again.status == 200
    assert "x-costhub-replayed" not in again.headers


def test_a_call_that_failed_may_be_tried_again_with_its_key(house: House, let_pass: LetPass) -> None:
    let_pass(2)
    house.bank.queue(fault="http_error", status=400)
    failed = idempotent(house, "failed")
    assert failed.status == 400
    again = idempotent(house, "failed")
    assert again.status == 200
    assert "x-costhub-replayed" not in again.headers


def test_a_refused_call_does_not_use_its_key_up(house: House, let_pass: LetPass) -> None:
    let_pass(1)
    check(
        house,
        idempotent(house, "refused", body_of(model="unpriced")),
        402,
        "model_not_priced",
        "model",
        "insufficient_quota",
    )
    assert idempotent(house, "refused").status == 200
