"""What takes long is done in a thread, and the job is looked after meanwhile."""

import threading

import pytest

from proxy.learning.interruptions import Interruption
from proxy.learning.leases import Cancelled
from proxy.learning.renewing import run_while_renewing
from tests.patience import PATIENCE_SECONDS


def test_it_gives_what_was_made_and_rests_all_the_while() -> None:
    rested = threading.Event()

    def work() -> int:
        # As long as it takes until somebody has looked after the job.
        assert rested.wait(PATIENCE_SECONDS)
        return 7

    def rest() -> bool:
        rested.set()
        return False

    assert run_while_renewing(work, rest, Interruption()) == 7


def test_what_fails_there_fails_here() -> None:
    def work() -> None:
        raise MemoryError("too large")

    with pytest.raises(MemoryError, match="too large"):
        run_while_renewing(work, lambda: False, Interruption())


def test_a_notice_waits_for_nobody() -> None:
    goes_on = threading.Event()
    try:
        assert run_while_renewing(goes_on.wait, lambda: True, Interruption()) is None
    finally:
        goes_on.set()


def test_a_job_that_is_cancelled_ends_when_nothing_is_loaded_any_more() -> None:
    cancelled, ended = threading.Event(), threading.Event()

    def work() -> None:
        assert cancelled.wait(PATIENCE_SECONDS)
        ended.set()

    def rest() -> bool:
        cancelled.set()
        raise Cancelled("The job was cancelled.")

    with pytest.raises(Cancelled):
        run_while_renewing(work, rest, Interruption())
    assert ended.is_set()
