"""What is no batch: each line at fault is named, nothing is held, nobody is asked."""

import asyncio
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from django.conf import settings

from proxy.core.exact_json import MOST_BYTES
from proxy.models import BatchLine, LedgerEntry
from proxy.tasks import drain_ledger
from tenants.access import org_scope
from tenants.choices import BudgetScope
from tests.bank import Bank
from tests.proxy.batches.desk import BOUNDARY, form, held_of, line, open_desk, read, run_worker
from tests.world import Tenant, World, make_budget, make_catalog

Json = dict[str, Any]
MANY = 3_000


def fail(acme: Tenant, lines: bytes | list[Json], **options: str) -> Json:
    """Hand in lines that cannot be a batch; gives it."""

    async def hand_in() -> Json:
        async with open_desk(acme) as desk:
            return read(await desk.hand_in(lines, **options))

    batch = asyncio.run(hand_in())
    assert batch["status"] == "failed", batch
    assert held_of(acme, batch) is None
    with org_scope(acme.org_id):
        assert not BatchLine.objects.filter(org_id=acme.org_id).exists()
    return batch


def test_three_bad_lines_of_many_are_named(acme: Tenant, bank: Bank) -> None:
    lines = [orjson.dumps(line(number)) for number in range(MANY)]
    lines[6] = b"{not json"
    lines[1_999] = orjson.dumps(line(5_000, max_tokens="many"))
    lines[2_999] = orjson.dumps({"custom_id": "x", "method": "GET", "url": "/v1/chat/completions", "body": {}})
    errors = fail(acme, b"\n".join(lines))["errors"]["data"]
    assert [(error["line"], error["code"], error["param"]) for error in errors] == [
        (7, "invalid_json_line", None),
        (2_000, "invalid_request", "body.max_tokens"),
        (3_000, "invalid_method", "method"),
    ]
    assert bank.bill() == []
    drain_ledger()
    with org_scope(acme.org_id):
        (row,) = LedgerEntry.objects.filter(org_id=acme.org_id)
    assert (row.endpoint, row.status, row.effective_cost) == ("batches", 200, 0)


NAMED = [{"type": "file", "file": {"file_id": "file-0197e9d400007000800000000000abcd"}}]


def test_a_line_that_names_a_file_is_told_to_hold_it(acme: Tenant) -> None:
    asked = line(0, messages=[{"role": "user", "content": NAMED}])
    (error,) = fail(acme, [asked])["errors"]["data"]
    assert error == {
        "code": "file_not_readable",
        "message": (
            "messages[0].content[0].file.file_id names a file of /v1/files, and a batch's lines name none: put what it"
            " holds into the line, as base64 or as text."
        ),
        "param": "body.messages[0].content[0].file.file_id",
        "line": 1,
    }


