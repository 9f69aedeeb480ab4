"""What a stretch of an endpoint's time costs, and who it is of: pure, integers of nano-USD and microseconds.

The endpoint is busy while a call runs on it, however many do. What busy time costs is split over projects by how long
their calls ran, so that calls which ran at once share it; the rest is idle. All parts sum to the stretch's cost.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

HOUR_US: Final = 3_600 * 10**6
#: what is charged at a time, a quarter of an hour: budgets hear of it soon, and the ledger's sums are made by it
STRETCH_US: Final = HOUR_US // 4


@dataclass(frozen=True, slots=True)
class Run:
    """A call on the endpoint, in microseconds since the epoch."""

    start: int
    end: int
    project: str


@dataclass(frozen=True, slots=True)
class Shared:
    """A stretch's cost by project, and what nobody used. ``busy_by_project`` are microseconds that sum to ``busy``."""

    busy: int
    idle: int
    by_project: Mapping[str, int]
    busy_by_project: Mapping[str, int]
    idle_nanos: int

    @property
    def nanos(self) -> int:
        """All of it."""
        return sum(self.by_project.values()) + self.idle_nanos


def price_stretch(milli_gpus: int, hour_nanos: int, microseconds: int) -> int:
    """So many thousandths of a GPU for so long, rounded up to a nano-USD."""
    return -(-milli_gpus * hour_nanos * microseconds // (1_000 * HOUR_US))


def share(runs: Iterable[Run], start: int, end: int, nanos: int) -> Shared:
    """Split what ``[start, end)`` costs."""
    inside = sorted(
        (max(run.start, start), min(run.end, end), run.project) for run in runs if run.start < end and run.end > start
    )
    busy, until = 0, start
    ran: dict[str, int] = {}
    for first, last, project in inside:
        busy += max(last - max(first, until), 0)
        until = max(until, last)
        ran[project] = ran.get(project, 0) + last - first
    spent = nanos * busy // (end - start)
    return Shared(busy, end - start - busy, _split(spent, ran), _split(busy, ran), nanos - spent)


def _split(amount: int, weights: Mapping[str, int]) -> dict[str, int]:
    """In whole parts by weight; what rounding leaves goes to the largest remainders."""
    total = sum(weights.values())
    if not total:
        return {}
    parts = {name: amount * weight // total for name, weight in weights.items()}
    rest = amount - sum(parts.values())
    by_remainder = sorted(weights, key=lambda name: (-(amount * weights[name] % total), name))
    for name in by_remainder[:rest]:
        parts[name] += 1
    return parts
