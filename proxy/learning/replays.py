"""Paid replays: what captured calls cost another model, and whether it says the same, found out by asking it.

A what-if reckons; this asks, through the proxy like any caller, and never for more than its cap: each call is sent with
what is left of it as ``x-costhub-max-cost``, by which the proxy refuses what might cost more. Like a teacher run it may
be interrupted anywhere: an answer that was lost on the way is given again, and what it cost is read from the ledger.
So is what a try cost that an upstream took and did not answer, or whose end nobody heard, before the next one is made.
"""

from datetime import datetime
from typing import Final
from uuid import UUID

import orjson
from django.db import transaction

from costhub.lib import clock
from costhub.lib.errors import Conflict, InvalidField
from costhub.lib.moments import to_ms
from costhub.lib.money import MAX_LIMIT_NANOS, Nanos, format_usd
from costhub.lib.net import Gate
from proxy.cache.texts import is_same_text
from proxy.edges.capture import place_of
from proxy.learning.asking import OVER_CAP, Answered, Later, Never, ask, check_own_key, gate_to_proxy
from proxy.learning.choices import JobState
from proxy.learning.consent import is_covered, list_consents
from proxy.learning.conversations import NoExample, read_call
from proxy.learning.models import CapturedCall, PaidReplay
from proxy.learning.sealing import REPLAY_KEY, Unreadable, seal, unseal
from proxy.learning.settling import SETTLED_AFTER, end_run, read_spent, tag_run
from proxy.ledger.model import LedgerEntry
from tenants.access import Actor, find_uuid, job_scope
from tenants.actions.audit import record
from tenants.choices import Permission
from tenants.models import LanguageModel, Route

MOST_CALLS: Final = 500
#: a replay holds up the others for so long, and goes on with the next turn of the job
TURN_SECONDS: Final = 60
_UNDER_WAY: Final = (JobState.WAITING.value, JobState.RUNNING.value)
#: a failed try of which the ledger knows nothing by then was refused before anything was asked
_NO_ROW_AFTER_MS: Final = 10 * 60 * 1_000
_LOST_FOR_MS: Final = int(SETTLED_AFTER.total_seconds() * 1_000)


def start_paid_replay(
    *, actor: Actor, model: str, to: str, cap_nanos: Nanos, api_key: str, most_calls: int = 100
) -> PaidReplay:
    """Have the newest captured calls of a model or route asked again of another, with ``api_key``, whose budgets and
    limits hold, for at most ``cap_nanos``. The key is sealed, and erased when the replay ends.

    Raises InvalidField for what cannot be, Conflict while there is another replay.
    """
    actor.check(Permission.WRITE_SETTINGS)
    actor.check(Permission.READ_MONEY)
    check_own_key(actor, api_key)
    if not 0 < cap_nanos <= MAX_LIMIT_NANOS:
        most = format_usd(MAX_LIMIT_NANOS)
        raise InvalidField(f"Give a cap above zero and at most {most}.", field="cap")
    if not 1 <= most_calls <= MOST_CALLS:
        raise InvalidField(f"Give from 1 to {MOST_CALLS} calls.", field="calls")
    if not any(kind.objects.filter(org=actor.org, name=to).exists() for kind in (LanguageModel, Route)):
        raise InvalidField("Give one of the organisation's models or routes.", field="to")
    calls = CapturedCall.objects.filter(org=actor.org, model=model).order_by("-at", "id")
    chosen = list(calls.values_list("pk", flat=True)[:most_calls])
    if not chosen:
        raise InvalidField(
            "No call of this model was captured: give a capture policy for it, and wait for calls.", field="model"
        )
    with transaction.atomic():
        # One after the other, also of two that are started at the same moment.
        type(actor.org).objects.select_for_update(no_key=True).get(pk=actor.org.pk)
        if PaidReplay.objects.filter(org=actor.org, state__in=_UNDER_WAY).exists():
            raise Conflict("There is a paid replay already: wait for it, or cancel it.")
        replay = PaidReplay(org=actor.org, model=model, to=to, calls=chosen, cap_nanos=cap_nanos, is_tagged=True)
        replay.api_key = seal(actor.org, f"{REPLAY_KEY} {replay.pk}", api_key)
        replay.save(force_insert=True)
        record(actor, "started", replay, model=model, to=to, calls=len(chosen), cap_nanos=cap_nanos)
    return replay