CASES: dict[str, tuple[Callable[[], bytes | list[Json]], list[tuple[int | None, str]]]] = {
    "the same custom_id twice": (lambda: [line(0), line(1), line(0)], [(3, "duplicate_custom_id")]),
    "another endpoint": (lambda: [line(0), line(1, url="/v1/embeddings")], [(2, "mismatched_endpoint")]),
    "two models": (lambda: [line(0), line(1, model="large")], [(2, "mismatched_model")]),
    "an unknown model": (lambda: [line(0, model="unknown")], [(1, "model_not_found")]),
    "a stream": (lambda: [line(0, stream=True)], [(1, "invalid_request")]),
    "no body": (lambda: [line(0) | {"body": None}], [(1, "missing_required_parameter")]),
    "no custom_id": (lambda: [line(0) | {"custom_id": 7}], [(1, "invalid_custom_id")]),
    "a NUL in a custom_id": (lambda: [line(0) | {"custom_id": "a\0b"}], [(1, "invalid_custom_id")]),
    "half a character": (lambda: rb'{"custom_id":"\ud800","method":"POST"}', [(1, "invalid_json_line")]),
    "a list": (lambda: b"[]\n", [(1, "invalid_json_line")]),
    "a NUL in a model's name": (lambda: [line(0, model="a\0b")], [(1, "invalid_request")]),
    "a NUL in a file's name for an endpoint": (lambda: [line(0, url="\0")], [(1, "mismatched_endpoint")]),
    "half a character beside a long number": (
        lambda: orjson.dumps(line(0, model="?", seed=1)).replace(b'"?"', rb'"\ud800"').replace(b":1", b":" + b"1" * 30),
        [(1, "invalid_json_line")],
    ),
    "a number that would be rounded": (
        lambda: orjson.dumps(line(0, seed=1, pad="x" * MOST_BYTES)).replace(b'"seed":1', b'"seed":%d' % (2**64 + 1)),
        [(1, "number_too_large")],
    ),
    "more lines than any batch has, all empty": (lambda: b"\n" * 200_000, [(100_001, "too_many_tasks")]),
    "nested too deeply": (
        lambda: orjson.dumps(line(0, tools=0)).replace(b'"tools":0', b'"tools":' + b"[" * 300 + b"]" * 300),
        [(1, "invalid_request")],
    ),
    "an empty file": (lambda: b"", [(None, "empty_file")]),
    "empty lines": (lambda: b"\n\r\n \n", [(None, "empty_file")]),
}


@pytest.mark.parametrize("case", CASES)
def test_a_line_at_fault_is_named(acme: Tenant, case: str) -> None:
    make, expected = CASES[case]
    make_catalog(acme, base_url="https://other.acme.example/v1", model="large")
    errors = fail(acme, make())["errors"]["data"]
    assert [(error["line"], error["code"]) for error in errors] == expected


def test_a_hundred_errors_are_told(acme: Tenant) -> None:
    assert len(fail(acme, b"[]\n" * 500)["errors"]["data"]) == 100


def test_users_are_not_mixed_where_budgets_hold_each(acme: Tenant) -> None:
    make_budget(acme, "1.00", scope=BudgetScope.END_USER)
    errors = fail(acme, [line(0, user="bob")])["errors"]["data"]
    assert [(error["line"], error["code"]) for error in errors] == [(1, "user_not_held")]


BATCH: Json = {"input_file_id": "file-x", "endpoint": "/v1/chat/completions", "completion_window": "24h"}
BODIES: dict[str, tuple[Json, str]] = {
    "no file": ({"endpoint": "/v1/chat/completions", "completion_window": "24h"}, "input_file_id"),
    "no endpoint": ({"input_file_id": "file-x", "completion_window": "24h"}, "endpoint"),
    "an unknown endpoint": (
        {"input_file_id": "file-x", "endpoint": "/v1/moderate", "completion_window": "24h"},
        "endpoint",
    ),
    "no window": ({"input_file_id": "file-x", "endpoint": "/v1/chat/completions"}, "completion_window"),
    "an expiry that is none": (BATCH | {"output_expires_after": 3_600}, "output_expires_after"),
    "an expiry from another moment": (
        BATCH | {"output_expires_after": {"anchor": "now", "seconds": 3_600}},
        "output_expires_after.anchor",
    ),
    "an expiry that is too near": (
        BATCH | {"output_expires_after": {"anchor": "created_at", "seconds": 3_599}},
        "output_expires_after.seconds",
    ),
    "metadata": (
        {
            "input_file_id": "file-x",
            "endpoint": "/v1/chat/completions",
            "completion_window": "24h",
            "metadata": {"a": 1},
        },
        "metadata",
    ),
}


@pytest.mark.parametrize("case", BODIES)
def test_a_body_that_is_none_names_its_field(acme: Tenant, case: str) -> None:
    body, param = BODIES[case]

    async def ask() -> tuple[int, Json]:
        async with open_desk(acme) as desk:
            answer = await desk.ask("POST", "/v1/batches", orjson.dumps(body))
            return answer.status, read(answer)["error"]

    status, error = asyncio.run(ask())
    assert (status, error["param"]) == (400, param)


