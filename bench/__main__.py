"""`make bench`: the figures of the README, the peers beside us, in one run.

python -m bench [--only tensorzero,costhub] [--scenario json,stream] [--quick] [--save] [--against FOLDER]
"""

import argparse
import json
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

from bench.cached import measure_cache
from bench.figures import Figures, Results
from bench.machine import QUIET_SHARE, Cores, Program, describe_machine, share_out_cores
from bench.methods import measure_methods
from bench.peers import all_peers
from bench.peers.base import Peer, Unavailable
from bench.peers.costhub import CostHub
from bench.report import OURS, SECTIONS, make_report, make_summary, put_between_markers
from bench.routed import measure_routes
from bench.scenarios import (
    FULL,
    QUICK,
    Bench,
    Pace,
    Ready,
    make_ready,
    measure_memory,
    measure_one_caller,
    measure_throughput,
)
from bench.tenants import measure_growth, measure_idle_stack, measure_ledger, measure_limits
from bench.upstream import Kind, Upstream, start_upstream

HERE: Final = Path(__file__).resolve().parent
RESULTS: Final = HERE / "results"
#: this page gets the whole report
PAGE: Final = HERE.parent / "docs" / "benchmarks.md"
#: this one the short table, between the same markers
README: Final = HERE.parent / "README.md"

#: scenarios in which all gateways take turns; the others are CostHub's alone and come after them
SHARED: Final[dict[str, Callable[[Bench], dict[str, Figures]]]] = {
    "json": lambda bench: measure_throughput(bench, Kind.JSON),
    "stream": lambda bench: measure_throughput(bench, Kind.STREAM),
    "prompt-10k": lambda bench: measure_throughput(bench, Kind.JSON, prompt_bytes=10_000),
    "prompt-100k": lambda bench: measure_throughput(bench, Kind.JSON, prompt_bytes=100_000),
    "latency": lambda bench: measure_one_caller(bench, Kind.JSON),
    "first-event": lambda bench: measure_one_caller(bench, Kind.PACED),
    "memory": measure_memory,
}
OWN: Final[dict[str, Callable[[Bench, Ready, Upstream], dict[str, Figures]]]] = {
    "ledger": measure_ledger,
    "growth": measure_growth,
    "limits": measure_limits,
    "routes": measure_routes,
    "methods": lambda bench, ready, upstream: measure_methods(),
    "cache": measure_cache,
    "idle": measure_idle_stack,
}


def main(arguments: Sequence[str]) -> int:
    """Run what was asked for; 0 when every gateway that was asked for was measured."""
    wanted = _read_arguments(arguments)
    _stop_on_sigterm()
    cores = share_out_cores()
    os.sched_setaffinity(0, cores.load)
    pace = QUICK if wanted.quick else FULL
    peers = [peer for peer in all_peers() if peer.name in wanted.only]
    with tempfile.TemporaryDirectory(prefix="costhub-bench-") as folder:
        work = Path(folder)
        work.chmod(0o755)  # nginx's worker and PostgreSQL drop root's rights and must still pass through
        results, served_by = _measure(peers, wanted, pace, cores, work)
    machine: dict[str, object] = {
        **describe_machine(cores),
        "upstream": served_by,
        "rounds": pace.rounds,
        "was_disturbed": _was_disturbed(results),
    }
    is_whole = not wanted.quick and len(peers) == len(all_peers()) and set(wanted.scenario) == set(SECTIONS)
    kept = _read_kept(results) if wanted.save and not is_whole else Kept({}, {})
    tell(results, kept, peers, machine, official=is_whole or wanted.save)
    return int(any(one.failed for figures in results.values() for one in figures.values()))


class Kept(NamedTuple):
    """Scenarios of earlier runs that this one had no part in, and what each was measured on."""

    results: Results
    origins: dict[str, str]


def tell(results: Results, kept: Kept, peers: Sequence[Peer], machine: Mapping[str, object], *, official: bool) -> None:
    """Print the report and keep the figures; what is official goes into the documents, beside what is ``kept``."""
    titles = {peer.name: peer.title for peer in all_peers()}
    whole = kept.results | results
    report = make_report(whole, titles, {peer.name: peer.note for peer in peers}, machine, kept.origins)
    print(f"\n{report}\n")
    _save(whole, kept.origins, machine, official=official)
    if official:
        _publish({PAGE: report, README: make_summary(whole, titles)})


def _read_kept(results: Results) -> Kept:
    """What the last official run had beside these scenarios."""
    last = json.loads((RESULTS / "latest.json").read_text())
    machine, origins = last["machine"], last.get("origins", {})
    kept = {
        name: {gateway: Figures(**one) for gateway, one in figures.items()}
        for name, figures in last["scenarios"].items()
        if name not in results
    }
    here = f"{last['measured_on']}, {machine['cpu']}, {machine['system']}, Python {machine['python']}"
    return Kept(kept, {name: origins.get(name, here) for name in kept})


