"""Calls and sums for spreadsheets."""

import csv
import io
from datetime import timedelta

from billing.spend.exports import MARK, export_calls, export_sums, name_refusal
from billing.spend.filters import LedgerFilters
from billing.spend.selectors import find_spend
from tenants.access import org_scope
from tests.billing.ledger import NOW, record_call, record_correction
from tests.world import World, make_catalog

HOUR = timedelta(hours=1)


def read(text: str) -> list[dict[str, str]]:
    assert text.startswith(MARK)
    return list(csv.DictReader(io.StringIO(text.removeprefix(MARK), newline="")))


def test_calls_have_names_and_a_column_for_each_tag(world: World) -> None:
    catalog = make_catalog(world.acme, model="small")
    call = record_call(
        world.acme,
        NOW,
        list_cost=3 * 10**9,
        effective_cost=2 * 10**9,
        savings={"cache": 10**9},
        end_user="=cmd()",
        tags={"team": "blue", "feature": "+1"},
        upstream_id=catalog.upstream.pk,
    )
    record_correction(world.acme, call, -5 * 10**8)
    told = {
        "kind": "budget",
        "scope": "project",
        "subject": str(world.acme.project.pk),
        "period": "day",
        "limit": "1.5",
    }
    record_call(world.acme, NOW - HOUR, status=402, error_code="budget_exceeded", refused_by=told, tags={"team": "red"})
    first, second = read("".join(export_calls(world.acme.owner, LedgerFilters(), ["feature", "team"])))
    assert (first["time"], first["project"], first["key"], first["upstream"]) == (
        "2026-11-22 12:00:00",
        "default",
        "first key",
        "for small",
    )
    assert (first["end_user"], first["tag team"], first["tag feature"]) == ("'=cmd()", "blue", "'+1")
    assert (first["list_cost_usd"], first["cost_usd"], first["saved_usd"]) == (
        "2.500000000",
        "1.500000000",
        "1.000000000",
    )
    assert (second["status"], second["tag team"], second["tag feature"]) == ("402", "red", "")
    assert (first["other_tags"], second["other_tags"]) == ("", "")
    assert second["refused_by"] == "day budget of the project default: limit $1.50"


def test_all_calls_are_sent_in_parts_and_what_has_no_column_is_told_beside(world: World) -> None:
    for place in range(401):
        record_call(world.acme, NOW - timedelta(seconds=place), end_user=f"u{place}", tags={"team": "a", "run": "ü"})
    parts = export_calls(world.acme.owner, LedgerFilters(), ["team"])
    found = list(parts)
    assert [text.count("\r\n") for text in found] == [1, 200, 200, 1]
    rows = read("".join(found))
    assert [row["end_user"] for row in rows] == [f"u{place}" for place in range(401)]
    assert (rows[400]["tag team"], rows[400]["other_tags"]) == ("a", '{"run": "ü"}')


def test_sums_have_a_name_and_an_id_and_what_is_below_zero_stays_a_number(world: World) -> None:
    record_call(world.acme, NOW, list_cost=10**9, effective_cost=2 * 10**9)
    with org_scope(world.acme.org.pk):
        spend = find_spend(world.acme.owner, start=NOW - HOUR, end=NOW + HOUR, group_by=["project"])
        models = find_spend(world.acme.owner, start=NOW - HOUR, end=NOW + HOUR, group_by=["model"])
    (row,) = read(export_sums(spend, "project", "project"))
    assert row == {
        "project": "default",
        "project_id": str(world.acme.project.pk),
        "calls": "1",
        "input_tokens": "0",
        "output_tokens": "0",
        "list_cost_usd": "1.000000000",
        "cost_usd": "2.000000000",
        "saved_usd": "-1.000000000",
    }
    assert "model_id" not in read(export_sums(models, "model", "model"))[0]


def test_a_refusal_in_words() -> None:
    names = {"k": "web"}
    limit = {"kind": "limit", "scope": "key", "subject": "k", "unit": "requests", "limit": "60"}
    whole = {"kind": "budget", "scope": "organization", "subject": "o", "period": "month", "limit": "10.000000000"}
    assert name_refusal(limit, names) == "rate limit on requests of the key web: limit 60"
    assert (
        name_refusal({**limit, "unit": "usd", "limit": "0.500000000"}, {})
        == "rate limit on usd of the key k: limit $0.50"
    )
    assert name_refusal(whole, names) == "month budget of the organization: limit $10.00"
    assert name_refusal({}, names) == ""