def test_what_is_anothers_is_unknown(acme: Tenant, committed_world: World) -> None:
    mallory = committed_world.mallcorp

    async def hand_in() -> tuple[str, str]:
        async with open_desk(acme) as desk:
            batch = read(await desk.hand_in([line(0)]))
            return batch["input_file_id"], batch["id"]

    file, batch = asyncio.run(hand_in())
    unknown = {file: "file-" + "0" * 32, batch: "batch_" + "0" * 32}

    async def spy() -> None:
        async with open_desk(mallory) as desk:
            for method, path in (
                ("GET", f"/v1/files/{file}"),
                ("GET", f"/v1/files/{file}/content"),
                ("DELETE", f"/v1/files/{file}"),
                ("GET", f"/v1/batches/{batch}"),
                ("POST", f"/v1/batches/{batch}/cancel"),
            ):
                told = await desk.ask(method, path)
                name = file if file in path else batch
                other = await desk.ask(method, path.replace(name, unknown[name]))
                assert (told.status, other.status) == (404, 404)
                mine, theirs = read(told)["error"], read(other)["error"]
                assert mine["message"].replace(name, "") == theirs["message"].replace(unknown[name], "")
                assert mine["code"] == theirs["code"]
            body = {"input_file_id": file, "endpoint": "/v1/chat/completions", "completion_window": "24h"}
            assert (await desk.ask("POST", "/v1/batches", orjson.dumps(body))).status == 404
            assert read(await desk.ask("GET", "/v1/files"))["data"] == []
            assert read(await desk.ask("GET", "/v1/batches"))["data"] == []

    asyncio.run(spy())
    # What it holds goes back.
    run_worker(acme)


def test_a_form_that_is_none_is_refused_and_leaves_nothing(acme: Tenant) -> None:
    kind = {"content_type": f"multipart/form-data; boundary={BOUNDARY}"}
    whole = form(b"x" * 1_000)

    async def ask() -> None:
        async with open_desk(acme) as desk:
            for body, headers, code in (
                (whole, {"content_type": "application/json"}, "unsupported_content_type"),
                (whole, {"content_type": "multipart/form-data"}, "unsupported_content_type"),
                (whole[:-20], kind, "invalid_form"),
                (b"no form at all", kind, "invalid_form"),
                (form(b"", purpose="mischief"), kind, "invalid_request"),
                (whole.replace(b'name="file"', b'name="other"'), kind, "invalid_request"),
                (form(b"", **{"expires_after[anchor]": "now"}), kind, "invalid_request"),
                (whole, {**kind, "content_length": str(10**10)}, "file_too_large"),
            ):
                answer = await desk.ask("POST", "/v1/files", body, **headers)
                assert answer.status in {400, 413}, (code, answer.body)
                assert read(answer)["error"]["code"] == code
            assert read(await desk.ask("GET", "/v1/files"))["data"] == []

    asyncio.run(ask())


def test_files_are_listed_read_and_deleted(acme: Tenant) -> None:
    content = bytes(range(256)) * 3_000  # several parts of a body, and no text

    async def ask() -> None:
        async with open_desk(acme) as desk:
            first = read(await desk.upload(content, purpose="user_data", filename="../etc/päss\\wörd.bin"))
            second = read(await desk.upload(b"", purpose="batch"))
            assert (first["bytes"], first["filename"], second["bytes"]) == (len(content), "wörd.bin", 0)
            page = read(await desk.ask("GET", "/v1/files", query="limit=1"))
            assert ([file["id"] for file in page["data"]], page["has_more"]) == ([second["id"]], True)
            page = read(await desk.ask("GET", "/v1/files", query=f"limit=1&after={second['id']}"))
            assert ([file["id"] for file in page["data"]], page["has_more"]) == ([first["id"]], False)
            assert (await desk.ask("GET", f"/v1/files/{first['id']}/content")).body == content
            assert read(await desk.ask("GET", f"/v1/files/{first['id']}")) == first
            assert read(await desk.ask("DELETE", f"/v1/files/{first['id']}"))["deleted"] is True
            assert (await desk.ask("GET", f"/v1/files/{first['id']}/content")).status == 404
            assert (await desk.ask("PUT", f"/v1/files/{second['id']}")).status == 405

    asyncio.run(ask())


