"""The truth about estimated rows: the upstream's own bill for a call, where it can be asked for one.

An upstream with a ``bill_path`` answers ``GET <base_url><bill_path>?request_id=<our x-client-request-id>`` with
``{"status": "final" | "open", "model", "service_tier", "usage": <OpenAI's usage>}``, or 404 with the error code
``call_not_found`` for a request that it never took. The difference to what was charged becomes a correction: a row of
its own, and the counters with it, once.
"""

import logging
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import timedelta
from functools import partial
from typing import Any, Final, NamedTuple
from uuid import UUID

import orjson
from django.conf import settings
from django.db.models import Exists, OuterRef, Q

from costhub.lib import clock, failpoints, keyspace, secrets
from costhub.lib.errors import AppError
from costhub.lib.moments import to_ms
from costhub.lib.net import Gate, parse_origin
from costhub.lib.redis import client
from proxy.core import pricing
from proxy.core.answered import find_price_of, index_models
from proxy.core.budgets import find_scopes
from proxy.core.endpoints import MOST_SERVERS
from proxy.core.merging import take_part
from proxy.core.row import ASKED_KINDS, add_usage, correction_row, costs_by_model, dump_row
from proxy.edges.settle import CORRECT, correction_id
from proxy.edges.settle_batch import MARK_KEPT_MS
from proxy.models import LedgerEntry
from proxy.upstreams.openai import normalise_usage
from proxy.values.attempt import Certainty, Usage, name_try
from tenants.access import org_scope
from tenants.choices import LEARNED_HABITS
from tenants.price_histories import find_price_version
from tenants.price_snapshots import DEFAULT_TIER, PriceSnapshot
from tenants.selectors import load_org_snapshot, read_lineages
from tenants.snapshots import KeySnapshot, OrgSnapshot, UpstreamSnapshot
from tenants.upstream_headers import credential_headers

_log = logging.getLogger(__name__)

#: an upstream that has not closed its bill by then will not
ASK_FOR: Final = timedelta(hours=24)
_BATCH: Final = 200
#: one organisation's slow upstreams may not keep the others waiting
ORG_SECONDS: Final = 5.0
NEVER_TAKEN: Final = "call_not_found"

_COLUMNS: Final = tuple(
    field.name for field in LedgerEntry._meta.concrete_fields if field.name not in {"started_at", "recorded_at"}
)


class _Bill(NamedTuple):
    """What an upstream billed for one attempt; ``model`` and ``service_tier`` are empty where it does not say."""

    usage: Usage
    model: str = ""
    service_tier: str = ""


class NotKnownYet(Exception):
    """The upstream cannot be asked now, or the call still runs there."""


class _OutOfReach(Exception):
    """An upstream that tells its bills does not answer."""

    def __init__(self, upstream_id: str, why: str) -> None:
        super().__init__(why)
        self.upstream_id = upstream_id


def correct_estimates(org_id: str, gate: Gate) -> int:
    """Ask for the bill of every estimated row of an organisation that has no correction yet. Returns how many were
    corrected. Safe to run twice, or in two places."""
    org = load_org_snapshot(org_id)
    if org is None:
        return 0
    answering = {upstream.id: upstream for upstream in org.upstreams.values() if upstream.bill_path}
    corrected = 0
    ends = clock.ends_in(ORG_SECONDS)
    for entry in _find_estimates(org, list(answering)):
        if clock.monotonic_ns() > ends:
            break
        try:
            correct(entry, org, answering, gate)
            corrected += 1
        except NotKnownYet:
            continue
        except _OutOfReach as error:
            # It would make the others wait for a time-out a row.
            del answering[error.upstream_id]
            _log.warning(
                "an upstream's bill cannot be asked for", extra={"upstream": error.upstream_id, "why": str(error)}
            )
    return corrected


def correct(entry: LedgerEntry, org: OrgSnapshot, answering: Mapping[str, UpstreamSnapshot], gate: Gate) -> None:
    """Post the difference between one estimated row and the bills of its attempts' upstreams, which are by id those
    that can be asked. Raises NotKnownYet."""
    used, costs = _true_cost(entry, org, answering, gate)
    failpoints.reach("correct_asked")
    post_truth(entry, org, used, costs)


def price_anew(entry: LedgerEntry, org: OrgSnapshot, used: Usage, service_tier: str) -> dict[str, int]:
    """What a usage costs by model, in nano-USD, at the price that a row was charged at and by this tier. Raises
    NotKnownYet where that price is not there any more."""
    attempt = _attempts_of(entry, org)[-1]
    model = attempt.get("model") or entry.request_model
    return {model: pricing.cost(used, _price_of(attempt, org), service_tier)}


