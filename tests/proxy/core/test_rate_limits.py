"""Which windows a call must fit, and what it is told of them."""

from dataclasses import replace
from typing import Any

import pytest

from proxy.core.rate_limits import cap_output, describe, find_rates, format_span, list_told
from proxy.values.plan import Bound
from proxy.values.windows import NO_LIMIT, Rate
from tenants.choices import BudgetScope, LimitUnit
from tenants.snapshots import RateLimitSnapshot
from tests.proxy.core.examples import KEY, ORG

MINUTE = 60_000
DOLLAR = 10**9


def limit(
    amount: int,
    unit: LimitUnit = LimitUnit.REQUESTS,
    *,
    scope: BudgetScope = BudgetScope.KEY,
    subject: str = "",
    window_ms: int = MINUTE,
    is_shadow: bool = False,
    within: tuple[str, str] = ("", ""),
) -> RateLimitSnapshot:
    name = f"{scope}-{subject}-{unit}-{amount}"
    return RateLimitSnapshot(name, scope, subject, unit, amount, window_ms, is_shadow, *within)


def rates_of(*limits: RateLimitSnapshot, end_user: str = "ada", tags: dict[str, str] | None = None) -> list[Rate]:
    org = replace(ORG, version=ORG.version + 1 + len(limits), rate_limits=limits)
    return list(find_rates(org, KEY, end_user=end_user, model="small", tags=tags or {}, session="run 7"))


def amounts(rate: Rate) -> tuple[int, int, int]:
    return rate.requests, rate.tokens, rate.nanos


def test_without_limits_there_are_no_windows() -> None:
    assert rates_of() == []


def test_the_units_of_one_window_share_it() -> None:
    (rate,) = rates_of(limit(3), limit(1_000, LimitUnit.TOKENS), limit(DOLLAR, LimitUnit.USD))
    assert amounts(rate) == (3, 1_000, DOLLAR)
    assert (rate.kind, rate.subject, rate.window_ms, rate.is_shadow) == ("key", KEY.id, MINUTE, False)
    assert rate.limit_ids == ("key--requests-3", "key--tokens-1000", "key--usd-1000000000")


def test_every_scope_finds_its_subject_and_no_other() -> None:
    scopes = {
        BudgetScope.ORGANIZATION: ORG.id,
        BudgetScope.PROJECT: KEY.project_id,
        BudgetScope.KEY: KEY.id,
        BudgetScope.END_USER: "ada",
        BudgetScope.MODEL: "small",
        BudgetScope.TAG: "team=search",
        BudgetScope.SESSION: "run 7",
    }
    found = rates_of(*(limit(3, scope=scope) for scope in scopes), tags={"team": "search"})
    assert {rate.kind: rate.subject for rate in found} == {str(scope): who for scope, who in scopes.items()}
    assert len({rate.log for rate in found} | {rate.total for rate in found}) == 14
    others = [limit(3, scope=scope, subject="another") for scope in scopes]
    assert rates_of(*others, tags={"team": "search"}) == []


def test_nobodys_call_has_no_end_users_window() -> None:
    assert rates_of(limit(3, scope=BudgetScope.END_USER), end_user="") == []


@pytest.mark.parametrize("its_own", [2, 9])
def test_a_subjects_own_limit_stands_in_for_the_default(its_own: int) -> None:
    default, own = limit(5, scope=BudgetScope.END_USER), limit(its_own, scope=BudgetScope.END_USER, subject="ada")
    for limits in ((default, own), (own, default)):
        assert [rate.requests for rate in rates_of(*limits)] == [its_own]
    assert [rate.requests for rate in rates_of(default, own, end_user="ben")] == [5]


def test_in_another_window_or_unit_the_default_stays() -> None:
    (minute, hour) = rates_of(
        limit(5), limit(700, LimitUnit.TOKENS), limit(2, subject=KEY.id), limit(99, window_ms=60 * MINUTE)
    )
    assert amounts(minute) == (2, 700, NO_LIMIT)
    assert amounts(hour) == (99, NO_LIMIT, NO_LIMIT)


def test_of_two_alike_the_lower_counts() -> None:
    assert [rate.requests for rate in rates_of(limit(5), limit(4), limit(6))] == [4]


def test_calls_under_way_are_a_window_of_no_length() -> None:
    (rate,) = rates_of(limit(3, LimitUnit.CONCURRENT, window_ms=0))
    assert (rate.window_ms, *amounts(rate)) == (0, 3, NO_LIMIT, NO_LIMIT)


def test_a_shadow_has_a_window_of_its_own() -> None:
    real, shadow = rates_of(limit(3), limit(2, is_shadow=True))
    assert (real.is_shadow, shadow.is_shadow) == (False, True)
    assert real.log != shadow.log


PROJECT, OWN_KEY = ("project", KEY.project_id), ("key", KEY.id)
EVERYWHERE, ELSEWHERE = ("", ""), ("key", "another")


