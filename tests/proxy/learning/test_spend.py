"""What training costs: once in the ledger, and once in the budgets that it falls under."""

from datetime import timedelta
from uuid import uuid4

import pytest

from costhub.lib import clock
from proxy.learning.spend import charge_segment, price_segment
from proxy.ledger import drain, recount
from tenants.choices import BudgetScope
from tests.proxy.edges.entries import find_scope, line_of, read_ledger
from tests.proxy.edges.till import Till
from tests.world import Tenant, make_budget


@pytest.mark.parametrize(
    ("per_hour", "milliseconds", "nanos"),
    [
        (0, 10_000, 0),
        (3_600_000, 1, 1),
        (3_600_001, 1, 2),
        (2_500_000_000, 3_600_000, 2_500_000_000),
        (1, 1, 1),
        (10**9, 0, 0),
        (10**9, -5, 0),
    ],
)
def test_time_is_priced_up_to_a_whole_nano(per_hour: int, milliseconds: int, nanos: int) -> None:
    now = clock.now()
    assert price_segment(per_hour, now, now + timedelta(milliseconds=milliseconds)) == nanos


def test_a_segment_is_posted_once_and_a_recount_agrees(acme: Tenant, till: Till) -> None:
    budgets = [
        (make_budget(acme, "1"), ""),
        (make_budget(acme, "1", scope=BudgetScope.PROJECT), str(acme.project.pk)),
        (make_budget(acme, "1", scope=BudgetScope.MODEL), "topics"),
    ]
    recount.recount(till.shard, "", ())
    job, now = uuid4(), clock.now()

    def charge(fence: int, nanos: int) -> bool:
        return charge_segment(
            *(acme.org.pk, acme.project.pk, job, "topics", fence), *(now, now + timedelta(seconds=3), nanos)
        )

    assert charge(1, 700)
    assert not charge(1, 700)
    assert charge(2, 30)
    lines = [line_of(find_scope(acme, budget, subject)) for budget, subject in budgets]
    assert [till.read(line) for line in lines] == [(730, 0)] * 3
    assert drain.drain(till.shard) == 2
    rows = read_ledger(acme)
    assert sorted((row.kind, row.request_model, row.effective_cost, row.list_cost) for row in rows) == [
        ("training", "topics", 30, 30),
        ("training", "topics", 700, 700),
    ]
    assert {(row.provider, row.duration_us, row.status, row.input_tokens) for row in rows} == {
        ("costhub", 3_000_000, 200, 0)
    }
    recount.recount(till.shard, "", ())
    assert [till.read(line) for line in lines] == [(730, 0)] * 3
