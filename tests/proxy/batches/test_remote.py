"""Batches on an upstream that runs them itself: handed on whole, settled line by line at the price of its tier."""

import asyncio
from collections.abc import Callable, Iterable
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
import time_machine
from django.conf import settings

from costhub.lib import clock
from costhub.lib.net import Unreachable
from proxy.batches.remote_answers import read_answer, read_response
from proxy.batches.remote_api import id_of
from proxy.batches.sealed_files import SealedFiles
from proxy.core.exact_json import MOST_BYTES
from proxy.models import LedgerEntry
from tenants.access import org_scope
from tenants.actions.models import update_model
from tenants.actions.pricing import create_price
from tenants.actions.stops import set_stopped
from tenants.choices import UpstreamKind
from tenants.models import LanguageModel
from tests.bank import Bank
from tests.proxy.batches.desk import CHAT, held_of, line, open_desk, read, run_worker
from tests.proxy.books import assert_balanced, read_books, settle_the_dead
from tests.world import Tenant, World, make_budget, make_catalog

Json = dict[str, Any]
LINES = 20
#: nano-USD of a line's answer, by the call and in the batch: 12 tokens out at 0.60 and 0.30 USD a million, and those in
USUAL, IN_BATCH = 8_400, 4_200


@pytest.fixture
def acme(committed_world: World, bank: Bank) -> Tenant:
    """Acme with an account at the bank, as if that were OpenAI, whose batches cost half."""
    acme = committed_world.acme
    catalog = make_catalog(
        acme, base_url=bank.base_url, kind=UpstreamKind.OPENAI, max_output_tokens=100, input_per_million=None
    )
    with org_scope(acme.org_id):
        create_price(
            actor=acme.owner,
            model=catalog.model,
            input_per_million=Decimal("0.15"),
            output_per_million=Decimal("0.60"),
            service_tiers={"batch": {"input_per_million": Decimal("0.075"), "output_per_million": Decimal("0.30")}},
        )
    make_budget(acme, "100.00")
    return acme


def run(
    acme: Tenant,
    lines: list[Json],
    *,
    endpoint: str = CHAT,
    cancel: bool = False,
    meanwhile: Callable[[], None] = lambda: None,
    minutes: Iterable[float] = (5, 10),
) -> tuple[Json, list[Json], list[Json]]:
    """Hand in, have it worked on until it is over; gives the batch, its answers and its errors. ``meanwhile`` happens
    while its upstream has it."""

    async def hand_in() -> Json:
        async with open_desk(acme) as desk:
            batch = read(await desk.hand_in(lines, endpoint=endpoint))
            assert batch["status"] == "in_progress", batch
            return batch

    async def collect() -> tuple[Json, list[Json], list[Json]]:
        async with open_desk(acme) as desk:
            over = await desk.look(batch)
            files = over["output_file_id"], over["error_file_id"]
            return over, await desk.read_lines(files[0]), await desk.read_lines(files[1])

    async def ask_for_its_end() -> None:
        async with open_desk(acme) as desk:
            await desk.ask("POST", f"/v1/batches/{batch['id']}/cancel")

    batch = asyncio.run(hand_in())
    run_worker(acme, looks=2)
    if cancel:
        asyncio.run(ask_for_its_end())
    meanwhile()
    for each in minutes:
        with time_machine.travel(clock.now() + timedelta(minutes=each), tick=True):
            run_worker(acme, looks=2)
    over = asyncio.run(collect())
    assert held_of(acme, batch) is None
    return over


def balance(acme: Tenant, bank: Bank) -> list[LedgerEntry]:
    """The books at the tier's price; gives the rows of lines."""
    books = assert_balanced(acme, bank, input_price="0.075", output_price="0.30")
    return [row for row in books.rows if row.endpoint != "batches"]


def test_a_batch_is_handed_on_and_costs_half(acme: Tenant, bank: Bank) -> None:
    over, answers, errors = run(acme, [line(number) for number in range(LINES)])
    assert over["status"] == "completed"
    assert over["request_counts"] == {"total": LINES, "completed": LINES, "failed": 0}
    assert [answer["custom_id"] for answer in answers] == [f"line-{number}" for number in range(LINES)]
    assert errors == []
    rows = balance(acme, bank)
    assert len(rows) == LINES
    assert {(row.effective_cost, row.list_cost) for row in rows} == {(IN_BATCH, USUAL)}
    assert {row.savings["batch"] for row in rows} == {USUAL - IN_BATCH}
    assert {(row.service_tier, row.is_estimated) for row in rows} == {("batch", False)}
    assert {row.attempts[-1]["service_tier"] for row in rows} == {"batch"}, "by which find_call_ms leaves them out"


