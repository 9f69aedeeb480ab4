"""All sums of the console's first page, asked for together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from billing.core.ranges import Range
from billing.filters import LedgerFilters
from billing.selectors.budgets import BudgetBook, BudgetUse, ask_uses, read_uses
from billing.selectors.spend import Spend, ask_spend, read_spend
from billing.selectors.sums import Question, add_up
from billing.selectors.tiles import MonthTiles, ask_tiles, read_tiles
from tenants.access import Actor

#: what is shown of spend
_SHOWN: Final = ("requests", "input_tokens", "output_tokens", "effective_cost")


@dataclass(frozen=True, slots=True)
class FirstPage:
    """The month's figures, the budgets with the fullest first, spend over a range by its unit of time and one group,
    and by each group of ``tables`` alone."""

    tiles: MonthTiles
    budgets: tuple[BudgetUse, ...]
    spend: Spend
    tables: Mapping[str, Spend]


def read_first_page(
    actor: Actor,
    now: datetime,
    book: BudgetBook,
    span: Range,
    filters: LedgerFilters,
    *,
    stack: str,
    tables: Sequence[str],
) -> FirstPage:
    """Spend over ``span`` by ``stack``, and the figures that stand beside it.

    Raises Forbidden if the actor may not see money.
    """
    tiles, uses = ask_tiles(actor, now), ask_uses(actor, book, now)

    def ask(*groups: str) -> Question:
        return ask_spend(actor, start=span.start, end=span.end, group_by=groups, filters=filters, measures=_SHOWN)

    chart = ask(span.unit, stack)
    # A table of what the chart is stacked by is in the chart.
    alone = {name: ask(name) for name in tables if name != stack}
    sums = add_up(actor, [*tiles, *uses.values(), chart, *alone.values()])
    spend = read_spend(actor, chart, sums[chart])
    return FirstPage(
        tiles=read_tiles(actor, now, tiles, sums),
        budgets=read_uses(actor, book, now, uses, sums),
        spend=spend,
        tables={
            name: read_spend(actor, alone[name], sums[alone[name]]) if name in alone else spend.regroup(name)
            for name in tables
        },
    )
