"""Which budgets a call must fit, and which counter of each."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from costhub.lib.moments import to_ms
from proxy.core.budgets import find_scopes, limit_with, list_rolling, make_scope, rolled_over
from proxy.values.windows import Scope
from tenants.snapshots import BudgetSnapshot, IncreaseSnapshot, RungSnapshot
from tests.proxy.core.examples import KEY, NOON_MS, ORG, make_budget

DAY_MS = 86_400_000
HOUR_MS = 3_600_000
MIDNIGHT_MS = NOON_MS - DAY_MS // 2


def find(*budgets: BudgetSnapshot, end_user: str = "ben", session: str = "run 7", **tags: str) -> tuple[Scope, ...]:
    org = replace(ORG, budgets=budgets)
    return find_scopes(org, KEY, end_user=end_user, model="small", tags=tags, session=session, at_ms=NOON_MS)


def subjects(*budgets: BudgetSnapshot, end_user: str = "ben", **tags: str) -> list[str]:
    return [scope.subject for scope in find(*budgets, end_user=end_user, **tags)]


@pytest.mark.parametrize(
    ("scope", "subject"),
    [
        ("organization", ORG.id),
        ("project", KEY.project_id),
        ("key", KEY.id),
        ("end_user", "ben"),
        ("model", "small"),
        ("tag", "team=search"),
        ("session", "run 7"),
    ],
)
def test_a_budget_counts_the_subject_that_it_names_and_a_default_one_every_subject(scope: str, subject: str) -> None:
    assert subjects(make_budget(scope), team="search") == [subject]
    assert subjects(make_budget(scope, subject=subject), team="search") == [subject]
    others = subjects(make_budget(scope, subject="another"), team="search")
    # An organisation's budget has no other organisation to count.
    assert others == ([ORG.id] if scope == "organization" else [])


def test_a_call_of_no_run_is_in_no_budget_of_runs() -> None:
    assert find(make_budget("session"), make_budget("session", subject="run 7"), session="") == ()


class TestOverrides:
    """A subject's own hard budget has the word; the default goes on counting, for when the exception ends."""

    DEFAULT = make_budget("end_user", id="default", limit_nanos=5)

    def hard(self, *budgets: BudgetSnapshot, **more: str) -> list[tuple[str, bool]]:
        return [
            (scope.budget_id, scope.is_lifted) for scope in find(*budgets, **more) if scope.is_hard or scope.is_lifted
        ]

    @pytest.mark.parametrize("limit", [1, 9])
    def test_more_or_less_than_the_others(self, limit: int) -> None:
        own = make_budget("end_user", id="own", subject="ben", limit_nanos=limit)
        for budgets in ((self.DEFAULT, own), (own, self.DEFAULT)):
            assert sorted(self.hard(*budgets)) == [("default", True), ("own", False)]
            (default,) = (scope for scope in find(*budgets) if scope.budget_id == "default")
            assert (default.is_hard, default.is_shadow) == (False, False)
        assert self.hard(self.DEFAULT, own, end_user="ann") == [("default", False)]

    @pytest.mark.parametrize(
        "other", [{"period": "month"}, {"action": "warn"}, {"is_shadow": True}, {"scope": "tag"}, {"action": "degrade"}]
    )
    def test_what_does_not_stand_in_for_it(self, other: dict[str, object]) -> None:
        own = make_budget(**{"scope": "end_user", "id": "own", "subject": "ben"} | other)  # type: ignore[arg-type]
        assert ("default", False) in self.hard(self.DEFAULT, own)

    def test_a_ladder_with_a_block_does(self) -> None:
        own = make_budget("end_user", id="own", subject="ben", action="degrade", ladder=(RungSnapshot(90, "block"),))
        assert sorted(self.hard(self.DEFAULT, own)) == [("default", True), ("own", False)]

    def test_of_an_organisation_all_budgets_hold(self) -> None:
        budgets = [make_budget(id=name) for name in ("one", "two")]
        assert self.hard(*budgets) == [("one", False), ("two", False)]


PROJECT = {"within_scope": "project", "within": KEY.project_id}
OWN_KEY = {"within_scope": "key", "within": KEY.id}
ELSEWHERE = {"within_scope": "project", "within": "another"}


