"""The truth about estimated rows: the upstream's own bill for a call, where it can be asked for one.

An upstream with a ``bill_path`` answers ``GET <base_url><bill_path>?request_id=<our x-client-request-id>`` with
``{"status": "final" | "open", "model", "usage": <OpenAI's usage>}``, or 404 with the error code
``call_not_found`` for a request that it never took. The
difference to what was charged becomes a correction: a row of its own, and the counters with it, once.
"""

import logging
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Final
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
from proxy.core.limits import find_scopes
from proxy.core.row import add_usage, correction_row, dump_row
from proxy.edges.ledger import CORRECT, correction_id
from proxy.edges.settles import MARK_KEPT_MS
from proxy.models import LedgerEntry
from proxy.types import Certainty, Usage
from proxy.upstreams.openai import normalise_usage
from tenants.access import org_scope
from tenants.selectors import find_price_version, load_org_snapshot
from tenants.snapshots import KeySnapshot, OrgSnapshot, PriceSnapshot, UpstreamSnapshot

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


class NotKnownYet(Exception):
    """The upstream cannot be asked now, or the call still runs there."""


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
        upstream = answering.get(str(entry.upstream_id))
        if upstream is None:
            continue
        if clock.monotonic_ns() > ends:
            break
        try:
            correct(entry, org, upstream, gate)
            corrected += 1
        except NotKnownYet:
            continue
        except AppError as error:
            # One that is out of reach would make the others wait for a time-out a row.
            del answering[upstream.id]
            _log.warning(
                "an upstream's bill cannot be asked for", extra={"upstream": upstream.id, "why": error.message}
            )
    return corrected


def correct(entry: LedgerEntry, org: OrgSnapshot, upstream: UpstreamSnapshot, gate: Gate) -> None:
    """Post the difference between one estimated row and the upstream's bill. Raises NotKnownYet."""
    used, cost = _true_cost(entry, org, upstream, gate)
    failpoints.reach("correct_asked")
    started_at_ms = to_ms(entry.started_at)
    row = {name: getattr(entry, name) for name in _COLUMNS} | {"started_at_ms": started_at_ms}
    row = {name: str(value) if isinstance(value, UUID) else value for name, value in row.items()}
    event = dump_row(correction_row(row, correction_id(str(entry.id)), used, cost, cost > entry.held))
    key = KeySnapshot(str(entry.key_id), org.id, str(entry.project_id), org.version, None, None, None, False)
    scopes = find_scopes(
        org,
        key,
        end_user=entry.end_user,
        model=entry.request_model,
        tags=entry.tags,
        session=entry.session,
        at_ms=started_at_ms,
    )
    client().register_script(CORRECT.source)(
        keys=[
            keyspace.corrected_key(org.shard, str(entry.id)),
            keyspace.ledger_key(org.shard),
            *(scope.counter for scope in scopes),
        ],
        args=[cost - entry.effective_cost, event, MARK_KEPT_MS],
    )
    failpoints.reach("correct_posted")


def _find_estimates(org: OrgSnapshot, upstream_ids: list[str]) -> Iterator[LedgerEntry]:
    """Every estimated row of these upstreams without a correction, oldest first; those that stay unknown hold up
    none."""
    after = (clock.now() - ASK_FOR, UUID(int=0))
    while upstream_ids:
        with org_scope(org.id):
            corrections = LedgerEntry.objects.filter(
                org_id=org.id, started_at=OuterRef("started_at"), corrects=OuterRef("id")
            )
            batch = list(
                LedgerEntry.objects.filter(org_id=org.id, is_estimated=True, kind="call", upstream_id__in=upstream_ids)
                .filter(Q(started_at__gt=after[0]) | Q(started_at=after[0], id__gt=after[1]))
                .exclude(Exists(corrections))
                .order_by("started_at", "id")[:_BATCH]
            )
        yield from batch
        if len(batch) < _BATCH:
            return
        after = (batch[-1].started_at, batch[-1].id)


def _true_cost(entry: LedgerEntry, org: OrgSnapshot, upstream: UpstreamSnapshot, gate: Gate) -> tuple[Usage, int]:
    """Tokens and nano-USD over all attempts: those that we know, and for the others what the bill says."""
    price = _price_of(entry, org)
    parts, cost = [], 0
    for attempt in _attempts_of(entry, upstream):
        if attempt["certainty"] in {Certainty.EXACT, Certainty.NOTHING}:
            parts.append(Usage(**attempt["usage"]))
            cost += attempt["cost"]
            continue
        billed = _ask(entry, attempt["number"], org, upstream, gate)
        if billed is not None:
            parts.append(billed)
            cost += pricing.cost(billed, price)
    return add_usage(parts), cost


def _attempts_of(entry: LedgerEntry, upstream: UpstreamSnapshot) -> list[dict[str, Any]]:
    """A call's attempts. A dead worker's hold counted only those that needed money of their own: for its call every
    number is asked for that it can have come to."""
    if entry.error_code != "worker_died":
        return list(entry.attempts)
    most = max(len(entry.attempts), upstream.max_retries + 1)
    return [{"number": number, "certainty": Certainty.BOUND} for number in range(1, most + 1)]


def _price_of(entry: LedgerEntry, org: OrgSnapshot) -> PriceSnapshot:
    """The price version that the call was charged at, whatever has come after it: nothing re-rates it here."""
    price = find_price_version(org.id, entry.price_id) if entry.price_id else None
    if price is None:
        raise NotKnownYet
    return price


def _ask(entry: LedgerEntry, number: int, org: OrgSnapshot, upstream: UpstreamSnapshot, gate: Gate) -> Usage | None:
    """The upstream's bill for one attempt; None if it never took it, or took it and billed nothing."""
    target = parse_origin(upstream.base_url)
    headers = {}
    if upstream.credential is not None:
        credential = secrets.unseal(
            settings.MASTER_KEY, org.data_key, org_id=org.id, origin=target.origin, sealed=upstream.credential
        )
        headers["authorization"] = f"Bearer {credential}"
    answer = gate.fetch_now("GET", target.url(upstream.bill_path) + f"?request_id={entry.id}:{number}", headers=headers)
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
    return usage


def _is_nothing(usage: dict[str, Any]) -> bool:
    """Whether a bill says in so many words that no token was billed."""
    return usage.get("prompt_tokens") == 0 and usage.get("completion_tokens") == 0