def test_a_narrowed_limit_has_a_window_of_its_own() -> None:
    places = (EVERYWHERE, PROJECT, OWN_KEY, ELSEWHERE)
    rates = rates_of(*(limit(3, scope=BudgetScope.END_USER, within=within) for within in places))
    assert [(rate.within_scope, rate.within) for rate in rates] == [EVERYWHERE, PROJECT, OWN_KEY]
    assert len({rate.log for rate in rates} | {rate.total for rate in rates}) == 6


@pytest.mark.parametrize(
    ("own", "default", "counts"),
    [
        (EVERYWHERE, PROJECT, [9]),
        (PROJECT, PROJECT, [9]),
        (PROJECT, EVERYWHERE, [5, 9]),
        (PROJECT, OWN_KEY, [5, 9]),
        (ELSEWHERE, EVERYWHERE, [5]),
    ],
)
def test_which_exception_stands_in_for_which_default(
    own: tuple[str, str], default: tuple[str, str], counts: list[int]
) -> None:
    limits = [
        limit(5, scope=BudgetScope.END_USER, within=default),
        limit(9, scope=BudgetScope.END_USER, subject="ada", within=own),
    ]
    for order in (limits, limits[::-1]):
        assert sorted(rate.requests for rate in rates_of(*order)) == counts
        assert [rate.requests for rate in rates_of(*order, end_user="ben")] == ([5] if default != ELSEWHERE else [])


def test_an_exception_of_one_unit_leaves_the_others() -> None:
    narrowed, everywhere = rates_of(
        limit(5, scope=BudgetScope.END_USER, within=PROJECT),
        limit(700, LimitUnit.TOKENS, scope=BudgetScope.END_USER, within=PROJECT),
        limit(9, scope=BudgetScope.END_USER, subject="ada"),
    )
    assert (amounts(narrowed), amounts(everywhere)) == ((NO_LIMIT, 700, NO_LIMIT), (9, NO_LIMIT, NO_LIMIT))


def bound(**fields: Any) -> Bound:
    usual = Bound(100, fixed_picos=0, output_picos=2_000, choices=1, max_output=1_000, is_exact=True)
    return usual._replace(**fields)


@pytest.mark.parametrize(
    ("fields", "limits", "most"),
    [
        ({}, [limit(3)], 1_000),
        ({}, [limit(600, LimitUnit.TOKENS)], 500),
        ({"choices": 4}, [limit(600, LimitUnit.TOKENS)], 125),
        ({}, [limit(1_100, LimitUnit.TOKENS)], 1_000),
        ({}, [limit(1_099, LimitUnit.TOKENS)], 999),
        ({}, [limit(600, LimitUnit.USD)], 300),
        ({"fixed_picos": 100_001}, [limit(600, LimitUnit.USD)], 249),
        ({"output_picos": 0}, [limit(600, LimitUnit.USD)], 1_000),
        ({}, [limit(600, LimitUnit.TOKENS), limit(10, LimitUnit.USD, window_ms=1_000)], 5),
        ({}, [limit(600, LimitUnit.TOKENS, is_shadow=True)], 1_000),
        ({}, [limit(50, LimitUnit.TOKENS)], 1),
        ({"max_output": 0, "output_picos": 0}, [limit(50, LimitUnit.TOKENS)], 0),
    ],
)
def test_no_more_output_than_a_window_could_ever_take(
    fields: dict[str, int], limits: list[RateLimitSnapshot], most: int
) -> None:
    assert cap_output(bound(**fields), rates_of(*limits)) == bound(**fields)._replace(max_output=most)


def test_a_call_is_told_of_the_window_with_the_least_left() -> None:
    limits = [
        limit(10),
        limit(4, window_ms=1_500),
        limit(DOLLAR, LimitUnit.USD),
        limit(2, LimitUnit.CONCURRENT, window_ms=0),
    ]
    rates = rates_of(*limits, limit(1, is_shadow=True))
    assert [rate.window_ms for rate in rates] == [MINUTE, 1_500, 0, MINUTE]
    told = describe(list_told(rates), [9, 0, DOLLAR // 4, 3, 0, 0, 1, 0, 0, 7, 0, 0])
    assert told == {
        "x-ratelimit-limit-requests": "10",
        "x-ratelimit-remaining-requests": "1",
        "x-ratelimit-reset-requests": "1m0s",
        "x-ratelimit-limit-usd": "1.000000000",
        "x-ratelimit-remaining-usd": "0.750000000",
        "x-ratelimit-reset-usd": "1m0s",
    }
    assert describe(list_told(rates), [1, 0, 0, 4, 0, 0, 1, 0, 0, 7, 0, 0])["x-ratelimit-reset-requests"] == "2s"


@pytest.mark.parametrize(
    ("ms", "text"), [(1, "1ms"), (999, "999ms"), (1_000, "1s"), (1_001, "2s"), (59_999, "1m0s"), (3_600_000, "60m0s")]
)
def test_spans_are_written_as_openai_writes_them(ms: int, text: str) -> None:
    assert format_span(ms) == text