class TestNarrowed:
    """Budgets of the calls of one project or key only."""

    @pytest.mark.parametrize("scope", ["end_user", "model", "tag", "session"])
    def test_it_counts_the_calls_of_its_place_only(self, scope: str) -> None:
        budgets = [
            make_budget(scope, id=str(number), **place) for number, place in enumerate((PROJECT, OWN_KEY, ELSEWHERE))
        ]
        assert [one.budget_id for one in find(*budgets, team="search")] == ["0", "1"]
        assert [(one.within_scope, one.within) for one in find(*budgets, team="search")] == [
            ("project", KEY.project_id),
            ("key", KEY.id),
        ]

    @pytest.mark.parametrize(
        ("own", "default", "is_lifted"),
        [
            ({}, {}, True),
            ({}, PROJECT, True),
            (PROJECT, PROJECT, True),
            (PROJECT, {}, False),
            (PROJECT, OWN_KEY, False),
            (OWN_KEY, PROJECT, False),
            (ELSEWHERE, {}, False),
        ],
    )
    def test_which_exception_lifts_which_default(
        self, own: dict[str, str], default: dict[str, str], is_lifted: bool
    ) -> None:
        budgets = (
            make_budget("end_user", id="default", **default),
            make_budget("end_user", id="own", subject="ben", **own),
        )
        assert {one.budget_id: one.is_lifted for one in find(*budgets)}["default"] is is_lifted
        assert {one.budget_id: one.is_lifted for one in find(*budgets, end_user="ann")} == {"default": False}


def test_a_shadow_is_not_hard() -> None:
    (scope,) = find(make_budget(is_shadow=True))
    assert (scope.is_hard, scope.is_shadow) == (False, True)
    (watching,) = find(make_budget(is_shadow=True, action="warn"))
    assert (watching.is_hard, watching.is_shadow) == (False, False)


def test_a_call_for_nobody_is_in_no_budget_of_end_users() -> None:
    assert subjects(make_budget("end_user"), make_budget("end_user", subject="ben"), end_user="") == []


def test_a_budget_of_tags_counts_each_tag_apart() -> None:
    assert subjects(make_budget("tag"), team="search", feature="x") == ["team=search", "feature=x"]
    assert subjects(make_budget("tag", subject="feature=x"), team="search", feature="x") == ["feature=x"]
    assert subjects(make_budget("tag", subject="feature"), feature="x") == []
    assert subjects(make_budget("tag")) == []


def test_scopes_keep_the_order_of_the_budgets() -> None:
    budgets = [make_budget(scope) for scope in ("key", "organization", "tag", "model")]
    kinds = [scope.kind for scope in find(*budgets, a="1", b="2")]
    assert kinds == ["key", "organization", "tag", "tag", "model"]


def test_a_scope_says_everything_that_the_reserve_needs() -> None:
    budget = make_budget("key", id="b1", period="day", limit_nanos=5, action="block")
    assert find(budget) == (
        Scope(
            budget_id="b1",
            kind="key",
            subject=KEY.id,
            period="day",
            counter=f"{{s07}}:budget:b1.0:{MIDNIGHT_MS}:{KEY.id}",
            limit=5,
            is_hard=True,
            is_whole=True,
            starts_ms=MIDNIGHT_MS,
            ends_ms=MIDNIGHT_MS + DAY_MS,
            own=5,
        ),
    )


@pytest.mark.parametrize(
    ("period", "starts", "ends"),
    [
        ("minute", datetime(2026, 3, 2, 12, 0, tzinfo=UTC), datetime(2026, 3, 2, 12, 1, tzinfo=UTC)),
        ("hour", datetime(2026, 3, 2, 12, tzinfo=UTC), datetime(2026, 3, 2, 13, tzinfo=UTC)),
        ("day", datetime(2026, 3, 2, tzinfo=UTC), datetime(2026, 3, 3, tzinfo=UTC)),
        ("week", datetime(2026, 3, 2, tzinfo=UTC), datetime(2026, 3, 9, tzinfo=UTC)),
        ("month", datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC)),
        ("total", datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)),
    ],
)
def test_the_period_is_part_of_the_counter(period: str, starts: datetime, ends: datetime) -> None:
    scope = make_scope(ORG, make_budget(period=period), ORG.id, NOON_MS)
    assert (scope.starts_ms, scope.ends_ms) == (to_ms(starts), to_ms(ends))
    assert scope.counter == f"{{s07}}:budget:of the organization.0:{to_ms(starts)}:{ORG.id}"


def test_periods_are_those_of_the_organisations_time_zone() -> None:
    scope = make_scope(replace(ORG, time_zone="Asia/Kolkata"), make_budget(), ORG.id, NOON_MS)
    assert scope.starts_ms == MIDNIGHT_MS - 5 * HOUR_MS - HOUR_MS // 2


@pytest.mark.parametrize(("action", "is_hard"), [("block", True), ("warn", False)])
def test_only_a_blocking_budget_is_hard(action: str, is_hard: bool) -> None:
    assert make_scope(ORG, make_budget(action=action), ORG.id, NOON_MS).is_hard is is_hard


