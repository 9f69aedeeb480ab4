"""What a caller is told of what refused it, and what its row keeps of that."""

from dataclasses import replace

import pytest

from proxy.core.budgets import make_scope
from proxy.core.layout import lay_out
from proxy.core.rate_limits import find_rates
from proxy.core.refusals import refuse_budget, refuse_rate, tell_refusal
from proxy.errors import BudgetExceeded, ModelNotFound, RateLimited
from tenants.snapshots import RateLimitSnapshot
from tests.proxy.core.examples import KEY, NOON_MS, ORG, make_budget

MINE = replace(KEY, name="Nightly", project_name="Search")


@pytest.mark.parametrize(
    ("fields", "subject", "words", "name"),
    [
        ({"scope": "organization"}, ORG.id, "day budget of the organization cannot", None),
        ({"scope": "organization", "name": "All of us"}, ORG.id, "day budget 'All of us' of the organization", None),
        ({"scope": "project"}, KEY.project_id, "day budget of the project 'Search' cannot", "Search"),
        ({"scope": "key", "name": "x"}, KEY.id, "day budget 'x' of the key 'Nightly' cannot", "Nightly"),
        ({"scope": "end_user"}, "ann", "day budget of the end user ann cannot", None),
        (
            {"scope": "tag", "within_scope": "project", "within": KEY.project_id},
            "team=a",
            "day budget of the tag team=a within the project 'Search' cannot",
            None,
        ),
        (
            {"scope": "end_user", "within_scope": "key", "within": KEY.id},
            "ann",
            "day budget of the end user ann within the key 'Nightly' cannot",
            None,
        ),
    ],
)
def test_a_refusal_says_names_and_has_the_ids_beside(
    fields: dict[str, str], subject: str, words: str, name: str | None
) -> None:
    scope = make_scope(ORG, make_budget(**fields), subject, NOON_MS)
    error = refuse_budget(scope, [0, 1, 10, 20, 30], MINE)
    assert words in error.message
    assert KEY.id not in error.message
    assert KEY.project_id not in error.message
    told = error.more["budget"]
    assert (told["id"], told["subject"], told["subject_name"]) == (scope.budget_id, subject, name)
    assert (told["name"], told["scope"]) == (fields.get("name"), fields["scope"])


def test_what_has_no_name_is_called_by_its_id() -> None:
    scope = make_scope(ORG, make_budget("project"), KEY.project_id, NOON_MS)
    error = refuse_budget(scope, [0, 1, 10, 20, 30], KEY)
    assert f"of the project {KEY.project_id} cannot" in error.message
    assert error.more["budget"]["subject_name"] is None


def test_a_successor_is_told_its_own_name_for_the_limits_of_its_line() -> None:
    heir = replace(MINE, id="another", lineage=KEY.id, name="Nightly 2")
    limit = RateLimitSnapshot("l", "key", KEY.id, "requests", 5, 60_000, is_shadow=False)
    org = replace(ORG, rate_limits=(limit,))
    rates = find_rates(org, heir, end_user="", model="", tags={}, session="")
    error = refuse_rate(lay_out((), rates), [-5, 1, 1, 5, 1, 1_000], heir)
    assert error.message.startswith("Rate limit reached for the key 'Nightly 2' on requests within 1m0s: limit 5,")
    assert error.more["limit"]["subject_name"] == "Nightly 2"


def test_a_budget_is_kept_with_its_amounts_and_when_it_resets() -> None:
    budget = {"id": "b", "scope": "key", "subject": "k", "within": None, "limit": "1.0", "limit_parts": {"own": "1.0"}}
    error = BudgetExceeded("no", more={"budget": budget, "resets_at": "2026-11-23T00:00:00+00:00"})
    assert tell_refusal(error) == {
        "kind": "budget",
        "id": "b",
        "scope": "key",
        "subject": "k",
        "limit": "1.0",
        "resets_at": "2026-11-23T00:00:00+00:00",
    }
    endless = BudgetExceeded("no", more={"budget": budget, "resets_at": None})
    assert "resets_at" not in tell_refusal(endless)


def test_a_rate_limit_is_kept_with_its_window() -> None:
    limit = {"id": "l", "scope": "key", "subject": "k", "unit": "requests", "window_seconds": 60, "limit": "5"}
    assert tell_refusal(RateLimited("no", more={"type": "requests", "limit": limit})) == {"kind": "limit", **limit}


def test_of_any_other_error_nothing_is_kept() -> None:
    assert tell_refusal(ModelNotFound("no")) == {}
    assert tell_refusal(BudgetExceeded("the cache only", code="cache_only")) == {}
