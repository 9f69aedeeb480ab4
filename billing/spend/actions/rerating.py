"""Re-rating, carried out: what calls should cost by the prices that are known now, and the differences in the ledger.

Each difference goes the way of any correction: one script posts it to the counters that still exist and appends its
event, once. Before a batch is looked at, the ledger is brought up to date in the same transaction, so that no row that
is still on its way is overlooked, and nothing is posted twice however often a batch is repeated.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from uuid import UUID

from billing.spend.core.rerating import Change, FindPrice, LeftOut, rerate
from billing.spend.selectors.rerating import Place, read_calls_of
from costhub.lib import keyspace
from costhub.lib.errors import Conflict, InvalidField
from costhub.lib.moments import from_ms
from costhub.lib.redis import client, run_script
from proxy.core.answered import find_price_of, index_models
from proxy.core.budgets import find_scopes
from proxy.core.row import Row, costs_by_model, dump_row
from proxy.edges.settle import CORRECT
from proxy.edges.settle_batch import MARK_KEPT_MS
from proxy.ledger import drain
from tenants.access import Actor
from tenants.price_snapshots import PriceSnapshot
from tenants.selectors import load_whole_org, read_lineages
from tenants.snapshots import KeySnapshot, ModelSnapshot, OrgSnapshot

#: so many calls are looked at in one transaction
SPAN: Final = 20_000


@dataclass(slots=True)
class Tally:
    """What a pass found. Money is nano-USD."""

    calls: int = 0
    changed: int = 0
    before: int = 0
    after: int = 0
    left_out: dict[str, int] = field(default_factory=dict)

    @property
    def change(self) -> int:
        """Above zero where calls cost more than they were charged."""
        return self.after - self.before

    def add(self, found: Change | LeftOut | None) -> None:
        """Count one call."""
        self.calls += 1
        if isinstance(found, LeftOut):
            self.left_out[found.value] = self.left_out.get(found.value, 0) + 1
        elif found is not None:
            self.changed += 1
            self.before += found.before
            self.after += found.after


def preview(
    actor: Actor, model: str, start: datetime, end: datetime, after: Place | None
) -> tuple[Tally, Place | None]:
    """What re-rating would change of the next ``SPAN`` calls or so, and nothing is; and where they end, None where
    there are no more. Raises InvalidField for a model that there is not."""
    _, asked, find_price = _prices_of(actor, model)
    tally, place = Tally(), None
    for batch in read_calls_of(actor, asked.name, start, end, after):
        for rows in batch:
            tally.add(rerate(rows, asked.name, find_price, ""))
        if tally.calls >= SPAN:
            place = _place_of(batch)
            break
    return tally, place


def post_batch(
    actor: Actor, model: str, start: datetime, end: datetime, mark: str, after: Place | None
) -> tuple[Tally, Place | None]:
    """Post the differences of the next batch of calls: what it changed, and where it ends; None where there are no
    more. Repeated it posts nothing twice. ``mark`` is the re-rating's id.

    Wants a transaction of its own, in which the organisation is open. Raises Conflict where the ledger is too far
    behind, InvalidField for a model that there is not.
    """
    org, asked, find_price = _prices_of(actor, model)
    _catch_up(actor)
    tally = Tally()
    batch = next(read_calls_of(actor, asked.name, start, end, after), None)
    if batch is None:
        return tally, None
    lineages = read_lineages(org.id)
    pipe = client().pipeline(transaction=False)
    for rows in batch:
        found = rerate(rows, asked.name, find_price, mark)
        tally.add(found)
        if isinstance(found, Change):
            for row in found.rows:
                keys, arguments = _correction(org, row, lineages)
                run_script(pipe, CORRECT.source, keys, arguments)
    pipe.execute()
    return tally, _place_of(batch)


def _place_of(batch: Sequence[Sequence[Row]]) -> Place:
    last = batch[-1][0]
    return from_ms(last["started_at_ms"]), UUID(last["id"])


def _catch_up(actor: Actor) -> None:
    """Have the ledger hold everything that was posted, in the current transaction. Raises Conflict where it is too far
    behind."""
    drain.wait_for_lock(actor.org.shard)
    try:
        drain.append_unread(actor.org.shard)
    except drain.TooManyUnread as error:
        raise Conflict("The ledger is catching up: this goes on by itself in a minute.") from error


def _prices_of(actor: Actor, model: str) -> tuple[OrgSnapshot, ModelSnapshot, FindPrice]:
    # What was called may be switched off by now, or be so before the last batch.
    org = load_whole_org(str(actor.org.pk))
    asked = org.models.get(model) if org else None
    if org is None or asked is None:
        raise InvalidField("There is no such model.", field="model")
    neighbours = index_models(org)[asked.upstream_id]

    def find_price(at_ms: int, answered: str) -> PriceSnapshot | None:
        price = asked.find_price(at_ms)
        if price is None or not answered:
            return price
        return find_price_of(answered, asked, price, neighbours, at_ms) or price

    return org, asked, find_price


def _correction(org: OrgSnapshot, row: Row, lineages: Mapping[str, str]) -> tuple[list[str], list[str | int | bytes]]:
    """What the script is given: a row, and its money on every counter that still exists; once, by the row's id."""
    lineage = lineages.get(row["key_id"], row["key_id"])
    key = KeySnapshot(row["key_id"], org.id, row["project_id"], org.version, None, None, None, False, lineage)
    differences: dict[str, int] = {}
    for model, nanos in costs_by_model(row).items():
        scopes = find_scopes(
            org,
            key,
            end_user=row["end_user"],
            model=model,
            tags=row["tags"],
            session=row["session"],
            at_ms=row["started_at_ms"],
        )
        for scope in scopes:
            differences[scope.counter] = differences.get(scope.counter, 0) + nanos
    keys = [keyspace.corrected_key(org.shard, row["id"]), keyspace.ledger_key(org.shard), *differences]
    event = dump_row(row | {"lineage": lineage})
    return keys, [row["effective_cost"], event, MARK_KEPT_MS, *differences.values()]