@pytest.mark.parametrize(
    ("created_ms", "is_whole"),
    [(0, True), (MIDNIGHT_MS - 60_000, True), (MIDNIGHT_MS - 59_999, False), (NOON_MS, False)],
)
def test_a_missing_counter_is_a_true_zero_only_if_the_budget_saw_the_whole_period(
    created_ms: int, is_whole: bool
) -> None:
    """A budget of the last minute before it may not be known to every process when the period begins."""
    assert make_scope(ORG, make_budget(created_ms=created_ms), ORG.id, NOON_MS).is_whole is is_whole


def test_a_total_budget_never_saw_the_whole_of_time() -> None:
    assert make_scope(ORG, make_budget(period="total", created_ms=1), ORG.id, NOON_MS).is_whole is False


class TestIncreases:
    MINUTE_MS = 60_000

    def limit_at(self, at_ms: int, *increases: IncreaseSnapshot, **changes: Any) -> int:
        budget = make_budget(limit_nanos=100, increases=increases, **changes)
        org = replace(ORG, budgets=(budget,))
        (scope,) = find_scopes(org, KEY, end_user="", model="small", tags={}, session="", at_ms=at_ms)
        return scope.limit

    def test_one_holds_from_the_minute_in_which_it_was_made_until_its_end(self) -> None:
        one = IncreaseSnapshot(11, NOON_MS + 30_500, NOON_MS + 3 * self.MINUTE_MS)
        found = [self.limit_at(NOON_MS + ms, one) for ms in (-1, 0, 59_999, 179_999, 180_000)]
        assert found == [100, 111, 111, 111, 100]

    def test_several_add_up(self) -> None:
        ends = NOON_MS + self.MINUTE_MS
        assert self.limit_at(NOON_MS, IncreaseSnapshot(11, 0, ends), IncreaseSnapshot(22, 0, ends)) == 133

    def test_a_ladder_is_per_cent_of_the_sum(self) -> None:
        budget = make_budget(
            limit_nanos=100,
            action="degrade",
            ladder=(RungSnapshot(50, "shorter_output", max_tokens=7), RungSnapshot(90, "block")),
            increases=(IncreaseSnapshot(100, 0, NOON_MS + self.MINUTE_MS),),
        )
        (scope,) = find(budget)
        assert (scope.limit, scope.steps[0][0], scope.own, scope.increased) == (180, 100, 100, 100)


class TestRollover:
    """A budget of 100 a day, older than yesterday."""

    def scope(self, **changes: Any) -> Scope:
        return make_scope(ORG, make_budget(limit_nanos=100, rollover=True, **changes), ORG.id, NOON_MS)

    def test_it_knows_the_period_before(self) -> None:
        scope = self.scope()
        assert scope.before is not None
        assert scope.before.counter == scope.counter.replace(str(MIDNIGHT_MS), str(MIDNIGHT_MS - DAY_MS))
        assert scope.before.before is None

    @pytest.mark.parametrize(
        ("created_ms", "rolls"),
        [
            (MIDNIGHT_MS - DAY_MS - 60_000, True),
            (MIDNIGHT_MS - DAY_MS - 59_999, False),
            (MIDNIGHT_MS, False),
            (NOON_MS, False),
        ],
    )
    def test_of_a_period_that_the_budget_did_not_see_whole_nothing_is_left(self, created_ms: int, rolls: bool) -> None:
        assert (self.scope(created_ms=created_ms).before is not None) is rolls

    @pytest.mark.parametrize(
        ("spent", "held", "after_ms", "rolled"),
        [
            (30, 0, HOUR_MS, 70),
            (0, 0, HOUR_MS, 100),
            (100, 0, HOUR_MS, 0),
            (170, 0, HOUR_MS, 0),
            (30, 1, HOUR_MS, 0),
            (30, 0, 120_000, 70),
            (30, 0, 119_999, 0),
        ],
    )
    def test_what_was_left_is_added(self, spent: int, held: int, after_ms: int, rolled: int) -> None:
        scope = self.scope()
        assert rolled_over(scope, spent, held, MIDNIGHT_MS + after_ms) == rolled
        assert limit_with(scope, rolled) == 100 + rolled

    def test_its_counter_is_kept_through_the_next_month(self) -> None:
        scope = self.scope(period="month")
        assert scope.kept_until_ms == scope.ends_ms + 40 * DAY_MS
        assert make_scope(ORG, make_budget(), ORG.id, NOON_MS).kept_until_ms == MIDNIGHT_MS + 9 * DAY_MS

    def test_a_default_that_is_lifted_asks_for_nothing(self) -> None:
        default = make_budget("end_user", id="default", rollover=True)
        own = make_budget("end_user", id="own", subject="ben", rollover=True)
        assert [scope.budget_id for _, scope, _ in list_rolling(find(default, own))] == ["own"]
        assert list_rolling(find(make_budget(rollover=True, action="warn"))) == []
