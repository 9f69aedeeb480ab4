"""The report: Markdown made of the figures, never typed."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.figures import Figures, Results, Span, added, ratio, span

BEGIN: Final = "<!-- bench: begin; written by `make bench`, do not edit -->"
END: Final = "<!-- bench: end -->"
OURS: Final = "costhub"
BARE: Final = "direct"


@dataclass(frozen=True, slots=True)
class Goal:
    """What CostHub set out to reach against one peer; ``at_most`` for what should be small."""

    scenario: str
    peer: str
    bound: float
    at_most: bool = False

    def is_met(self, found: float) -> bool:
        return found <= self.bound if self.at_most else found >= self.bound

    def __str__(self) -> str:
        return f"{'≤' if self.at_most else '≥'} {self.bound:g} ×"


@dataclass(frozen=True, slots=True)
class Section:
    """How one scenario is shown."""

    title: str
    unit: str
    #: the figure is a time, of which the part that the upstream itself takes is subtracted before it is compared
    counts_added_time: bool = False
    #: no peer has such a thing to measure
    is_ours_alone: bool = False


SECTIONS: Final[Mapping[str, Section]] = {
    "json": Section("Calls of about 150 bytes, 32 connections", "calls/s"),
    "stream": Section("Streams of 60 events, 32 connections", "streams/s"),
    "prompt-10k": Section("Prompts of 10 kB, 32 connections", "calls/s"),
    "prompt-100k": Section("Prompts of 100 kB, 32 connections", "calls/s"),
    "latency": Section("One caller: median time of a call", "ms", counts_added_time=True),
    "first-event": Section("One caller: median time to the first event of a stream", "ms", counts_added_time=True),
    "memory": Section("Memory of a worker after the load", "MB resident"),
    "growth": Section(
        "CostHub as its tenants grow, 32 connections, calls spread over all keys", "calls/s", is_ours_alone=True
    ),
    "limits": Section("CostHub with limits on, 32 connections", "calls/s", is_ours_alone=True),
    "routes": Section("CostHub's routes and compression, 32 connections", "calls/s", is_ours_alone=True),
    "methods": Section("What CostHub's methods take", "ms of a core", is_ours_alone=True),
    "cache": Section("CostHub's cache, 32 connections", "calls/s", is_ours_alone=True),
    "ledger": Section("CostHub's ledger at full speed", "", is_ours_alone=True),
    "idle": Section("CostHub's whole stack at rest", "MB", is_ours_alone=True),
}

GOALS: Final = (
    Goal("json", "tensorzero", 1.0),
    Goal("json", "portkey", 7.0),
    Goal("json", "litellm", 50.0),
    Goal("stream", "tensorzero", 2.0),
    Goal("stream", "litellm", 100.0),
    Goal("latency", "tensorzero", 2.5, at_most=True),
    Goal("first-event", "tensorzero", 2.5, at_most=True),
)


def compare(scenario: str, figures: Mapping[str, Figures], peer: str) -> Span | None:
    """CostHub over a peer in one scenario, within rounds; None where either has no figure.

    Times are compared by what each gateway adds to the bare call.
    """
    ours, theirs, bare = figures.get(OURS), figures.get(peer), figures.get(BARE)
    if ours is None or theirs is None or ours.failed or theirs.failed:
        return None
    if not SECTIONS[scenario].counts_added_time:
        return ratio(ours.rounds, theirs.rounds)
    if bare is None or not len(ours.rounds) == len(theirs.rounds) == len(bare.rounds):
        return None
    return ratio(added(ours.rounds, bare.rounds), added(theirs.rounds, bare.rounds))


def make_summary(results: Results, titles: Mapping[str, str]) -> str:
    """The short table: CostHub, with its accounting on, against each goal."""
    lines = [
        "| CostHub, accounting on, against | measured | ratio (range over the rounds) | goal |",
        "|---|---|---|---|",
    ]
    for goal in GOALS:
        figures = results.get(goal.scenario)
        if figures is None or OURS not in figures:
            continue
        found = compare(goal.scenario, figures, goal.peer)
        section = SECTIONS[goal.scenario]
        if found is None:
            reason = _reason(figures, goal.peer)
            lines.append(f"| {titles[goal.peer]} | {section.title} | not measured: {reason} | {goal} |")
            continue
        what = f"{section.title}, time added" if section.counts_added_time else section.title
        verdict = "met" if goal.is_met(found.middle) else "not met"
        lines.append(f"| {titles[goal.peer]} | {what} | {_times(found)} | {goal}: {verdict} |")
    return "\n".join(lines)


def make_section(scenario: str, figures: Mapping[str, Figures], titles: Mapping[str, str], origin: str = "") -> str:
    """One scenario's table: every gateway, or why it has no figure; and its ``origin``, if another run measured it."""
    section = SECTIONS[scenario]
    if section.is_ours_alone:
        table = _own_table(section, figures)
    else:
        table = _gateways_table(scenario, section, figures, titles)
    told = f"Of an earlier run: {origin}.\n\n" if origin else ""
    return f"### {section.title}\n\n{told}{table}"


