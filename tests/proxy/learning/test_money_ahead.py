"""Money for training is set aside before a worker begins, and again before it runs out."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.db import transaction

from costhub.lib import clock
from costhub.lib.money import parse_usd
from proxy.learning.choices import JobState
from proxy.learning.jobs import cancel_training_job
from proxy.learning.leases import AHEAD, NotHeld, keep_job, leave_job, take_job_of
from proxy.learning.models import TrainingJob
from proxy.ledger import recount
from proxy.ledger.charges import hold_ahead
from tenants.access import org_scope
from tenants.choices import BudgetPeriod
from tests.proxy.edges.entries import find_scope, line_of
from tests.proxy.edges.till import Till
from tests.proxy.learning.rows import read_own
from tests.proxy.learning.test_gpu_worker import ask, read
from tests.world import Tenant, make_budget

PER_HOUR = parse_usd("6")
NOW = clock.now().replace(microsecond=0)


@pytest.fixture(autouse=True)
def leave_no_job(acme: Tenant) -> Iterator[None]:
    """Whoever trains next would take it."""
    yield
    with org_scope(acme.org.pk):
        TrainingJob.objects.filter(org=acme.org).update(state="cancelled", segment_from=None, segment_until=None)


def charged(tenant: Tenant, kind: str) -> list[dict[str, Any]]:
    return [event for event in read_own(tenant) if event["kind"] == kind]


def test_ten_minutes_are_held_and_what_was_not_used_is_given_back(acme: Tenant, till: Till) -> None:
    line = line_of(find_scope(acme, make_budget(acme, "10.00", period=BudgetPeriod.TOTAL)))
    recount.recount(till.shard, "", ())
    job = ask(acme, per_hour_nanos=PER_HOUR)
    with time_machine.travel(NOW, tick=False):
        lease = take_job_of(acme.org.pk, "gpu-1")
        assert lease is not None
        assert till.read(line) == (0, parse_usd("1"))
    with time_machine.travel(NOW + AHEAD - timedelta(seconds=30), tick=False):
        keep_job(lease, step=1, steps=9, loss=1.0)
        assert till.read(line) == (0, parse_usd("2"))
        assert read(job).held_nanos == parse_usd("2")
    with time_machine.travel(NOW + AHEAD, tick=False):
        leave_job(lease, JobState.DONE)
        assert till.read(line) == (parse_usd("1"), 0)
    (row,) = charged(acme, "training")
    assert (row["effective_cost"], read(job).spent_nanos) == (parse_usd("1"), parse_usd("1"))


def test_a_job_that_no_budget_takes_waits_and_lets_others_go_first(acme: Tenant, till: Till) -> None:
    line = line_of(find_scope(acme, make_budget(acme, "0.50", period=BudgetPeriod.TOTAL)))
    recount.recount(till.shard, "", ())
    dear, cheap = ask(acme, "dear", per_hour_nanos=PER_HOUR), ask(acme, "cheap", per_hour_nanos=PER_HOUR // 10)
    lease = take_job_of(acme.org.pk, "gpu-1")
    assert lease is not None
    assert lease.job_id == cheap.pk
    waits = read(dear)
    assert (waits.state, waits.fence, waits.held_nanos) == ("waiting", 1, 0)
    assert waits.error.startswith("The total budget of the organization cannot take this call: of $0.500000000")
    assert till.read(line) == (0, parse_usd("0.10"))


def test_a_job_whose_budget_runs_out_stops_before_it_is_overspent(acme: Tenant, till: Till) -> None:
    line = line_of(find_scope(acme, make_budget(acme, "1.50", period=BudgetPeriod.TOTAL)))
    recount.recount(till.shard, "", ())
    ask(acme, per_hour_nanos=PER_HOUR)
    with time_machine.travel(NOW, tick=False):
        lease = take_job_of(acme.org.pk, "gpu-1")
    assert lease is not None
    with time_machine.travel(NOW + AHEAD - timedelta(seconds=30), tick=False):
        with pytest.raises(NotHeld, match="cannot take this call"):
            keep_job(lease, step=1, steps=9, loss=1.0)
        leave_job(lease, JobState.WAITING, "no money")
        assert till.read(line) == (parse_usd("0.95"), 0)


def test_no_more_is_held_than_the_job_may_cost(acme: Tenant, till: Till) -> None:
    line = line_of(find_scope(acme, make_budget(acme, "10.00", period=BudgetPeriod.TOTAL)))
    recount.recount(till.shard, "", ())
    ask(acme, per_hour_nanos=PER_HOUR, most_nanos=parse_usd("0.25"))
    assert take_job_of(acme.org.pk, "gpu-1") is not None
    assert till.read(line) == (0, parse_usd("0.25"))


class Killed(BaseException):
    """What SIGKILL is to a test."""


def test_what_a_worker_held_that_died_then_is_given_back_when_the_job_is_cancelled(
    acme: Tenant, till: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = line_of(find_scope(acme, make_budget(acme, "10.00", period=BudgetPeriod.TOTAL)))
    recount.recount(till.shard, "", ())
    job = ask(acme, per_hour_nanos=PER_HOUR)

    def hold_and_die(*args: Any) -> None:
        hold_ahead(*args)
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed), transaction.atomic():
        patch.setattr("proxy.learning.leases.hold_ahead", hold_and_die)
        take_job_of(acme.org.pk, "gpu-1")
    assert till.read(line) == (0, parse_usd("1"))
    assert (read(job).state, read(job).fence) == ("waiting", 0)
    with org_scope(acme.org.pk):
        cancel_training_job(actor=acme.owner, job=job)
    assert till.read(line) == (0, 0)
    assert [row["effective_cost"] for row in charged(acme, "training")] == [0]


def test_a_job_that_nobody_had_leaves_no_row_when_it_is_cancelled(acme: Tenant) -> None:
    job = ask(acme, per_hour_nanos=PER_HOUR)
    with org_scope(acme.org.pk):
        cancel_training_job(actor=acme.owner, job=job)
    assert charged(acme, "training") == []
