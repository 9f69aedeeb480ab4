"""The benchmark's report: ratios within rounds, and tables that are made of figures."""

from pathlib import Path

import pytest

from bench.figures import Figures, Results, Span, added, ratio, span
from bench.report import BEGIN, END, Goal, compare, make_report, make_section, make_summary, put_between_markers

TITLES = {
    "direct": "no gateway",
    "costhub": "CostHub",
    "tensorzero": "TensorZero",
    "portkey": "Portkey",
    "litellm": "LiteLLM",
}
MACHINE = {
    "cpu": "A chip",
    "cores_used": 2,
    "load_on_other_cores": True,
    "system": "Linux",
    "python": "3.11.7",
    "upstream": "nginx",
    "rounds": 3,
    "was_disturbed": False,
}


def test_a_span_is_the_median_and_the_range() -> None:
    assert span([30.0, 10.0, 20.0]) == Span(20.0, 10.0, 30.0)


def test_a_span_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="no rounds were measured"):
        span([])


def test_a_ratio_is_taken_within_rounds_so_that_drift_cancels() -> None:
    # The machine slowed down from round to round; the ratio of the medians would be 80 / 20.
    assert ratio([100.0, 80.0, 30.0], [50.0, 20.0, 10.0]) == Span(3.0, 2.0, 4.0)


def test_there_is_no_ratio_where_a_round_is_missing_or_zero() -> None:
    assert ratio([1.0, 2.0], [1.0]) is None
    assert ratio([1.0], [0.0]) is None
    assert ratio([], []) is None


def test_added_time_is_less_the_bare_call_of_the_same_round() -> None:
    assert added([0.75, 1.0], [0.25, 0.75]) == [0.5, 0.25]


def test_times_are_compared_by_what_each_gateway_adds() -> None:
    figures = {"direct": Figures([0.25, 0.25]), "costhub": Figures([1.25, 0.75]), "tensorzero": Figures([0.75, 0.5])}

    assert compare("latency", figures, "tensorzero") == Span(2.0, 2.0, 2.0)


def test_times_cannot_be_compared_without_the_bare_call() -> None:
    assert compare("latency", {"costhub": Figures([1.0]), "tensorzero": Figures([1.0])}, "tensorzero") is None


def test_a_peer_that_failed_is_not_compared() -> None:
    figures = {"costhub": Figures([10.0]), "portkey": Figures([1.0], failed="it broke")}

    assert compare("json", figures, "portkey") is None


def test_a_goal_knows_its_direction() -> None:
    assert Goal("json", "tensorzero", 1.0).is_met(1.0)
    assert not Goal("json", "tensorzero", 1.0).is_met(0.99)
    assert Goal("latency", "tensorzero", 2.5, at_most=True).is_met(2.5)
    assert not Goal("latency", "tensorzero", 2.5, at_most=True).is_met(2.51)


def test_the_summary_says_met_not_met_or_why_there_is_no_figure() -> None:
    results: Results = {
        "json": {
            "costhub": Figures([3000.0, 3300.0, 3150.0]),
            "tensorzero": Figures([3000.0, 3000.0, 3000.0]),
            "portkey": Figures([500.0, 500.0, 500.0]),
            "litellm": Figures(failed="could not be installed: no space"),
        }
    }

    assert make_summary(results, TITLES).splitlines() == [
        "| CostHub, accounting on, against | measured | ratio (range over the rounds) | goal |",
        "|---|---|---|---|",
        "| TensorZero | Calls of about 150 bytes, 32 connections | 1.05 × (1.00–1.10) | ≥ 1 ×: met |",
        "| Portkey | Calls of about 150 bytes, 32 connections | 6.30 × (6.00–6.60) | ≥ 7 ×: not met |",
        "| LiteLLM | Calls of about 150 bytes, 32 connections | not measured: could not be installed: no space | ≥ 50 × |",
    ]


def test_a_section_names_every_gateway_and_the_reason_of_a_missing_figure() -> None:
    figures = {
        "costhub": Figures([4000.0, 4200.0, 4100.0], {"p50_ms": [7.0, 7.5, 8.0], "p99_ms": [12.0, 13.0, 14.0]}),
        "litellm": Figures([82.0, 80.0, 84.0], {"p50_ms": [380.0, 390.0, 370.0], "p99_ms": [510.0, 520.0, 500.0]}),
        "portkey": Figures(failed="500: a | b\n c"),
    }

    assert make_section("json", figures, TITLES).splitlines() == [
        "### Calls of about 150 bytes, 32 connections",
        "",
        "| gateway | calls/s (range) | p50 ms | p99 ms | CostHub's ratio (range) |",
        "|---|---:|---:|---:|---:|",
        "| CostHub | 4,100 (4,000–4,200) | 7.50 | 13.0 |  |",
        "| LiteLLM | 82.0 (80.0–84.0) | 380 | 510 | 48.8 × (48.8–52.5) |",
        "| Portkey | not measured: 500: a / b c |  |  |  |",
    ]


def test_a_section_of_times_shows_what_is_added() -> None:
    figures = {"direct": Figures([0.25]), "costhub": Figures([1.0]), "tensorzero": Figures([0.5])}

    assert make_section("latency", figures, TITLES).splitlines()[2:] == [
        "| gateway | ms (range) | added to the bare call, ms | CostHub's ratio (range) |",
        "|---|---:|---:|---:|",
        "| no gateway | 0.250 |  |  |",
        "| CostHub | 1.00 | 0.750 |  |",
        "| TensorZero | 0.500 | 0.250 | 3.00 × (3.00–3.00) |",
    ]


def test_a_section_of_our_own_has_a_row_a_figure() -> None:
    figures = {"calls without a row": Figures([0.0, 0.0]), "stack": Figures(failed="it did not start")}

    assert make_section("ledger", figures, TITLES).splitlines()[2:] == [
        "| CostHub | figure (range) |",
        "|---|---:|",
        "| calls without a row | 0 |",
        "| stack | not measured: it did not start |",
    ]


def test_what_an_earlier_run_measured_says_so() -> None:
    figures = {"json": {"costhub": Figures([200.0])}, "stream": {"costhub": Figures([50.0])}}
    report = make_report(figures, TITLES, {}, MACHINE, {"stream": "2026-11-25, another machine"})
    now, _, earlier = report.partition("### Streams")
    assert "earlier run" not in now
    assert earlier.splitlines()[2] == "Of an earlier run: 2026-11-25, another machine."


def test_the_report_warns_of_one_core_and_of_a_disturbed_machine() -> None:
    report = make_report({}, TITLES, {"costhub": "with accounting"}, MACHINE)
    disturbed = make_report({}, TITLES, {}, MACHINE | {"load_on_other_cores": False, "was_disturbed": True})

    assert report == (
        "Measured on A chip, 2 cores, Linux, Python 3.11.7; upstream: nginx; 3 rounds.\n\n- CostHub: with accounting."
    )
    assert "**There is one core only: load and server shared it, so the figures mean little.**" in disturbed
    assert "**Something else kept the machine busy during the run: trust the ratios, not the figures.**" in disturbed


def test_the_table_replaces_what_was_between_the_markers_and_nothing_else(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")

    assert put_between_markers(page, "| new |") is True
    assert page.read_text() == f"before\n{BEGIN}\n\n| new |\n\n{END}\nafter\n"


def test_a_page_without_both_markers_is_left_alone(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nold\n")

    assert put_between_markers(page, "| new |") is False
    assert page.read_text() == f"before\n{BEGIN}\nold\n"