def cancel_paid_replay(*, actor: Actor, replay: PaidReplay) -> PaidReplay:
    """Ask no more calls; what was found stays."""
    actor.check(Permission.WRITE_SETTINGS)
    with transaction.atomic():
        replay = PaidReplay.objects.select_for_update().get(pk=replay.pk)
        if replay.state in _UNDER_WAY:
            end_run(replay, JobState.CANCELLED)
            record(actor, "cancelled", replay)
    return replay


def continue_replay(org_id: UUID, replay_id: UUID, gate: Gate | None = None, seconds: float = TURN_SECONDS) -> bool:
    """Ask the next calls of a replay, for so many seconds. Says whether there is more to do."""
    gate = gate or gate_to_proxy()
    ends = clock.ends_in(seconds)
    is_more = True
    while is_more and clock.monotonic_ns() < ends:
        try:
            is_more = _take_step(org_id, replay_id, gate)
        except Later as error:
            return _note(org_id, replay_id, error)
        except Never as error:
            return _fail(org_id, replay_id, str(error))
    return is_more


def _take_step(org_id: UUID, replay_id: UUID, gate: Gate) -> bool:
    """Ask one call and keep what came of it. Says whether there is another one. Raises Later, Never."""
    with job_scope(org_id) as actor:
        replay = _open(actor, replay_id)
        if replay is None:
            return False
        _count_tries(actor, replay)
        if replay.cost_nanos >= replay.cap_nanos:
            return _reach_cap(replay)
        number = len(replay.pairs) + replay.failed
        call = _find_call(actor, replay.calls[number])
        before = _find_cost(actor, call.pk, call.at) if call is not None else None
        said = _read(actor, call) if call is not None else None
        key = unseal(actor.org, f"{REPLAY_KEY} {replay.pk}", bytes(replay.api_key or b""))
        left, tag = replay.cap_nanos - replay.cost_nanos, tag_run(replay)
    answered = None
    if said is not None and before is not None:
        messages, _ = said
        answered = ask(
            gate,
            key,
            replay.to,
            messages,
            idempotency_key=f"paid-replay-{replay_id}-{number}",
            headers={"x-costhub-max-cost": format_usd(left), **tag},
        )
    with job_scope(org_id) as actor:
        replay = _open(actor, replay_id)
        if replay is None or len(replay.pairs) + replay.failed != number:
            # Cancelled, or somebody else goes on with it.
            return False
        if answered is None or said is None or before is None:
            replay.failed += 1
        else:
            cost, is_counted = _find_paid(actor, answered, replay)
            replay.cost_nanos += 0 if is_counted else cost
            replay.pairs.append([before, cost])
            replay.same += is_same_text(answered.text, said[1])
        replay.error = ""
        if len(replay.pairs) + replay.failed == len(replay.calls):
            end_run(replay, JobState.DONE)
        elif replay.cost_nanos >= replay.cap_nanos:
            return _reach_cap(replay)
        replay.save(update_fields=["pairs", "same", "failed", "cost_nanos", "error"])
        return replay.state == JobState.RUNNING.value


def _count_tries(actor: Actor, replay: PaidReplay) -> None:
    """Take what failed tries cost from the cap. Raises Later where the ledger does not know that yet."""
    if not replay.doubted:
        return
    now_ms = to_ms(clock.now())
    if any(not request_id for request_id, _ in replay.doubted):
        # Nobody knows how it is called in the ledger, but that it is one of ours.
        if any(at_ms > now_ms - _LOST_FOR_MS for _, at_ms in replay.doubted):
            raise Later("What the last try cost is not in the ledger yet.")
        replay.cost_nanos, replay.counted_until = read_spent(actor, replay.pk, replay.created_at), clock.now()
    else:
        ids = [UUID(request_id) for request_id, _ in replay.doubted]
        rows = LedgerEntry.objects.filter(org_id=actor.org.pk, started_at__gte=replay.created_at, id__in=ids)
        costs = {str(call_id): cost for call_id, cost in rows.values_list("id", "effective_cost")}
        too_old = now_ms - _NO_ROW_AFTER_MS
        if any(request_id not in costs and at_ms > too_old for request_id, at_ms in replay.doubted):
            raise Later("What the last try cost is not in the ledger yet.")
        replay.cost_nanos += sum(costs.values())
    replay.doubted = []
    replay.save(update_fields=["cost_nanos", "counted_until", "doubted"])


