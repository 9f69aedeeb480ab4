"""What would have been cheaper: the organisation's dearest models, asked of each of its cheaper ones in the past month.

Reckoned from the sums of whole days, so that it costs the same however many calls there were.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from billing.routes.core.what_if import Band, Calls, Policy, replay
from billing.routes.selectors import add_up_calls
from billing.spend.selectors.usage import UsageSums, add_up_usage
from costhub.lib.moments import to_ms
from tenants.access import Actor
from tenants.choices import Permission
from tenants.periods import period_bounds
from tenants.price_snapshots import OUTPUT_CLASSES
from tenants.selectors import load_org_snapshot

DAYS: Final = 30
#: models whose calls are moved, the dearest first, and how many savings are told
_DEAREST: Final = 4
MOST: Final = 4


@dataclass(frozen=True, slots=True)
class Opportunity:
    """What the ``calls`` of a model would have saved with another model, in nano-USD: a range, because nobody knows how
    long its answers would have been. Whether they would have been as good is not in it."""

    model: str
    to: str
    calls: int
    cost: int
    saved: Band


def list_opportunities(actor: Actor, now: datetime) -> list[Opportunity]:
    """The best other model for each of the dearest ones over the last thirty whole days, what saves most first; only
    where it would have saved something even with the longer answers.

    Raises Forbidden if the actor may not see money.
    """
    actor.check(Permission.READ_MONEY)
    org = load_org_snapshot(str(actor.org.pk))
    if org is None:
        return []
    end, _ = period_bounds("day", now, actor.org.time_zone)
    start, _ = period_bounds("day", end - timedelta(days=DAYS), actor.org.time_zone)
    sums: dict[str, list[UsageSums]] = {}
    for row in add_up_usage(actor, start, end, ("request_model",)):
        sums.setdefault(row.keys[0] or "", []).append(row)
    used = {name: add_up_calls(rows) for name, rows in sums.items()}
    prices = {name: price for name, model in org.models.items() if (price := model.find_price(to_ms(now)))}
    # Only who gives answers can stand in for one who does: no model of embeddings for a chat.
    answering = [name for name in prices if name in used and _has_answers(used[name])]
    dearest = sorted(answering, key=lambda name: -used[name].cost)[:_DEAREST]
    found = []
    for name in dearest:
        calls = used[name]
        bands = []
        for to in answering:
            if to == name:
                continue
            then = replay(calls, prices[name].rates, Policy(prices[to].rates, prices[to].per_request), used[to])
            bands.append(
                Opportunity(name, to, calls.calls, calls.cost, Band(calls.cost - then.high, calls.cost - then.low))
            )
        best = max(bands, key=lambda each: (each.saved.low, each.saved.high, each.to), default=None)
        if best is not None and best.saved.low > 0:
            found.append(best)
    return sorted(found, key=lambda each: (-each.saved.low, each.model))[:MOST]


def _has_answers(calls: Calls) -> bool:
    return any(calls.tokens.get(name) for name in OUTPUT_CLASSES)
