"""A page of lines, cut out by PostgreSQL, says what sums of all rows say."""

from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

import pytest

from billing.spend.filters import LedgerFilters
from billing.spend.selectors import Lines, Wanted, find_lines
from tenants.access import org_scope
from tenants.actions.end_users import create_end_user
from tests.billing.ledger import NOW, record_call
from tests.billing.rollups import read_spend
from tests.world import Tenant, World

DAY: Final = timedelta(days=1)
NOW_SPAN: Final = (NOW - DAY * 3, NOW)
BEFORE: Final = (NOW - DAY * 6, NOW - DAY * 3)


def find(tenant: Tenant, group: str = "end_user", wanted: Wanted = Wanted(), **more: Any) -> Lines:  # noqa: B008
    with org_scope(tenant.org.pk):
        return find_lines(tenant.owner, group, NOW_SPAN, wanted, **{"before": BEFORE, **more})


def keys(lines: Lines) -> list[str]:
    return [line.key for line in lines.rows]


@pytest.fixture
def acme(world: World) -> Tenant:
    """Calls of Zoe and ben, of nobody, of one who came no more and of somebody else's."""
    for end_user, cost, before, times in (("Zoe", 5, 50, 1), ("ben", 20, 0, 3), ("", 7, 7, 1), ("gone", 0, 1_000, 0)):
        for _ in range(times):
            record_call(
                world.acme, NOW - DAY, cost=cost, end_user=end_user, request_model="small", tags={"a": end_user}
            )
        if before:
            record_call(world.acme, NOW - DAY * 4, cost=before, end_user=end_user, request_model="large")
    record_call(world.mallcorp, NOW - DAY, cost=9_000, end_user="Zoe")
    return world.acme


class TestLines:
    def test_each_line_is_the_sum_of_its_rows_against_those_before(self, acme: Tenant) -> None:
        lines = find(acme)
        assert [(line.key, line.label, line.change.now, line.change.before) for line in lines.rows] == [
            ("ben", "ben", 60, 0),
            ("", "(none)", 7, 7),
            ("Zoe", "Zoe", 5, 50),
        ]
        assert [line.totals.requests for line in lines.rows] == [3, 1, 1]
        assert (lines.count, lines.total.effective_cost, lines.total.requests) == (3, 72, 5)
        assert (lines.change.now, lines.change.before) == (72, 1_057)
        assert lines.mover is not None
        assert lines.mover.key == "ben"

    @pytest.mark.parametrize("order", ["spend", "name", "requests"])
    def test_against_the_stretch_before_of_those_that_are_shown_alone(self, acme: Tenant, order: str) -> None:
        for most, first, text in ((50, 0, ""), (1, 1, ""), (50, 0, "zo"), (50, 0, "gone")):
            wanted = Wanted(order=order, text=text, most=most, first=first)
            whole, shown = find(acme, wanted=wanted), find(acme, wanted=wanted, with_mover=False)
            assert shown == replace(whole, mover=None)
        for filters in (LedgerFilters(project=acme.project.pk), LedgerFilters(model="small")):
            whole, shown = (find(acme, filters=filters, with_mover=mover) for mover in (True, False))
            assert shown == replace(whole, mover=None)
        moved = find(acme, wanted=Wanted(order="change"), with_mover=False)
        assert moved.mover is not None

    def test_sums_that_are_larger_than_any_are_as_large_as_they_may_be(self, acme: Tenant) -> None:
        for _ in range(2):
            record_call(acme, NOW - DAY, cost=6 * 10**18, end_user="rich")
        (line, *_) = find(acme).rows
        assert (line.key, line.totals.effective_cost, line.totals.requests) == ("rich", 9 * 10**18, 2)
        assert find(acme, with_mover=False).total.effective_cost == 9 * 10**18

    def test_sums_that_a_whole_number_holds_are_no_larger_than_any_other(self, acme: Tenant) -> None:
        """The same as a tile, a chart and an invoice say of them, added up in either way."""
        for cost in (5 * 10**18, 41 * 10**17):
            for day in (DAY, DAY * 4):
                record_call(acme, NOW - day, cost=cost, end_user="rich")
        for with_mover in (True, False):
            found = find(acme, with_mover=with_mover)
            (line, *_) = found.rows
            assert (line.change.now, line.change.before) == (9 * 10**18, 9 * 10**18)
            assert (found.change.now, found.change.before) == (9 * 10**18, 9 * 10**18)

    @pytest.mark.parametrize("group", ["model", "project", "key", "upstream", "status", "end_user", "tag:a"])
    def test_by_whatever_the_sums_are_those_of_all_groups(self, acme: Tenant, group: str) -> None:
        lines, spend = find(acme, group), read_spend(acme, *NOW_SPAN, group)
        totals = {row.group[group]: replace(row.totals, list_cost=0) for row in spend.rows}
        assert {line.key: line.totals for line in lines.rows} == totals
        names = {row.group[group]: row.labels.get(group) or row.group[group] or "(none)" for row in spend.rows}
        assert {line.key: line.label for line in lines.rows} == names
        assert lines.total == replace(spend.total, list_cost=0)

    @pytest.mark.parametrize(
        ("wanted", "expected"),
        [
            (Wanted("name", is_falling=False), ["", "ben", "Zoe"]),
            (Wanted("name", is_falling=True), ["Zoe", "ben", ""]),
            (Wanted("requests", is_falling=False), ["", "Zoe", "ben"]),
            (Wanted("change", is_falling=False), ["Zoe", "", "ben"]),
            (Wanted("spend", first=1, most=1), [""]),
            (Wanted("spend", first=3), []),
            (Wanted("tokens", text="ZO"), ["Zoe"]),
            (Wanted("spend", text="e"), ["ben", "", "Zoe"]),
            (Wanted("spend", text="%"), []),
        ],
    )
    def test_a_page_is_searched_ordered_and_cut(self, acme: Tenant, wanted: Wanted, expected: list[str]) -> None:
        lines = find(acme, wanted=wanted)
        assert keys(lines) == expected
        assert lines.count == (len(expected) if wanted.text else 3)
        assert lines.total.effective_cost == 72

    def test_filters_hold_for_both_stretches(self, acme: Tenant) -> None:
        lines = find(acme, filters=LedgerFilters(model="large"))
        assert (keys(lines), lines.change.before) == ([], 1_057)
        assert lines.mover is None
        assert find(acme, before=None).change.before == 0

    def test_who_is_known_is_a_line_and_nobody_is_none(self, acme: Tenant) -> None:
        with org_scope(acme.org.pk):
            create_end_user(actor=acme.owner, external_id="quiet", name="Quentin")
        assert keys(find(acme, with_known=True)) == ["ben", "Zoe", "quiet"]
        assert keys(find(acme, wanted=Wanted(text="quent"), with_known=True)) == ["quiet"]
        assert "quiet" not in keys(find(acme))