def test_names_that_no_text_of_a_database_can_hold_are_unknown(acme: Tenant) -> None:
    async def ask() -> list[tuple[int, str]]:
        async with open_desk(acme) as desk:
            answers = [
                await desk.ask("GET", "/v1/files", query="purpose=%00"),
                await desk.ask("GET", f"/v1/costhub/deferred/{'0' * 35}\0"),
                await desk.ask("GET", f"/v1/files/file-{'0' * 31}\0"),
                await desk.ask("GET", f"/v1/batches/batch_{'0' * 31}\0"),
                await desk.ask("GET", "/v1/files", query="after=file-%00"),
            ]
            return [(answer.status, read(answer)["error"]["code"]) for answer in answers]

    assert asyncio.run(ask()) == [
        (400, "invalid_request"),
        (404, "not_found"),
        (404, "not_found"),
        (404, "not_found"),
        (400, "invalid_request"),
    ]


def test_a_form_of_countless_fields_is_refused(acme: Tenant) -> None:
    field = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'.encode()

    async def ask() -> tuple[int, str]:
        async with open_desk(acme) as desk:
            kind = f"multipart/form-data; boundary={BOUNDARY}"
            answer = await desk.ask("POST", "/v1/files", field * 100 + form(b""), content_type=kind)
            return answer.status, read(answer)["error"]["code"]

    assert asyncio.run(ask()) == (400, "invalid_request")


@pytest.mark.soak
def test_three_bad_lines_of_fifty_thousand_are_named_and_nothing_is_held(acme: Tenant) -> None:
    lines = [orjson.dumps(line(number)) for number in range(50_000)]
    lines[6] = lines[6][:-1]
    lines[24_999] = orjson.dumps(line(24_999, model="none"))
    lines[49_999] = orjson.dumps(line(7))

    async def ask() -> tuple[int, Json]:
        async with open_desk(acme) as desk:
            answer = await desk.hand_in(b"\n".join(lines))
            return answer.status, read(answer)

    status, batch = asyncio.run(ask())
    assert (status, batch["status"], held_of(acme, batch)) == (200, "failed", None)
    assert [(one["line"], one["code"]) for one in batch["errors"]["data"]] == [
        (7, "invalid_json_line"),
        (25_000, "mismatched_model"),
        (50_000, "duplicate_custom_id"),
    ]
    with org_scope(acme.org_id):
        assert not BatchLine.objects.filter(org_id=acme.org_id).exists()


@pytest.mark.soak
@pytest.mark.parametrize(("more", "status"), [(0, 200), (1, 400)])
def test_a_file_may_have_two_hundred_mebibytes_and_no_byte_more(acme: Tenant, more: int, status: int) -> None:
    size = settings.MAX_FILE_BYTES + more
    assert settings.MAX_FILE_BYTES == 200 * 1024 * 1024

    async def ask() -> tuple[int, Json, Json]:
        async with open_desk(acme) as desk:
            answer = await desk.upload(b"x" * size)
            return answer.status, read(answer), read(await desk.ask("GET", "/v1/files"))

    found, told, listed = asyncio.run(ask())
    assert found == status
    if more:
        assert (told["error"]["code"], listed["data"]) == ("file_too_large", [])
    else:
        assert (told["bytes"], [one["bytes"] for one in listed["data"]]) == (size, [size])