def test_half_of_it_expires_and_some_is_refused(acme: Tenant, bank: Bank) -> None:
    bank.order_batches(answer=LINES // 2, fail=3)
    over, answers, errors = run(acme, [line(number) for number in range(LINES)])
    assert over["request_counts"] == {"total": LINES, "completed": 7, "failed": 13}
    assert [answer["custom_id"] for answer in answers] == [f"line-{number}" for number in range(3, 10)]
    assert [error["response"]["status_code"] for error in errors[:3]] == [400] * 3
    assert [error["error"]["code"] for error in errors[3:]] == ["batch_expired"] * 10
    rows = balance(acme, bank)
    assert sorted((row.status, row.effective_cost) for row in rows) == [(200, IN_BATCH)] * 7 + [(400, 0)] * 3


def test_one_that_the_upstream_will_not_run_fails_in_its_words(acme: Tenant, bank: Bank) -> None:
    bank.order_batches(refuse=True)
    _, answers, errors = run(acme, [line(0), line(1)])
    assert answers == []
    assert {error["error"]["code"] for error in errors} == {"batch_failed"}
    assert "told not to run" in errors[0]["error"]["message"]
    assert balance(acme, bank) == []


def test_one_that_was_made_without_an_answer_is_found_again(acme: Tenant, bank: Bank) -> None:
    bank.order_batches(hang_up=True)
    over, answers, _ = run(acme, [line(0), line(1)])
    assert (over["status"], len(answers), len(bank.bill())) == ("completed", 2, 2)
    balance(acme, bank)


def test_one_that_is_not_listed_yet_is_looked_for_again_before_another_is_made(acme: Tenant, bank: Bank) -> None:
    """A list may be seconds behind, and a second batch would be billed, too."""
    bank.order_batches(hang_up=True, hidden=2)
    over, answers, _ = run(acme, [line(0), line(1)], minutes=(0.1, 0.3, 0.6, 5, 10))
    assert (over["status"], len(answers), len(bank.bill())) == ("completed", 2, 2)
    assert [request.target for request in bank.calls_received()] == ["/v1/files", "/v1/batches"]
    balance(acme, bank)


def test_one_that_was_never_made_is_made_after_a_minute(acme: Tenant, bank: Bank) -> None:
    bank.order_batches(lose=True)
    over, answers, _ = run(acme, [line(0), line(1)], minutes=(0.1, 0.3, 2, 5, 10))
    assert (over["status"], len(answers), len(bank.bill())) == ("completed", 2, 2)
    assert [request.target for request in bank.calls_received()] == ["/v1/files", "/v1/batches", "/v1/batches"]
    balance(acme, bank)


def test_one_is_found_behind_pages_of_others(acme: Tenant, bank: Bank) -> None:
    bank.order_batches(hang_up=True, page=1)

    def hand_in_others() -> None:
        async def send() -> None:
            async with open_desk(acme) as desk:
                for number in (2, 3):
                    assert read(await desk.hand_in([line(number)]))["status"] == "in_progress"

        asyncio.run(send())
        run_worker(acme, looks=2)

    over, answers, _ = run(acme, [line(0), line(1)], meanwhile=hand_in_others)
    assert (over["status"], len(answers), len(bank.bill())) == ("completed", 2, 4)
    assert sum(request.target == "/v1/batches" for request in bank.calls_received()) == 3
    balance(acme, bank)


def test_one_that_is_cancelled_keeps_what_was_answered(acme: Tenant, bank: Bank) -> None:
    over, answers, _ = run(acme, [line(0), line(1)], cancel=True)
    assert (over["status"], len(answers)) == ("cancelled", 2)
    balance(acme, bank)


def test_one_that_was_perhaps_never_made_is_not_made_once_it_is_cancelled(acme: Tenant, bank: Bank) -> None:
    bank.order_batches(lose=True)
    over, answers, errors = run(acme, [line(0), line(1)], cancel=True, minutes=(0.1, 0.3, 2))
    assert (over["status"], answers, [error["error"]["code"] for error in errors]) == (
        "cancelled",
        [],
        ["cancelled"] * 2,
    )
    assert [request.target for request in bank.calls_received()] == ["/v1/files", "/v1/batches"]
    assert bank.bill() == []


@pytest.mark.parametrize("status", [400, 409])
def test_one_that_was_over_before_its_end_was_asked_for_is_settled(acme: Tenant, bank: Bank, status: int) -> None:
    bank.order_batches(too_late=status)
    over, answers, errors = run(acme, [line(0), line(1)], cancel=True)
    assert (over["status"], len(answers), errors) == ("cancelled", 2, [])
    assert [row.effective_cost for row in balance(acme, bank)] == [IN_BATCH] * 2


def test_what_was_answered_is_accounted_for_whatever_was_forbidden_since(acme: Tenant, bank: Bank) -> None:
    def forbid() -> None:
        with org_scope(acme.org_id):
            update_model(actor=acme.owner, model=LanguageModel.objects.get(org=acme.org), is_active=False)
            set_stopped(actor=acme.owner, target=acme.org, is_stopped=True)

    over, answers, errors = run(acme, [line(0), line(1)], meanwhile=forbid)
    assert (over["status"], len(answers), errors) == ("completed", 2, [])
    assert [row.effective_cost for row in balance(acme, bank)] == [IN_BATCH] * 2


def test_a_credential_that_an_upstream_repeats_comes_to_nobody(acme: Tenant, bank: Bank) -> None:
    bank.order_batches(echo=True)
    _, answers, errors = run(acme, [line(0)])
    assert answers == []
    message = errors[0]["error"]["message"]
    assert "I do not like your Bearer" in message
    assert "sk-acme" not in message


def test_answers_that_break_off_in_the_middle_of_a_line_are_read_again(acme: Tenant, bank: Bank) -> None:
    bank.order_batches(cut=1)
    over, answers, errors = run(acme, [line(number) for number in range(LINES)])
    assert (over["status"], len(answers), errors) == ("completed", LINES, [])
    assert [row.effective_cost for row in balance(acme, bank)] == [IN_BATCH] * LINES


def test_what_breaks_off_for_good_is_charged_as_what_nobody_said(acme: Tenant, bank: Bank) -> None:
    """The last line was answered, and billed: half of it says so."""
    bank.order_batches(cut=99)
    over, answers, errors = run(acme, [line(number) for number in range(LINES)], minutes=range(5, 45, 5))
    assert (over["status"], len(answers)) == ("completed", LINES - 1)
    # The bank writes its answers in another order.
    assert [(error["custom_id"], error["error"]["code"]) for error in errors] == [("line-0", "batch_expired")]
    settle_the_dead()
    rows = [row for row in read_books(acme, bank, "0.075", "0.30").rows if row.endpoint != "batches"]
    assert [row.effective_cost for row in rows if not row.error_code] == [IN_BATCH] * (LINES - 1)
    (unheard,) = (row for row in rows if row.error_code)
    assert (unheard.error_code, unheard.is_estimated) == ("upstream_silent", True)
    assert unheard.effective_cost == unheard.held > IN_BATCH


def test_answers_that_end_cleanly_before_their_end_are_no_whole_file(acme: Tenant, bank: Bank) -> None:
    """Eighteen were answered and two refused, the upstream says; of the eighteen two are not in the file. Sixteen and
    two are eighteen, too."""
    bank.order_batches(fail=2, short=2)
    minutes = range(5, 45, 5)
    over, answers, errors = run(acme, [line(number) for number in range(LINES)], minutes=minutes)
    assert (over["status"], len(answers)) == ("completed", LINES - 4)
    # The bank writes its answers from the last line to the first.
    assert [(error["custom_id"], error["error"] and error["error"]["code"]) for error in errors] == [
        *[(f"line-{number}", None) for number in (0, 1)],
        *[(f"line-{number}", "batch_expired") for number in (2, 3)],
    ]
    settle_the_dead()
    rows = [row for row in read_books(acme, bank, "0.075", "0.30").rows if row.endpoint != "batches"]
    assert sorted((row.error_code, row.is_estimated, row.effective_cost) for row in rows if not row.is_estimated) == [
        *[("", False, IN_BATCH)] * (LINES - 4),
        *[("upstream_error", False, 0)] * 2,
    ]
    unheard = [(row.error_code, row.effective_cost == row.held > IN_BATCH) for row in rows if row.is_estimated]
    assert unheard == [("upstream_silent", True)] * 2


def test_an_upstream_may_call_its_files_and_batches_by_paths(acme: Tenant, bank: Bank) -> None:
    bank.order_batches(folder="projects/7")
    over, answers, errors = run(acme, [line(0), line(1)])
    assert (over["status"], len(answers), errors) == ("completed", 2, [])
    asked = {request.target for request in bank.requests() if request.target.startswith("/v1/files/")}
    assert asked == {"/v1/files/projects/7/file-bank-output-2/content"}
    assert [row.effective_cost for row in balance(acme, bank)] == [IN_BATCH] * 2


def test_a_file_whose_name_cannot_be_asked_for_is_handed_on_once(acme: Tenant, bank: Bank) -> None:
    bank.order_batches(folder="projects/..")
    over, answers, errors = run(acme, [line(0)], minutes=(2, 4, 6))
    assert (over["status"], answers) == ("completed", [])
    assert [(error["error"]["code"], error["error"]["message"]) for error in errors] == [
        ("upstream_refused", "The upstream took the file under a name that cannot be asked for.")
    ]
    assert [request.target for request in bank.requests() if request.method == "POST"] == ["/v1/files"]
    assert balance(acme, bank) == []
    assert copies_of(acme) == []


def copies_of(acme: Tenant) -> list[str]:
    """What lies in the store of lines as an upstream gets them."""
    folder = Path(unquote(urlsplit(settings.FILES_URL).path)) / acme.org_id
    return [path.name for path in folder.iterdir() if ".upstream" in path.name]


def test_a_worker_that_dies_between_handing_a_file_on_and_deleting_its_copy_leaves_none(
    acme: Tenant, bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    delete, died = SealedFiles.delete, list[str]()

    async def die_once(files: SealedFiles, path: str) -> None:
        if path.endswith(".upstream") and not died:
            died.append(path)
            raise Unreachable("killed")
        await delete(files, path)

    monkeypatch.setattr(SealedFiles, "delete", die_once)
    left = []

    def look() -> None:
        left.extend(copies_of(acme))

    over, answers, _ = run(acme, [line(0)], meanwhile=look)
    assert (over["status"], len(answers), len(died), len(left)) == ("completed", 1, 1, 1)
    assert copies_of(acme) == []
    assert [request.target for request in bank.requests() if request.method == "POST"] == ["/v1/files", "/v1/batches"]


def test_a_file_that_its_upstream_will_not_give_is_asked_for_again_in_a_while(acme: Tenant, bank: Bank) -> None:
    """A credential that was replaced, perhaps. It was asked for twice a second."""
    bank.order_batches(gone=401)

    def look_for_it() -> None:
        with time_machine.travel(clock.now() + timedelta(minutes=2), tick=True):
            run_worker(acme, looks=2)
        asked = [request for request in bank.requests() if request.target.endswith("/content")]
        assert len(asked) == 1
        bank.order_batches()

    over, answers, errors = run(acme, [line(0), line(1)], meanwhile=look_for_it)
    assert (over["status"], len(answers), errors) == ("completed", 2, [])
    assert [row.effective_cost for row in balance(acme, bank)] == [IN_BATCH] * 2


@pytest.mark.parametrize(
    ("odd", "status", "code"),
    [
        ({"response": {"status_code": 99_999_999_999, "body": {}}}, 502, None),
        ({"response": {"status_code": -1, "body": {"error": "no"}}}, 502, None),
        ({"response": {"status_code": True, "body": {}}}, 502, None),
        ({"response": {"status_code": 200, "body": "no object"}}, 200, None),
        ({"response": None, "error": {"code": ["a", "list"], "message": {"a": 1}}}, None, "['a', 'list']"),
        ({"response": [], "error": []}, None, "batch_failed"),
    ],
)
def test_lines_that_say_what_there_is_not_fail_and_keep_nothing_waiting(
    acme: Tenant, bank: Bank, odd: Json, status: int | None, code: str | None
) -> None:
    bank.order_batches(odd=odd)
    over, answers, errors = run(acme, [line(0), line(1)])
    assert (over["status"], answers) == ("completed", [])
    assert over["request_counts"] == {"total": 2, "completed": 0, "failed": 2}
    assert [error["response"] and error["response"]["status_code"] for error in errors] == [status] * 2
    assert [error["error"] and error["error"]["code"] for error in errors] == [code] * 2


@pytest.mark.parametrize(
    "name",
    ["", "../x", "a/../b", "a//b", "/a", "a/", "a/.", "a\\b", "a?b", "a#b", "a\nb", "\0", "x" * 501, None, 7, ["a"]],
)
def test_a_name_that_is_none_is_asked_for_nowhere(name: Any) -> None:
    with pytest.raises(Unreachable):
        id_of({"id": name})


def test_an_answer_that_cannot_be_written_again_is_none() -> None:
    deep: Any = "x"
    for _ in range(400):
        deep = [deep]
    assert read_response({"response": {"status_code": 200, "body": deep}}) == (200, b"null")


def test_an_upstream_in_trouble_is_left_alone_for_longer_and_longer(acme: Tenant, bank: Bank) -> None:
    bank.order_batches(trouble=503)

    async def hand_in() -> None:
        async with open_desk(acme) as desk:
            await desk.hand_in([line(0)])

    asyncio.run(hand_in())
    run_worker(acme, looks=2)
    asked = [request for request in bank.requests() if request.target.startswith("/v1/files")]
    assert len(asked) <= 2, "it is asked again after two seconds, and then after four"
    bank.order_batches()
    for minutes in (5, 10):
        with time_machine.travel(clock.now() + timedelta(minutes=minutes), tick=True):
            run_worker(acme, looks=2)
    assert len(balance(acme, bank)) == 1


def test_a_long_answer_with_a_number_that_is_rounded_is_no_broken_line() -> None:
    raw = b'{"custom_id":"0197e9d4-0000-7000-8000-000000000001","response":{"n":%d,"text":"%b"}}'
    read = read_answer(raw % (2**64 + 1, b"x" * MOST_BYTES))
    assert read is not None
    assert read[1]["response"]["n"] == float(2**64)
