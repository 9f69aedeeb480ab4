"""Rows of the ledger that no call has made: training, hours of GPUs. Budgets count them as they count calls.

What may be known before is held, as a call's bound is (``hold_ahead``); what is known afterwards only may overrun one.
"""

from typing import Any, Final, NamedTuple, cast
from uuid import UUID

from costhub.lib import clock, keyspace
from costhub.lib.redis import client
from proxy.core.budgets import find_scopes
from proxy.core.layout import lay_out
from proxy.core.refusals import refuse_budget
from proxy.core.row import dump_row, open_row
from proxy.edges.reserve_batch import RESERVE, Reserve, reserve_command
from proxy.edges.settle import LATE
from proxy.edges.settle_batch import MARK_KEPT_MS, SETTLE, Settle, settle_command
from proxy.errors import GovernanceUnavailable
from proxy.ledger.recount import recount_apart
from proxy.values.plan import Bound
from proxy.values.windows import Scope
from tenants.selectors import load_org_snapshot
from tenants.snapshots import KeySnapshot, OrgSnapshot

PROVIDER: Final = "costhub"
#: no key has asked for it
NO_KEY: Final = UUID(int=0)
#: what is held and not renewed for so long is charged by the reaper
HELD_MS: Final = 3_600_000
#: no hold was lost with one
_NO_EPOCH: Final = "none"
_HELD, _OVER, _UNKNOWN = 1, 0, -2
_TRIES: Final = 3


class Spending(NamedTuple):
    """Whose money goes for what: ``row_id`` is the ledger row's, and the hold's. ``kind`` is the row's; ``name`` stands
    for a model, so that budgets of models may be made of it."""

    org_id: UUID
    project_id: UUID
    row_id: str
    kind: str
    name: str
    reason: str
    started_ms: int


def hold_ahead(spending: Spending, nanos: int, step: int) -> None:
    """Set money aside, beside what the ``step`` - 1 steps before have set aside for the same row; once for a step.

    Raises BudgetExceeded where a budget cannot take it, and GovernanceUnavailable where nobody knows.
    """
    org = load_org_snapshot(str(spending.org_id))
    if org is None:
        raise GovernanceUnavailable("The organisation cannot be read at the moment, so nothing was spent.")
    row = dump_row(_open(org, spending))
    scopes = _find_scopes(org, spending)
    bound = Bound(input_tokens=0, fixed_picos=nanos * 1_000, output_picos=0, choices=1, max_output=0, is_exact=True)
    for _ in range(_TRIES):
        now = clock.now_ms()
        reserve = Reserve(spending.row_id, step, bound, None, row)
        keys, arguments = reserve_command(org.shard, lay_out(scopes, ()), (), org.id, org.version, [reserve], now)
        (answer,) = client().register_script(RESERVE.source)(keys=cast("list[str | bytes]", keys), args=arguments)
        if answer[0] == _HELD:
            renew_hold(org.shard, spending.row_id)
            return
        if answer[0] == _OVER:
            raise refuse_budget(scopes[answer[1] - 1], answer, _key_of(org, spending))
        if answer[0] != _UNKNOWN:
            break
        if not recount_apart(org.shard, org.id, () if 0 in answer[1:] else scopes):
            break
    raise GovernanceUnavailable("Budgets cannot be checked at the moment, so nothing was spent.")


def renew_hold(shard: int, row_id: str) -> None:
    """Whoever holds it lives."""
    client().zadd(keyspace.leases_key(shard), {row_id: clock.now_ms() + HELD_MS}, xx=True)


def give_back(spending: Spending) -> bool:
    """What is held for it is not spent, with a row of nothing in the ledger. Says whether there was a hold."""
    org = load_org_snapshot(str(spending.org_id))
    return org is not None and _settle(org, spending, 0, _close(org, spending, 0, 0))


def charge(spending: Spending, nanos: int, duration_us: int, **more: Any) -> bool:
    """Put what was spent into the ledger, and on the counters of the budgets that it falls under, in the place of what
    was held for it. Says whether it was not there yet. ``more`` are further columns of the row."""
    org = load_org_snapshot(str(spending.org_id))
    if org is None:
        return False
    event = _close(org, spending, nanos, duration_us, **more)
    if _settle(org, spending, nanos, event):
        return True
    # Nothing was held, or it is lost: as a call that is settled without a hold.
    counters = {scope.counter: scope for scope in _find_scopes(org, spending)}
    late: list[str | int | bytes] = [_NO_EPOCH, event, MARK_KEPT_MS]
    for scope in counters.values():
        late += (1 if scope.is_whole else 0, scope.kept_until_ms, nanos)
    before = client().register_script(LATE.source)(
        keys=[
            keyspace.closed_key(org.shard, spending.row_id),
            keyspace.epoch_key(org.shard),
            keyspace.ledger_key(org.shard),
            *counters,
        ],
        args=late,
    )
    return not before


def _close(org: OrgSnapshot, spending: Spending, nanos: int, duration_us: int, **more: Any) -> bytes:
    """The row's event, as it ends."""
    costs = {"list_cost": nanos, "effective_cost": nanos, "status": 200, "duration_us": duration_us}
    return dump_row(_open(org, spending) | costs | more)


def _settle(org: OrgSnapshot, spending: Spending, nanos: int, event: bytes) -> bool:
    """Put a cost in the place of what is held. Says whether there was a hold."""
    settle = Settle(spending.row_id, nanos, event, b"", f"settled {nanos}")
    keys, arguments = settle_command(org.shard, [settle], clock.now_ms())
    (settled,) = client().register_script(SETTLE.source)(keys=keys, args=arguments)
    return bool(settled == 1)


def _key_of(org: OrgSnapshot, spending: Spending) -> KeySnapshot:
    return KeySnapshot(str(NO_KEY), org.id, str(spending.project_id), org.version, None, None, None, False)


def _open(org: OrgSnapshot, spending: Spending) -> dict[str, Any]:
    return open_row(spending.row_id, spending.started_ms, _key_of(org, spending), spending.kind) | {
        "kind": spending.kind,
        "request_model": spending.name,
        "response_model": spending.name,
        "provider": PROVIDER,
        "route_reason": spending.reason,
    }


def _find_scopes(org: OrgSnapshot, spending: Spending) -> tuple[Scope, ...]:
    return find_scopes(
        org,
        _key_of(org, spending),
        end_user="",
        model=spending.name,
        tags={},
        session="",
        at_ms=spending.started_ms,
    )
