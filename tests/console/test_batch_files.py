"""A batch that is handed in on the page: what callers' programs can do, by the proxy itself, in its words."""

import json
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from pytest_django import Settings

from costhub.console import batch_files
from costhub.lib.errors import InvalidField
from costhub.lib.net import Fetched
from proxy.batches import store
from proxy.batches.model import Batch, StoredFile
from tenants.access import org_scope
from tenants.actions.orgs import add_member
from tenants.actions.upstreams import update_upstream
from tenants.choices import Role
from tenants.models import User
from tests.audit import read_audit
from tests.bank import Bank
from tests.console.client import Visit, error_of, read_form, read_stream, rows_of, text_of
from tests.proxy.batches.desk import line, run_worker
from tests.proxy.deployment import Deployment, deploy
from tests.world import Tenant, World, make_budget, make_catalog

NEW = "/batches/new"


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory, django_db_setup: None) -> Iterator[Deployment]:
    with deploy(tmp_path_factory.mktemp("proxy")) as deployment:
        yield deployment


@pytest.fixture
def bank(tmp_path: Path) -> Iterator[Bank]:
    """An upstream of this test alone."""
    bank = Bank.start(tmp_path)
    yield bank
    bank.stop()


@pytest.fixture
def acme(committed_world: World, bank: Bank, proxy: Deployment, settings: Settings) -> Tenant:
    settings.ALLOWED_PRIVATE_NETWORKS = ((ip_network("127.0.0.0/8"), None),)
    acme = committed_world.acme
    catalog = make_catalog(acme, base_url=bank.base_url, max_output_tokens=100)
    with org_scope(acme.org_id):
        update_upstream(actor=acme.owner, upstream=catalog.upstream, bill_path="/costhub/bill", batch_concurrency=4)
    make_budget(acme, "1.00")
    settings.PROXY_URL = proxy.root_url
    return acme


def page_of(tenant: Tenant) -> str:
    return f"/o/{tenant.org.slug}"


def lines(*numbers: int) -> SimpleUploadedFile:
    content = b"".join(json.dumps(line(number)).encode() + b"\n" for number in numbers)
    return SimpleUploadedFile("night.jsonl", content, "application/jsonl")


def count(tenant: Tenant) -> tuple[int, int]:
    """Batches and files."""
    with org_scope(tenant.org_id):
        return Batch.objects.count(), StoredFile.objects.count()


def test_it_is_handed_in_watched_and_its_answers_are_downloaded(acme: Tenant, committed_world: World) -> None:
    ada, page = Visit(committed_world.ada), page_of(acme)
    assert f'href="{page}{NEW}"' in ada.get(f"{page}/batches").content.decode()
    form = ada.get(f"{page}{NEW}").content.decode()
    assert 'enctype="multipart/form-data"' in form
    made = ada.submit(f"{page}{NEW}", file=lines(1, 2, 3), api_key=acme.api_key)
    assert made.status_code == 302, error_of(made)
    address = made.headers["Location"]
    assert "0 of 3 calls are out" in text_of(ada.get(address))
    assert run_worker(acme) == 1
    over = ada.get(address)
    assert "3 of 3 calls are out" in text_of(over)
    assert "night.jsonl" in text_of(over)
    answers = [json.loads(each) for each in read_stream(ada.get(f"{address}/files/output")).splitlines()]
    assert [(each["custom_id"], each["response"]["status_code"]) for each in answers] == [
        ("line-1", 200),
        ("line-2", 200),
        ("line-3", 200),
    ]
    given = ada.get(f"{address}/files/input")
    assert given.headers["Content-Disposition"].endswith('-input.jsonl"')
    assert read_stream(given).encode() == lines(1, 2, 3).read()
    assert ada.get(f"{address}/files/errors").status_code == 404, "none failed"
    assert ada.get(f"{address}/files/moon").status_code == 404
    assert rows_of(ada.get(f"{page}/batches"))[0].endswith("completed")
    told = read_audit(acme.org, target_kind="batch")
    assert [(row.action, row.changes.get("file") or row.changes.get("part")) for row in told] == [
        ("batch.created", "night.jsonl"),
        ("batch.exported", "output"),
        ("batch.exported", "input"),
    ]


def test_a_form_that_is_sent_twice_makes_one_batch(acme: Tenant, committed_world: World) -> None:
    ada, page = Visit(committed_world.ada), page_of(acme)
    once = "0199c0de-7a11-4b2c-8d3e-4f5061728394"
    for _ in range(2):
        ada.submit(f"{page}{NEW}", file=lines(1), api_key=acme.api_key, once=once)
    assert count(acme) == (1, 1)