def _open(actor: Actor, replay_id: UUID) -> PaidReplay | None:
    replay = PaidReplay.objects.select_for_update().filter(org=actor.org, pk=replay_id, state__in=_UNDER_WAY).first()
    if replay is not None and replay.state == JobState.WAITING.value:
        replay.state = JobState.RUNNING.value
        replay.save(update_fields=["state"])
    return replay


def _find_call(actor: Actor, call_id: UUID) -> CapturedCall | None:
    """A captured call, as long as its organisation still consents."""
    call = CapturedCall.objects.filter(org=actor.org, pk=call_id).first()
    return call if call is not None and is_covered(list_consents(actor.org), call.model, call.at) else None


def _read(actor: Actor, call: CapturedCall) -> tuple[list[dict[str, str]], str] | None:
    """The messages and the answer of a captured call; None for one that is no plain text."""
    try:
        said = orjson.loads(unseal(actor.org, place_of(str(call.pk)), bytes(call.sealed)))
        prompt, answer = read_call(said, said["answer"].encode(), said["content_type"])
    except (NoExample, Unreadable):
        return None
    return [{"role": message.role, "content": message.content} for message in prompt], answer


def _find_cost(actor: Actor, call_id: UUID, at: datetime) -> int | None:
    """What a call cost, in nano-USD; None where its row is gone."""
    rows = LedgerEntry.objects.filter(org_id=actor.org.pk, started_at=at, id=call_id)
    return rows.values_list("effective_cost", flat=True).first()


def _find_paid(actor: Actor, answered: Answered, replay: PaidReplay) -> tuple[int, bool]:
    """What an answer cost in nano-USD, also one that was paid for before whoever asked had kept it, and whether that is
    in the replay's sum already. Raises Later where the ledger does not know that yet."""
    if not answered.original:
        return answered.cost, False
    rows = LedgerEntry.objects.filter(
        org_id=actor.org.pk, started_at__gte=replay.created_at, id=UUID(answered.original)
    )
    row = rows.values_list("effective_cost", "started_at").first()
    if row is None:
        raise Later("What the last answer cost is not in the ledger yet.")
    return row[0], replay.counted_until is not None and row[1] < replay.counted_until


def _note(org_id: UUID, replay_id: UUID, why: Later) -> bool:
    with job_scope(org_id) as actor:
        replay = _open(actor, replay_id)
        if replay is None:
            return False
        if why.code == OVER_CAP:
            return _reach_cap(replay)
        replay.error = str(why)
        # What stands before the proxies may answer with an id of its own.
        request_id = find_uuid(why.request_id)
        if request_id is not None or (why.is_lost and replay.is_tagged):
            replay.doubted.append([str(request_id or ""), to_ms(clock.now())])
        replay.save(update_fields=["error", "doubted"])
    return True


def _reach_cap(replay: PaidReplay) -> bool:
    """What is left of the cap does not pay for another call."""
    replay.error = "The next call might have cost more than is left of the cap."
    replay.save(update_fields=["error", "pairs", "same", "failed", "cost_nanos"])
    end_run(replay, JobState.DONE)
    return False


def _fail(org_id: UUID, replay_id: UUID, why: str) -> bool:
    with job_scope(org_id) as actor:
        if (replay := _open(actor, replay_id)) is not None:
            replay.error = why
            replay.save(update_fields=["error"])
            end_run(replay, JobState.FAILED)
    return False