def _gateways_table(scenario: str, section: Section, figures: Mapping[str, Figures], titles: Mapping[str, str]) -> str:
    has_tail = any("p99_ms" in one.details for one in figures.values())
    head = ["gateway", f"{section.unit} (range)"]
    head += ["added to the bare call, ms"] if section.counts_added_time else []
    head += ["p50 ms", "p99 ms"] if has_tail else []
    head += ["CostHub's ratio (range)"]
    lines = ["| " + " | ".join(head) + " |", "|---" + "|---:" * (len(head) - 1) + "|"]
    for name, one in figures.items():
        if one.failed or not one.rounds:
            cells = [titles[name], f"not measured: {_plain(one.failed or 'no round was run')}", *[""] * (len(head) - 2)]
        else:
            cells = [titles[name], _ranged(span(one.rounds))]
            if section.counts_added_time:
                cells.append(_added_cell(one, figures.get(BARE)) if name != BARE else "")
            if has_tail:
                cells += [_number(span(one.details[part]).middle) for part in ("p50_ms", "p99_ms")]
            found = compare(scenario, figures, name) if name not in {OURS, BARE} else None
            cells.append(_times(found) if found else "")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _own_table(section: Section, figures: Mapping[str, Figures]) -> str:
    lines = [f"| CostHub | {section.unit or 'figure'} (range) |", "|---|---:|"]
    for name, one in figures.items():
        lines.append(
            f"| {name} | {f'not measured: {_plain(one.failed)}' if one.failed else _ranged(span(one.rounds))} |"
        )
    return "\n".join(lines)


def make_report(
    results: Results,
    titles: Mapping[str, str],
    notes: Mapping[str, str],
    machine: Mapping[str, object],
    origins: Mapping[str, str] | None = None,
) -> str:
    """The whole report. ``origins`` says of scenarios that an earlier run measured when that was, and on what."""
    parts = [
        f"Measured on {machine['cpu']}, {machine['cores_used']} cores, {machine['system']}, Python {machine['python']}; "
        f"upstream: {machine['upstream']}; {machine['rounds']} rounds."
    ]
    if not machine["load_on_other_cores"]:
        parts.append("**There is one core only: load and server shared it, so the figures mean little.**")
    if machine["was_disturbed"]:
        parts.append("**Something else kept the machine busy during the run: trust the ratios, not the figures.**")
    summary = make_summary(results, titles)
    parts += [summary] if summary.count("\n") > 1 else []
    parts += ["\n".join(f"- {titles[name]}: {note}." for name, note in notes.items())] if notes else []
    known = origins or {}
    parts += [
        make_section(scenario, results[scenario], titles, known.get(scenario, ""))
        for scenario in SECTIONS
        if results.get(scenario)
    ]
    return "\n\n".join(parts)


def put_between_markers(page: Path, text: str, begin_mark: str = BEGIN, end_mark: str = END) -> bool:
    """Replace what lies between the markers of a page; False when the page has none."""
    before, begin, rest = page.read_text().partition(begin_mark)
    _, end, after = rest.partition(end_mark)
    if not begin or not end:
        return False
    page.write_text(f"{before}{begin_mark}\n\n{text}\n\n{end_mark}{after}")
    return True


def _reason(figures: Mapping[str, Figures], peer: str) -> str:
    for name in (peer, OURS):
        if name in figures and figures[name].failed:
            return _plain(figures[name].failed)
    return "it did not run"


def _plain(reason: str) -> str:
    """A reason that fits into a cell, whatever a gateway put into its answer."""
    return " ".join(reason.replace("|", "/").split())[:200]


def _added_cell(one: Figures, bare: Figures | None) -> str:
    if bare is None or len(bare.rounds) != len(one.rounds):
        return ""
    return _ranged(span(added(one.rounds, bare.rounds)))


def _times(found: Span) -> str:
    return f"{_number(found.middle)} × ({_number(found.low)}–{_number(found.high)})"


def _ranged(found: Span) -> str:
    if found.low == found.high:
        return _number(found.middle)
    return f"{_number(found.middle)} ({_number(found.low)}–{_number(found.high)})"


def _number(value: float) -> str:
    """Three digits that matter, and no more decimals than that."""
    size = abs(value)
    if size >= 100 or value == 0:
        return f"{value:,.0f}"
    return f"{value:.1f}" if size >= 10 else f"{value:.2f}" if size >= 1 else f"{value:.3f}"
