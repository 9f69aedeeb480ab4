"""A bridge of two large months: `make soak`; COSTHUB_BRIDGE_ROWS sets how many rows both have together."""

import os
from datetime import UTC, datetime, timedelta

import pytest

from billing.spend.actions.rollups import roll_up
from billing.spend.selectors.bridge import find_bridge
from costhub.lib import clock
from tenants.access import org_scope
from tests.billing.many_rows import fill_ledger, sum_of
from tests.world import World

ROWS = int(os.environ.get("COSTHUB_BRIDGE_ROWS", "200000"))
CHUNK = 100_000
SEPTEMBER, OCTOBER = (datetime(2026, month, 1, tzinfo=UTC) for month in (9, 10))
MONTH = timedelta(days=30)


@pytest.mark.soak
def test_a_bridge_of_two_large_months(committed_world: World) -> None:
    acme = committed_world.acme
    each = ROWS // 2
    for start, share in ((SEPTEMBER, 0), (OCTOBER, 1)):
        for first in range(0, each, CHUNK):
            fill_ledger([acme.org.pk], start, min(CHUNK, each - first) - share)
    before = clock.monotonic_ns()
    while roll_up():
        pass
    rolled = (clock.monotonic_ns() - before) / 1e9
    with org_scope(acme.org.pk):
        before = clock.monotonic_ns()
        found = find_bridge(acme.owner, before=(SEPTEMBER, SEPTEMBER + MONTH), after=(OCTOBER, OCTOBER + MONTH)).bridge
        took = (clock.monotonic_ns() - before) / 1e9
    print(f"a bridge of {ROWS} rows in {took:.3f} s; their sums took {rolled:.0f} s")
    whole, rest = divmod(each, CHUNK)
    sums = [whole * sum_of(CHUNK - share) + (sum_of(rest - share) if rest else 0) for share in (0, 1)]
    assert (found.before, found.after) == tuple(sums)
    assert sum(part.nanos for part in found.parts) == found.change
    assert took < 2
