"""Sums as people read them. Money is nano-USD, tokens are counts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

#: What savings are attributed to; in every row the parts sum to list cost minus effective cost.
MECHANISMS: Final = ("cache", "coalescing", "compression", "routing", "cascade", "batch", "distillation")
#: the columns of ``Measures`` that a ``Totals`` is made of
MEASURES: Final = (
    "requests",
    "input_tokens",
    "output_tokens",
    "list_cost",
    "effective_cost",
    *(f"saved_by_{mechanism}" for mechanism in MECHANISMS),
)


_SAVED: Final = tuple((mechanism, f"saved_by_{mechanism}") for mechanism in MECHANISMS)


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over rows of the ledger. ``savings`` holds only the mechanisms that are not zero.

    ``input_tokens`` and ``output_tokens`` are of every class: cached, cache-writing and audio ones are inside them,
    as in the ledger.
    """

    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    list_cost: int = 0
    effective_cost: int = 0
    savings: Mapping[str, int] = field(default_factory=dict)

    @property
    def tokens(self) -> int:
        """Input and output tokens together."""
        return self.input_tokens + self.output_tokens

    def __add__(self, other: "Totals") -> "Totals":
        mechanisms = [name for name in MECHANISMS if name in self.savings or name in other.savings]
        parts = {name: self.savings.get(name, 0) + other.savings.get(name, 0) for name in mechanisms}
        return Totals(
            self.requests + other.requests,
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.list_cost + other.list_cost,
            self.effective_cost + other.effective_cost,
            {name: nanos for name, nanos in parts.items() if nanos},
        )


def read_totals(amounts: Mapping[str, int]) -> Totals:
    """Some of the ``MEASURES`` of a sum; one that was not asked for is zero."""
    savings = {name: nanos for name, measure in _SAVED if (nanos := amounts.get(measure))}
    return Totals(
        requests=amounts.get("requests", 0),
        input_tokens=amounts.get("input_tokens", 0),
        output_tokens=amounts.get("output_tokens", 0),
        list_cost=amounts.get("list_cost", 0),
        effective_cost=amounts.get("effective_cost", 0),
        savings=savings,
    )
