"""Lines in PostgreSQL: read in parts of a size that a worker can hold."""

from datetime import timedelta

from django.db import connection
from django.test.utils import CaptureQueriesContext

from costhub.lib import clock
from proxy.batches import store
from proxy.batches.line import find_next_try
from proxy.batches.results import Result, read_answers, save_results
from proxy.errors import GovernanceUnavailable
from tenants.sealed_rows import OpenSealer
from tests.proxy.batches.desk import run_worker
from tests.proxy.batches.test_two_workers import hand_in
from tests.world import Tenant


def test_answers_are_read_so_many_bytes_at_a_time(acme: Tenant) -> None:
    batch = hand_in(acme, 5)
    lines = store.claim_lines(batch, 5, 10**6)
    sizes = [10, 60, 30, 200, 5]
    results = [
        Result(one.number, one.request_id, store.DONE, b"%d" % one.number * (size - 1) + b"\n")
        for one, size in zip(lines, sizes, strict=True)
    ]
    save_results(batch, results)
    parts, after = [], 0
    # What is counted is what is read: each is longer as it lies, sealed.
    while part := read_answers(batch, store.DONE, after, 3, 100 + 3 * OpenSealer.ROOM):
        parts.append(part)
        after = part[0]
    texts = [b"%d" % number * (size - 1) + b"\n" for number, size in enumerate(sizes, 1)]
    assert parts == [(3, b"".join(texts[:3])), (4, texts[3]), (5, texts[4])]
    run_worker(acme)


def test_no_transaction_is_opened_to_note_answers_or_to_read_them(acme: Tenant) -> None:
    """A few lines come at a time, thousands of times: what a transaction takes beside its statement took longer."""
    batch = hand_in(acme, 2)
    results = [Result(one.number, one.request_id, store.DONE, b"{}\n") for one in store.claim_lines(batch, 2, 10**6)]
    with CaptureQueriesContext(connection) as seen:
        save_results(batch, results)
        assert read_answers(batch, store.DONE, 0, 2, 10**6) == (2, b"{}\n{}\n")
    # What goes in one round trip passes Django by.
    assert [each["sql"] for each in seen] == []
    run_worker(acme)


def test_a_line_that_waits_for_hours_is_asked_every_five_minutes() -> None:
    for tries, seconds in ((1, 5), (2, 10), (6, 160), (7, 300), (5_000, 300)):
        pause = find_next_try(GovernanceUnavailable("Valkey is away."), tries) - clock.now()
        assert timedelta(seconds=seconds - 1) < pause <= timedelta(seconds=seconds)
