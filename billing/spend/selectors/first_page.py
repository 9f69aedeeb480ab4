"""All sums of the console's first page, asked for together."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from billing.spend.core.ranges import Range
from billing.spend.filters import LedgerFilters
from billing.spend.selectors.budgets import BudgetBook, BudgetUse, ask_uses, read_uses
from billing.spend.selectors.spend import Spend, ask_spend, read_spend
from billing.spend.selectors.sums import Question, add_up
from billing.spend.selectors.tiles import MonthTiles, ask_tiles, read_tiles
from tenants.access import Actor

#: what is shown of spend
_SHOWN: Final = ("requests", "input_tokens", "output_tokens", "effective_cost")
#: groups of which there may be tens of thousands a day: which are the dearest is asked without days, of fewer sums
_MANY: Final = frozenset({"end_user"})


@dataclass(frozen=True, slots=True)
class FirstPage:
    """The month's figures, the budgets with the fullest first, and spend over a range by its unit of time and one
    group. ``before`` is what the stretch of the same length before it cost, in nano-USD."""

    tiles: MonthTiles
    budgets: tuple[BudgetUse, ...]
    spend: Spend
    before: int


def read_first_page(
    actor: Actor,
    now: datetime,
    book: BudgetBook,
    span: Range,
    filters: LedgerFilters,
    *,
    stack: str,
    top: int,
) -> FirstPage:
    """Spend over ``span`` by ``stack``, and the figures that stand beside it; of each group the ``top`` dearest alone,
    and the others together: an organisation may have ten thousand end users, and a page shows twenty.

    Raises Forbidden if the actor may not see money.
    """
    tiles, uses = ask_tiles(actor, now), ask_uses(actor, book, now)

    def ask(*groups: str, top: int = top, among: tuple[str, ...] = ()) -> Question:
        return ask_spend(
            actor,
            start=span.start,
            end=span.end,
            group_by=groups,
            filters=filters,
            measures=_SHOWN,
            top=top,
            among=among,
        )

    chart, dearest = ask(span.unit, stack), None
    if stack in _MANY:
        question = ask(stack)
        dearest = read_spend(actor, question, add_up(actor, [question])[question])
        if dearest.groups > top:
            names = tuple(row.group[stack] for row in dearest.rows if not row.is_rest)
            chart = ask(span.unit, stack, top=0, among=names)
    length = span.end - span.start
    before = ask_spend(
        actor, start=span.start - length, end=span.start, filters=filters, measures=("requests", "effective_cost")
    )
    sums = add_up(actor, [*tiles, *uses.values(), chart, before])
    spend = read_spend(actor, chart, sums[chart])
    if dearest:
        spend = replace(spend, groups=dearest.groups)
    return FirstPage(
        tiles=read_tiles(actor, now, tiles, sums),
        budgets=read_uses(actor, book, now, uses, sums),
        spend=spend,
        before=sum(each.amounts["effective_cost"] for each in sums[before]),
    )