def post_truth(entry: LedgerEntry, org: OrgSnapshot, used: Usage, costs: Mapping[str, int]) -> None:
    """Post the difference between an estimated row and what is known now of its tokens, and of its cost by model, in
    nano-USD. Once a row: what is posted twice counts once."""
    cost = sum(costs.values())
    started_at_ms = to_ms(entry.started_at)
    row = {name: getattr(entry, name) for name in _COLUMNS} | {"started_at_ms": started_at_ms}
    row = {name: str(value) if isinstance(value, UUID) else value for name, value in row.items()}
    lineage = read_lineages(org.id).get(str(entry.key_id), str(entry.key_id))
    key = KeySnapshot(str(entry.key_id), org.id, str(entry.project_id), org.version, None, None, None, False, lineage)
    row["lineage"] = lineage
    event = dump_row(correction_row(row, correction_id(str(entry.id)), used, cost, cost > entry.held, costs))
    charged = costs_by_model(row)
    differences: dict[str, int] = {}
    for model in {**charged, **costs}:
        scopes = find_scopes(
            org,
            key,
            end_user=entry.end_user,
            model=model,
            tags=entry.tags,
            session=entry.session,
            at_ms=started_at_ms,
        )
        for scope in scopes:
            difference = costs.get(model, 0) - charged.get(model, 0)
            differences[scope.counter] = differences.get(scope.counter, 0) + difference
    client().register_script(CORRECT.source)(
        keys=[
            keyspace.corrected_key(org.shard, str(entry.id)),
            keyspace.ledger_key(org.shard),
            *differences,
        ],
        args=[cost - entry.effective_cost, event, MARK_KEPT_MS, *differences.values()],
    )
    failpoints.reach("correct_posted")


def _find_estimates(org: OrgSnapshot, upstream_ids: list[str]) -> Iterator[LedgerEntry]:
    """Every estimated row of these upstreams without a correction, oldest first; those that stay unknown hold up
    none."""
    after = (clock.now() - ASK_FOR, UUID(int=0))
    asked = Q(upstream_id__in=upstream_ids)
    for upstream_id in upstream_ids:
        asked |= Q(attempts__contains=[{"upstream_id": upstream_id}])
    while upstream_ids:
        with org_scope(org.id):
            corrections = LedgerEntry.objects.filter(
                org_id=org.id, started_at=OuterRef("started_at"), corrects=OuterRef("id")
            )
            batch = list(
                LedgerEntry.objects.filter(org_id=org.id, is_estimated=True, kind__in=ASKED_KINDS)
                .filter(asked)
                .filter(Q(started_at__gt=after[0]) | Q(started_at=after[0], id__gt=after[1]))
                .exclude(Exists(corrections))
                .order_by("started_at", "id")[:_BATCH]
            )
        yield from batch
        if len(batch) < _BATCH:
            return
        after = (batch[-1].started_at, batch[-1].id)


def _true_cost(
    entry: LedgerEntry, org: OrgSnapshot, answering: Mapping[str, UpstreamSnapshot], gate: Gate
) -> tuple[Usage, Counter[str]]:
    """Tokens over all attempts, and nano-USD by model: those that we know, and for the others what the bill says."""
    parts, costs, has_asked = [], Counter[str](), False
    for attempt in _attempts_of(entry, org):
        upstream = answering.get(attempt["upstream_id"])
        model = attempt.get("model") or entry.request_model
        if attempt["certainty"] == Certainty.BOUND and upstream is None:
            raise NotKnownYet
        if attempt["certainty"] in {Certainty.EXACT, Certainty.NOTHING} or upstream is None:
            # Known, or counted by us, and its upstream tells no bills.
            parts.append(Usage(**attempt["usage"]))
            costs[model] += attempt["cost"]
            continue
        has_asked = True
        price = _price_of(attempt, org)
        if attempt.get("packed") and not attempt.get("asked_as"):
            # It was asked with others, before rows said as which call: it stays as it is.
            raise NotKnownYet
        bill = _ask(attempt.get("asked_as") or f"{entry.id}:{attempt['number']}", org, upstream, gate)
        if bill is not None:
            tier = bill.service_tier or attempt.get("service_tier", "") or entry.service_tier
            cost = pricing.cost(
                bill.usage, _price_billed(bill, price, model, org, to_ms(entry.started_at)), tier or DEFAULT_TIER
            )
            used, share = _part_of(bill.usage, cost, attempt.get("part"))
            parts.append(used)
            costs[model] += share
    if not has_asked:
        raise NotKnownYet
    return add_usage(parts), costs