def test_whoever_sends_it_again_after_no_answer_has_one_batch(
    acme: Tenant, committed_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada, page = Visit(committed_world.ada), page_of(acme)

    def lose(answer: Fetched) -> dict[str, Any]:
        made = read(answer)
        if made["object"] == "batch":
            raise InvalidField("The proxy does not answer.", field="file")
        return made

    read = batch_files._read
    with monkeypatch.context() as patch:
        patch.setattr(batch_files, "_read", lose)
        told = ada.submit(f"{page}{NEW}", file=lines(1), api_key=acme.api_key)
    assert (told.status_code, count(acme)) == (400, (1, 1))
    form = read_form(told.content.decode())
    assert form["api_key"] == "", "a key is not sent back"
    assert ada.post(f"{page}{NEW}", {**form, "file": lines(1), "api_key": acme.api_key}).status_code == 302
    assert count(acme) == (1, 1)
    # It is done, and the same form does it once.
    again = ada.post(f"{page}{NEW}", {**form, "file": lines(1), "api_key": acme.api_key})
    assert (again.status_code, read_form(again.content.decode())["once"] == form["once"]) == (409, False)
    # Another file is another batch, whatever came of the first.
    with monkeypatch.context() as patch:
        patch.setattr(batch_files, "_read", lose)
        form = read_form(ada.submit(f"{page}{NEW}", file=lines(2), api_key=acme.api_key).content.decode())
    assert ada.post(f"{page}{NEW}", {**form, "file": lines(3), "api_key": acme.api_key}).status_code == 302
    assert count(acme) == (3, 3)


@pytest.mark.parametrize("once", ["", "x", "\u00e9\u20ac"])
def test_whatever_mark_a_form_has_it_is_no_fault_of_ours(acme: Tenant, committed_world: World, once: str) -> None:
    sent = {"file": lines(1), "endpoint": "/v1/chat/completions", "api_key": acme.api_key, "once": once}
    assert Visit(committed_world.ada).post(f"{page_of(acme)}{NEW}", sent).status_code == 302
    assert count(acme) == (1, 1)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "The file is empty: give one with a JSON object a line."),
        (b"{", "Line 1: This line is not parseable as valid JSON."),
        (b'{"custom_id": "1"}\n', "Line 1: "),
        ("\ufeff\U0001f600".encode(), "Line 1: This line is not parseable as valid JSON."),
        (b"\xff\xfe\x00", "Line 1: This line is not parseable as valid JSON."),
    ],
)
def test_a_bad_file_is_refused_in_words(acme: Tenant, committed_world: World, content: bytes, words: str) -> None:
    ada, page = Visit(committed_world.ada), page_of(acme)
    file = SimpleUploadedFile("b\u00e4d \U0001f600.jsonl", content, "application/jsonl")
    answer = ada.submit(f"{page}{NEW}", file=file, api_key=acme.api_key)
    # Of a file that cannot be a batch there is a batch that has failed, as by the API: its page names the lines.
    said = text_of(ada.get(answer.headers["Location"])) if answer.status_code == 302 else error_of(answer)
    assert words in said
    with org_scope(acme.org_id):
        assert {row.status for row in Batch.objects.all()} <= {store.FAILED}


def test_what_cannot_be_is_told_beside_its_field(acme: Tenant, committed_world: World) -> None:
    ada, page, theirs = Visit(committed_world.ada), page_of(acme), committed_world.mallcorp.api_key
    for typed, words in (
        ({"api_key": acme.api_key}, "Fill this in."),
        ({"file": lines(1), "api_key": ""}, "Fill this in."),
        ({"file": lines(1), "api_key": "sk-of-somebody-else"}, "Give an API key of this organisation"),
        ({"file": lines(1), "api_key": theirs}, "Give an API key of this organisation"),
        ({"file": lines(1), "api_key": acme.api_key, "endpoint": "/v1/moon"}, "Choose one of the list."),
    ):
        refused = ada.submit(f"{page}{NEW}", **typed)
        assert (refused.status_code, words in error_of(refused)) == (400, True), error_of(refused)
    assert count(acme) == (0, 0)


def test_a_budget_that_cannot_take_all_of_it_says_so(acme: Tenant, committed_world: World) -> None:
    make_budget(acme, "0.000000001", name="small change")
    ada, page = Visit(committed_world.ada), page_of(acme)
    refused = ada.submit(f"{page}{NEW}", file=lines(1, 2), api_key=acme.api_key)
    assert refused.status_code == 400
    assert "small change" in error_of(refused)
    assert count(acme)[0] == 0


def test_a_proxy_that_is_away_is_told(acme: Tenant, committed_world: World, settings: Settings) -> None:
    settings.PROXY_URL = "http://127.0.0.1:9"
    refused = Visit(committed_world.ada).submit(f"{page_of(acme)}{NEW}", file=lines(1), api_key=acme.api_key)
    assert (refused.status_code, "The proxy does not answer" in error_of(refused)) == (400, True)


def test_who_may_make_no_key_hands_in_nothing_and_reads_no_file(acme: Tenant, committed_world: World) -> None:
    ada, page = Visit(committed_world.ada), page_of(acme)
    email = f"fin@{acme.org.slug}.example"
    with org_scope(acme.org_id):
        add_member(actor=acme.owner, email=email, role=Role.FINANCE)
    finance = Visit(User.objects.get(email=email))
    address = ada.submit(f"{page}{NEW}", file=lines(1), api_key=acme.api_key).headers["Location"]
    assert NEW not in finance.get(f"{page}/batches").content.decode()
    assert "Download" not in text_of(finance.get(address))
    assert finance.get(f"{page}{NEW}").status_code == 403
    assert finance.post(f"{page}{NEW}", {"file": lines(1), "api_key": acme.api_key}).status_code == 403
    assert finance.get(f"{address}/files/input").status_code == 403
    assert Visit(committed_world.mallory).get(f"{address}/files/input").status_code == 404
    assert count(acme)[0] == 1