def _measure(
    peers: Sequence[Peer], wanted: argparse.Namespace, pace: Pace, cores: Cores, work: Path
) -> tuple[Results, str]:
    results: Results = {}
    scenarios: Sequence[str] = wanted.scenario
    programs: list[Program] = []
    try:
        upstream, programs = start_upstream(cores, work)
        gateways, unavailable = _start_peers(peers, upstream, cores, work)
        bench = Bench(gateways, cores, work, pace, _say, wanted.against)
        for name in (name for name in SHARED if name in scenarios):
            _say(f"{SECTIONS[name].title}:")
            found = SHARED[name](bench) | unavailable
            results[name] = {peer.name: found[peer.name] for peer in peers if peer.name in found}
        _stop_all([peer for peer in peers if not isinstance(peer, CostHub)])
        for ready in (ready for ready in gateways if isinstance(ready.peer, CostHub)):
            for name in (name for name in OWN if name in scenarios):
                _say(f"{SECTIONS[name].title}:")
                results[name] = OWN[name](bench, ready, upstream)
        for name in (name for name in OWN if name in scenarios and OURS in unavailable):
            results[name] = {"CostHub": unavailable[OURS]}
    finally:
        _stop_all(peers)
        for program in programs:
            program.stop()
    return results, upstream.served_by


def _start_peers(
    peers: Sequence[Peer], upstream: Upstream, cores: Cores, work: Path
) -> tuple[list[Ready], dict[str, Figures]]:
    gateways, unavailable = [], {}
    for peer in peers:
        _say(f"starting {peer.title}")
        try:
            ready = make_ready(peer, upstream, cores, work)
        except Unavailable as error:
            _say(f"  {peer.title} {error.reason}: {error.detail}")
            unavailable[peer.name] = Figures(failed=error.reason)
            peer.stop()
            continue
        for kind, reason in ready.failures.items():
            _say(f"  {peer.title}, {kind}: {reason}")
        gateways.append(ready)
    return gateways, unavailable


def _stop_all(peers: Sequence[Peer]) -> None:
    for peer in peers:
        peer.stop()


def _was_disturbed(results: Results) -> bool:
    noise = [
        value
        for figures in results.values()
        for one in figures.values()
        for value in one.details.get("noise_before", [])
    ]
    return sum(value > QUIET_SHARE for value in noise) * 4 > len(noise)


def _save(results: Results, origins: Mapping[str, str], machine: Mapping[str, object], *, official: bool) -> None:
    """The official figures are those of a whole run, or of one that was asked to replace its part of them; any other
    part is kept aside."""
    RESULTS.mkdir(exist_ok=True)
    target = RESULTS / ("latest.json" if official else "partial.json.tmp")
    scenarios = {name: {peer: asdict(one) for peer, one in figures.items()} for name, figures in results.items()}
    measured_on = datetime.now(UTC).date().isoformat()
    document = {"measured_on": measured_on, "machine": machine, "scenarios": scenarios, "origins": origins}
    target.write_text(json.dumps(document, indent=1) + "\n")
    _say(f"figures: {target.relative_to(HERE.parent)}")


def _publish(texts: Mapping[Path, str]) -> None:
    for page, text in texts.items():
        if page.exists() and put_between_markers(page, text):
            _say(f"table: {page.relative_to(HERE.parent)}")


def _read_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description="CostHub's figures, its peers beside it.")
    peers, scenarios = [peer.name for peer in all_peers()], list(SECTIONS)
    parser.add_argument("--only", type=_some_of(peers), default=peers, help=f"gateways, of {', '.join(peers)}")
    parser.add_argument("--scenario", type=_some_of(scenarios), default=scenarios, help=f"of {', '.join(scenarios)}")
    parser.add_argument("--quick", action="store_true", help="short rounds: to see that all runs, not to quote")
    parser.add_argument(
        "--save",
        action="store_true",
        help="put these figures into the documents in place of the last ones, beside those of other scenarios",
    )
    parser.add_argument(
        "--against", type=Path, metavar="FOLDER", help="a checkout of an older version, set up: is this one as fast?"
    )
    return parser.parse_args(arguments)


def _some_of(known: Sequence[str]) -> Callable[[str], list[str]]:
    def read(text: str) -> list[str]:
        asked = text.split(",")
        if unknown := [name for name in asked if name not in known]:
            raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: not one of {', '.join(known)}")
        return [name for name in known if name in asked]

    return read


def _stop_on_sigterm() -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
