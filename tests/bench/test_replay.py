"""The replay's plan: what is made of a trace, before anything is sent."""

from itertools import pairwise
from pathlib import Path

import pytest

from bench.replay.provoke import HAPPEN, report_others
from bench.replay.trace import EVERY, KEYS, PLANTED_KEY, PRICES, TraceCall, cost_of, find_peak, read_trace
from billing.alerts.models import Alert, Delivery
from billing.choices import AlertKind
from tenants.access import org_scope
from tests.world import World


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    """Two thousand calls, one a second."""
    path = tmp_path / "trace.csv"
    rows = [f"2023-11-16 18:{15 + n // 60:02}:{n % 60:02}.5000001,{100 + n % 7},{10 + n % 5}" for n in range(2_000)]
    path.write_text("\n".join(["TIMESTAMP,ContextTokens,GeneratedTokens", *rows]))
    return path


def read(path: Path) -> list[TraceCall]:
    return read_trace(path, 2_000)


def test_the_same_trace_is_dealt_out_the_same_way(trace: Path) -> None:
    calls = read(trace)
    assert calls == read(trace)
    assert [call.at for call in calls[:3]] == [0.0, 1.0, 2.0]
    assert {call.key for call in calls} == {*KEYS, ""}
    assert sum(not call.key for call in calls) == len(calls) // EVERY
    assert read_trace(trace, 5) != []
    assert len(read_trace(trace, 5)) == 5


def test_tokens_are_the_trace_s_but_for_what_is_planted(trace: Path) -> None:
    calls = read(trace)
    assert [call.input_tokens for call in calls[:8]] == [100, 101, 102, 103, 104, 105, 106, 100]
    assert [call.usual_output for call in calls[:6]] == [10, 11, 12, 13, 14, 10]
    planted = [call for call in calls if call.is_planted]
    assert {call.key for call in planted} == {PLANTED_KEY}
    assert min(call.at for call in planted) >= calls[-1].at * 0.6
    assert all(call.cost > 10 * call.usual_cost for call in planted if call.model in PRICES)
    assert all(call.cost == call.usual_cost for call in calls if not call.is_planted)
    assert all(call.max_tokens >= call.output_tokens for call in calls)


def test_costs_are_whole_nanos() -> None:
    assert cost_of("small", 1_000, 10) == 156_000
    assert cost_of("large", 3, 2) == 27_500
    assert cost_of("unpriced", 3, 2) == 0


def test_the_peak_is_the_most_within_a_window(trace: Path) -> None:
    calls = read(trace)[:100]
    assert all(later.at - earlier.at == 1 for earlier, later in pairwise(calls))
    assert find_peak(calls, 10, lambda _: 1, speed=1) == 10
    assert find_peak(calls, 10, lambda _: 1, speed=2) == 20
    assert find_peak(calls, 1, lambda call: call.input_tokens, speed=1) == 106


def test_a_file_of_another_form_is_named(tmp_path: Path) -> None:
    path = tmp_path / "other.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match=r"other\.csv has no columns TIMESTAMP, ContextTokens and GeneratedTokens"):
        read_trace(path)


def test_what_does_not_happen_in_a_replay_is_reported_so_that_each_kind_is_mailed(world: World) -> None:
    org = world.acme.org
    report_others(org)
    with org_scope(org.pk):
        alerts = {row.pk: row.kind for row in Alert.objects.filter(org=org)}
        mailed = {alerts[row.alert] for row in Delivery.objects.filter(org=org) if row.alert}
    assert mailed == set(alerts.values()) == set(AlertKind) - HAPPEN
