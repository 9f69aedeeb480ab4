"""What follows from a path's budgets and windows: made once, and never handed to another path."""

import struct
from dataclasses import replace

from proxy.core import layout
from proxy.core.budgets import ADMISSION_MS, find_scopes
from proxy.core.layout import lay_out, watch
from proxy.core.rate_limits import find_rates
from proxy.values.windows import Layout
from tenants.snapshots import BudgetSnapshot, OrgSnapshot, RateLimitSnapshot, RungSnapshot
from tests.proxy.core.examples import KEY, NOON_MS, ORG, make_budget

MINUTE_MS = 60_000


def a_minute(scope: str, unit: str, amount: int, *, is_shadow: bool = False, ms: int = MINUTE_MS) -> RateLimitSnapshot:
    return RateLimitSnapshot(f"{scope}-{unit}", scope, "", unit, amount, ms, is_shadow)


def find(*limits: BudgetSnapshot | RateLimitSnapshot, version: int = 1, at_ms: int = NOON_MS) -> Layout:
    budgets = tuple(limit for limit in limits if isinstance(limit, BudgetSnapshot))
    rates = tuple(limit for limit in limits if isinstance(limit, RateLimitSnapshot))
    return lay(replace(ORG, version=version, budgets=budgets, rate_limits=rates), at_ms)


def lay(org: OrgSnapshot, at_ms: int = NOON_MS) -> Layout:
    path = {"end_user": "", "model": "small", "tags": {}, "session": ""}
    return lay_out(find_scopes(org, KEY, **path, at_ms=at_ms), find_rates(org, KEY, **path))  # type: ignore[arg-type]


def numbers_of(found: Layout) -> tuple[float, ...]:
    return struct.unpack(f"<{len(found.numbers) // 8}d", found.numbers)


def test_the_same_path_has_the_same_one_until_the_minute_is_over() -> None:
    org = replace(ORG, budgets=(make_budget(),), rate_limits=(a_minute("key", "requests", 5),))
    assert lay(org) is lay(org, NOON_MS + MINUTE_MS - 1)
    later = lay(org, NOON_MS + MINUTE_MS)
    assert later is not lay(org)
    assert (later.keys, later.numbers) == (lay(org).keys, lay(org).numbers)


def test_keys_and_numbers_are_in_the_order_in_which_the_script_reads_them() -> None:
    soft, rolling = make_budget(id="soft", action="warn"), make_budget(id="rolling", period="day", rollover=True)
    found = find(soft, rolling, a_minute("key", "requests", 5), a_minute("organization", "concurrent", 2, ms=0))
    (one, two), (window, under_way) = found.scopes, found.rates
    assert two.before is not None
    assert found.counters == (one.counter, two.counter)
    logs = (window.log, window.total, under_way.log, under_way.total)
    assert found.keys == (one.counter, two.counter, *logs, two.before.counter)
    assert found.windows == f"{window.name} 60000\n{under_way.name} 0\n"
    assert logs == tuple(f"{each.name}:{what}" for each in found.rates for what in ("calls", "total"))
    assert numbers_of(found) == (
        *(-1, one.is_whole, one.kept_until_ms, False),
        *(two.limit, two.is_whole, two.kept_until_ms, False),
        *(60_000, 5, -1, -1, False),
        *(0, 2, -1, -1, False),
        *(2, two.own, two.own, 100, two.starts_ms + 120_000),
    )
    assert (found.rolling, found.closes_ms) == (1, two.ends_ms + ADMISSION_MS)


def test_a_ladder_has_its_place_among_all_budgets() -> None:
    ladder = make_budget(id="ladder", action="degrade", ladder=(RungSnapshot(80, "shorter_output", max_tokens=7),))
    found = find(make_budget(id="plain"), ladder)
    assert [(place, scope.budget_id) for place, scope in found.ladders] == [(2, "ladder")]
    assert not found.rolling


def test_what_may_cut_an_answer_short() -> None:
    assert find(make_budget()).is_capping
    assert find(a_minute("key", "tokens", 5)).is_capping
    assert find(a_minute("key", "usd", 5)).is_capping
    assert not find(make_budget(action="warn"), a_minute("key", "requests", 5)).is_capping
    assert not find(a_minute("key", "tokens", 5, is_shadow=True)).is_capping


def test_of_very_many_paths_all_are_forgotten_at_once_and_none_is_mistaken() -> None:
    """Tuples of other paths may come to lie where those of earlier ones lay."""
    for version in range(2 * layout._MOST_REMEMBERED + 10):
        found = find(make_budget(limit_nanos=version + 1), version=version)
        assert numbers_of(found)[0] == version + 1
    assert len(layout._remembered) <= layout._MOST_REMEMBERED


class TestWatched:
    def test_it_is_counted_everywhere_and_refused_by_no_budget(self) -> None:
        found = find(
            make_budget(id="hard"),
            make_budget(id="shadow", action="shadow"),
            make_budget(id="rolling", rollover=True),
            make_budget(id="ladder", action="degrade", ladder=(RungSnapshot(80, "shorter_output", max_tokens=7),)),
            make_budget("model", id="of small", subject="small"),
            a_minute("key", "requests", 5),
        )
        watched = watch(found, "small", "small")
        assert watched.counters == found.counters
        assert (watched.rolling, watched.ladders, watched.rates) == (0, (), found.rates)
        limits = numbers_of(watched)[: 4 * len(found.counters)]
        assert (set(limits[::4]), set(limits[3::4])) == ({-1}, {0})
        # As long as theirs, or a counter that it makes would be forgotten before its time.
        assert [one.kept_until_ms for one in watched.scopes] == [one.kept_until_ms for one in found.scopes]
        assert watch(found, "small", "small") is watched

    def test_it_is_spend_of_the_model_that_was_asked_for_whichever_would_have_served(self) -> None:
        budgets = (
            make_budget(),
            make_budget("model", id="of small", subject="small"),
            make_budget("model", id="of large", subject="large"),
        )
        org = replace(ORG, budgets=budgets)
        path = {"end_user": "", "tags": {}, "session": "", "at_ms": NOON_MS}
        small, large = (find_scopes(org, KEY, model=name, **path) for name in ("small", "large"))  # type: ignore[arg-type]
        ids = [one.budget_id for one in watch(lay_out(large, (), small), "small", "large").scopes]
        assert ids == ["of the organization", "of small"]
        # The model that was asked for has no budget, so the path names none of it.
        assert [one.budget_id for one in watch(lay_out(large, ()), "small", "large").scopes] == ["of the organization"]


def test_the_budgets_of_a_model_that_was_not_asked_for_are_its_own_wherever_they_lie_in_memory() -> None:
    """A tuple that nobody keeps leaves its address to the next one."""
    asked = find(replace(make_budget(), id="asked", scope="model", subject="small")).scopes
    rates = find().rates
    for number in range(50):
        held = (*find(make_budget(id=f"budget-{number}")).scopes, *asked)[:1]
        name = held[0].counter
        found = lay_out(held, rates, asked)
        del held
        assert found.counters == (name,)