def _attempts_of(entry: LedgerEntry, org: OrgSnapshot) -> list[dict[str, Any]]:
    """A call's attempts; what an older row's do not say is the row's. A dead worker's hold counted only those that
    needed money of their own: for its call every number is asked for that it can have come to."""
    upstream_id = str(entry.upstream_id)
    of_row = {"upstream_id": upstream_id, "price_id": str(entry.price_id) if entry.price_id else None}
    if entry.adjustment_id:
        of_row["adjustment_id"] = str(entry.adjustment_id)
    # The row's adjustment is of the row's price: an attempt that names its own price had none where it says none.
    attempts = [
        {name: value for name, value in of_row.items() if name != "adjustment_id" or not one.get("price_id")}
        | {name: value for name, value in one.items() if value is not None}
        for one in entry.attempts
    ]
    if entry.error_code != "worker_died":
        return attempts
    upstream = org.upstreams.get(upstream_id)
    known = [attempt for attempt in attempts if attempt["error"] != "worker_died"]
    together = upstream.max_retries + 1 if upstream else 1
    together += MOST_SERVERS if upstream and upstream.endpoints else 0
    # With what a try may have learned, each habit at the cost of a number, as is each endpoint that was not reached.
    tries = together + len(LEARNED_HABITS) if upstream else 1
    model = entry.attempts[-1].get("model", "") if entry.attempts else ""
    unknown = of_row | {"certainty": Certainty.BOUND, "model": model}
    numbers = range(1, max(len(entry.attempts) - len(known), tries) + 1)
    found = known + [unknown | {"number": len(known) + number} for number in numbers]
    if not known:
        # Perhaps it was the first of calls that were asked as one.
        further = range(2, together + 1)
        found += [unknown | {"number": 1, "asked_as": name_try(str(entry.id), number)} for number in further]
    return found


def _price_of(attempt: Mapping[str, Any], org: OrgSnapshot) -> PriceSnapshot:
    """The price version that an attempt was charged at, whatever has come after it: nothing re-rates it here."""
    change = attempt.get("adjustment_id")
    price = None
    if attempt["price_id"]:
        price = find_price_version(org.id, UUID(attempt["price_id"]), UUID(change) if change else None)
    if price is None:
        raise NotKnownYet
    return price


def _price_billed(bill: _Bill, price: PriceSnapshot, model: str, org: OrgSnapshot, at_ms: int) -> PriceSnapshot:
    """The price of the model that the bill names, as an answer's that names it, where that is not the one that was
    asked for."""
    asked = org.models.get(model)
    if not bill.model or asked is None:
        return price
    neighbours = index_models(org)[asked.upstream_id]
    return find_price_of(bill.model, asked, price, neighbours, at_ms) or price


def _part_of(used: Usage, cost: int, part: list[int] | None) -> tuple[Usage, int]:
    """What of a bill is this row's: all of it, or its part where several calls were asked as one."""
    if part is None:
        return used, cost
    start, end, whole = part
    share = partial(take_part, part=(start, end, whole))
    return Usage(*map(share, used)), share(cost)


def _ask(name: str, org: OrgSnapshot, upstream: UpstreamSnapshot, gate: Gate) -> _Bill | None:
    """The upstream's bill for the attempt that it knows by a name; None if it never took it, or took it and billed
    nothing."""
    target = parse_origin(upstream.base_url)
    credential = None
    if upstream.credential is not None:
        credential = secrets.unseal(
            settings.MASTER_KEYS, org.data_key, org_id=org.id, origin=target.origin, sealed=upstream.credential
        )
    url = target.url(upstream.bill_path) + f"{'&' if target.query else '?'}request_id={name}"
    try:
        answer = gate.fetch_now("GET", url, headers=credential_headers(upstream.kind, credential, upstream.base_url))
    except AppError as error:
        raise _OutOfReach(upstream.id, error.message) from error
    if answer.status not in {200, 404}:
        raise NotKnownYet
    try:
        bill = orjson.loads(answer.body)
    except orjson.JSONDecodeError as error:
        raise NotKnownYet from error
    if answer.status == 404:
        # Any server says 404 of a path that it does not know; only this one means the call.
        if isinstance(bill, dict) and isinstance(bill.get("error"), dict) and bill["error"].get("code") == NEVER_TAKEN:
            return None
        raise NotKnownYet
    if not isinstance(bill, dict) or bill.get("status") != "final" or not isinstance(bill.get("usage"), dict):
        raise NotKnownYet
    usage = normalise_usage(bill["usage"])
    if usage is None and not _is_nothing(bill["usage"]):
        # What cannot be read must not be taken for nothing.
        raise NotKnownYet
    named = (bill[name] if isinstance(bill.get(name), str) else "" for name in ("model", "service_tier"))
    return None if usage is None else _Bill(usage, *named)


def _is_nothing(usage: dict[str, Any]) -> bool:
    """Whether a bill says in so many words that no token was billed."""
    return usage.get("prompt_tokens") == 0 and usage.get("completion_tokens") == 0
