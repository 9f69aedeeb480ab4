"""A call's ledger event: what PostgreSQL will hold, as JSON, made twice, when its money is set aside and when it is
spent.

The names are those of the table's columns; ``started_at_ms`` becomes ``started_at``.
"""

from collections.abc import Mapping, Sequence
from itertools import compress
from typing import Any, Final

import orjson

from proxy.core.savings import add_up
from proxy.values.attempt import Attempt, Certainty, Mechanism, Savings, Usage
from proxy.values.plan import Candidate, Hold, Plan
from proxy.values.request import Request
from tenants.snapshots import KeySnapshot

Row = dict[str, Any]

#: the endpoint of the row of a call that hands in a batch; its lines have rows of their own
BATCHES: Final = "batches"
#: in place of an endpoint: what is kept from calls while a limit is lowered; it never becomes a row
SET_ASIDE: Final = "set_aside"
#: in the row of a call that waits for its deadline; no column
DEFERRED: Final = "is_deferred"

#: the first so many classes of usage have columns
_COLUMNS: Final = 7
_WITHOUT_COLUMN: Final = Usage._fields[_COLUMNS:]


#: kinds of rows for which an upstream was asked: of callers, and beside their calls
ASKED_KINDS: Final = ("call", "comparison", "scoring")
#: a row of which nothing is known yet
_OPEN: Final[Row] = {
    "id": "",
    "started_at_ms": 0,
    "org_id": "",
    "project_id": "",
    "key_id": "",
    # what limits know the key by; no column, the table of keys has it
    "lineage": "",
    "end_user": "",
    "tags": {},
    "session": "",
    "kind": "call",
    "corrects": None,
    "endpoint": "",
    "request_model": "",
    "response_model": "",
    "upstream_id": None,
    "provider": "",
    "attempts": [],
    "is_stream": False,
    "input_tokens": 0,
    "cache_read_input_tokens": 0,
    "cache_write_input_tokens": 0,
    "output_tokens": 0,
    "reasoning_tokens": 0,
    "audio_input_tokens": 0,
    "audio_output_tokens": 0,
    "usage": {},
    "list_cost": 0,
    "effective_cost": 0,
    "savings": {},
    "price_id": None,
    "adjustment_id": None,
    "service_tier": "",
    "is_estimated": False,
    "is_overrun": False,
    "held": 0,
    "cache_status": "bypass",
    "route_reason": "",
    "would_refuse": [],
    "status": 0,
    "error_code": "",
    "finish_reason": "",
    "duration_us": 0,
    "first_byte_us": None,
    "overhead_us": None,
}


def open_row(request_id: str, started_at_ms: int, key: KeySnapshot, endpoint: str) -> Row:
    """The row of a call of which nothing is known yet but who calls."""
    return {
        **_OPEN,
        "id": request_id,
        "started_at_ms": started_at_ms,
        "org_id": key.org_id,
        "project_id": key.project_id,
        "key_id": key.id,
        "lineage": key.root,
        "end_user": key.end_user or "",
        "endpoint": endpoint,
        # No two rows share what may be filled in later.
        "tags": {},
        "attempts": [],
        "usage": {},
        "savings": {},
        "would_refuse": [],
    }


def add_request(row: Row, request: Request) -> None:
    """What was asked for, also where it is refused next."""
    row["request_model"] = request.model
    row["is_stream"] = request.is_stream


def add_plan(row: Row, plan: Plan) -> None:
    """What was decided."""
    controls = plan.controls
    row["end_user"], row["tags"], row["session"] = controls.end_user, controls.tags, controls.session
    row["route_reason"] = route_of(plan)
    add_candidate(row, plan.candidates[0])


def add_candidate(row: Row, candidate: Candidate) -> None:
    """Who is asked, and at which price."""
    upstream, price = candidate.upstream, candidate.price
    row["upstream_id"], row["provider"] = upstream.id, upstream.kind
    row["price_id"], row["adjustment_id"] = price.id or None, price.adjustment_id or None


def route_of(plan: Plan) -> str:
    """Why the call goes where it goes first: ``direct``, what a route decided, which rungs of a ladder it is on, which
    models do not answer at the moment."""
    routing = plan.routing
    compression = plan.request.compression
    if routing is None and not plan.rungs and not plan.passed_over:
        return f"direct; {compression}" if compression else "direct"
    reasons = [routing.told] if routing is not None else []
    if plan.rungs:
        reasons.append(f"degraded: {', '.join(plan.rungs)}")
    reasons += (fallback_from(name, "does not answer") for name in plan.passed_over)
    return "; ".join([*reasons, compression] if compression else reasons)


def fallback_from(model: str, reason: str) -> str:
    """Why a model was passed over, as a route tells it."""
    return f"fallback from {model}: {reason}"


def add_fallback(row: Row, before: Candidate, reason: str, after: Candidate) -> None:
    """A candidate did not answer, and another one is asked."""
    told = fallback_from(before.model.name, reason)
    row["route_reason"] = told if row["route_reason"] == "direct" else f"{row['route_reason']}; {told}"
    add_candidate(row, after)


def add_escalation(row: Row, before: Candidate, why: str, after: Candidate) -> None:
    """A candidate's answer was judged, and another one is asked."""
    row["route_reason"] = f"{row['route_reason']}; {before.model.name} {why}, so {after.model.name}"
    add_candidate(row, after)


def add_pack(row: Row, calls: int, *, is_answered: bool) -> None:
    """A call was asked together with others, and got its answer so or was asked alone after that."""
    told = f"asked with {calls - 1} other{'s' if calls > 2 else ''}"
    row["route_reason"] = f"{row['route_reason']}; {told}" + ("" if is_answered else ", and then alone")


def add_verdict(row: Row, candidate: Candidate, why: str) -> None:
    """A candidate's answer was judged, and is given; also where it was not good enough and no other is to be had."""
    row["route_reason"] = f"{row['route_reason']}; {candidate.model.name} {why}"
    add_candidate(row, candidate)


def add_attempts(row: Row, attempts: Sequence[Attempt], hold: Hold, served: str = "") -> None:
    """What the upstream was asked for and billed. Money and tokens are the sums over all attempts. ``served``: the
    model whose answer was given, where it is not that of the last attempt."""
    last: Attempt | None
    if len(attempts) == 1:
        # As nearly every call has it: nothing has to be added up.
        last = only = attempts[0]
        cost, used, savings, is_estimated = only.cost, only.usage, only.savings, only.is_estimated
        rows = [only.to_row()]
        list_cost = rows[0]["list_cost"]
    else:
        rows = [attempt.to_row() for attempt in attempts]
        cost, used = sum(attempt.cost for attempt in attempts), add_usage([attempt.usage for attempt in attempts])
        savings = add_up([attempt.savings for attempt in attempts if attempt.savings])
        list_cost = sum(told["list_cost"] for told in rows)
        is_estimated = any(attempt.is_estimated for attempt in attempts)
        last = _answering(attempts, served) if attempts else None
    row |= usage_columns(used)
    row |= {
        "attempts": rows,
        "list_cost": list_cost,
        "effective_cost": cost,
        "savings": _savings_column(savings) if savings else {},
        "is_estimated": is_estimated,
        "held": hold.amount,
        "is_overrun": cost > hold.amount,
    }
    if last is not None:
        row["response_model"], row["finish_reason"] = last.response_model, last.finish_reason
        row["service_tier"], price = last.service_tier, last.price
        if price is not None:
            row["price_id"], row["adjustment_id"] = price.id or None, price.adjustment_id or None


def _answering(attempts: Sequence[Attempt], served: str) -> Attempt:
    """The attempt whose answer was given, else the last one."""
    last = attempts[-1]
    if not last.is_sample and (not served or served == last.model):
        return last
    wanted = served or last.model
    given = (attempt for attempt in reversed(attempts) if attempt.model == wanted and not attempt.is_sample)
    return next(given, last)


def add_spared(row: Row, spared: Savings, finding: int = 0) -> None:
    """What was not asked of an upstream at all: it would have cost so much more than the ``finding`` of what was there
    did, in nano-USD."""
    row["effective_cost"] += finding
    row["list_cost"] += finding + sum(spared.values())
    before: Savings = {Mechanism(name): nanos for name, nanos in row["savings"].items()}
    row["savings"] = _savings_column(add_up([before, spared]))


def _savings_column(savings: Savings) -> dict[str, int]:
    return {str(mechanism): nanos for mechanism, nanos in savings.items()}


def usage_columns(used: Usage) -> Row:
    """Usage under the table's names: ``input_tokens`` is all input, cached or not, as OpenAI reports it; ``usage`` has
    the classes without a column of their own."""
    more = used[_COLUMNS:]
    if not any(more):
        # What nearly every call uses.
        fresh, cached, written, output, reasoning, heard, spoken = used[:_COLUMNS]
        return {
            "input_tokens": fresh + cached + written + heard,
            "cache_read_input_tokens": cached,
            "cache_write_input_tokens": written,
            "output_tokens": output + spoken,
            "reasoning_tokens": reasoning,
            "audio_input_tokens": heard,
            "audio_output_tokens": spoken,
            "usage": {},
        }
    return {
        "input_tokens": used.input_tokens,
        "cache_read_input_tokens": used.cached_input + used.cached_audio_input + used.cached_image_input,
        "cache_write_input_tokens": used.cache_write + used.cache_write_1h,
        "output_tokens": used.output_tokens,
        "reasoning_tokens": used.reasoning,
        "audio_input_tokens": used.audio_input + used.cached_audio_input,
        "audio_output_tokens": used.audio_output,
        "usage": dict(compress(zip(_WITHOUT_COLUMN, more, strict=True), more)),
    }


def read_usage(row: Mapping[str, Any]) -> Usage:
    """What ``usage_columns`` has written. Of a correction, or of a row that is older than a class, too."""
    more = row.get("usage") or {}
    cached_audio, cached_images = more.get("cached_audio_input", 0), more.get("cached_image_input", 0)
    read = row["cache_read_input_tokens"] - cached_audio - cached_images
    written = row["cache_write_input_tokens"] - more.get("cache_write_1h", 0)
    pictures = more.get("image_input", 0) + cached_images
    return Usage(
        input=row["input_tokens"] - read - row["cache_write_input_tokens"] - row["audio_input_tokens"] - pictures,
        cached_input=read,
        cache_write=written,
        output=row["output_tokens"] - row["audio_output_tokens"] - more.get("image_output", 0),
        reasoning=row["reasoning_tokens"],
        audio_input=row["audio_input_tokens"] - cached_audio,
        audio_output=row["audio_output_tokens"],
        **more,
    )


def tokens_of(row: Mapping[str, Any]) -> int:
    """Tokens in and out, as rate limits count them."""
    return int(row["input_tokens"] + row["output_tokens"])


def add_usage(parts: Sequence[Usage]) -> Usage:
    """The sum of several attempts' tokens."""
    if len(parts) == 1:
        return parts[0]
    return Usage(*map(sum, zip(*parts, strict=True))) if parts else Usage()


def subtract(used: Usage, other: Usage) -> Usage:
    """The difference, class by class."""
    return Usage(*map(int.__sub__, used, other))


def held_row(row: Mapping[str, Any], candidate: Candidate, attempts: Sequence[Attempt]) -> Row:
    """The row as a hold keeps it, for whoever finds it alone: who is asked now, and what was asked before."""
    held = {**row, "model": candidate.model.name}
    if attempts:
        held["attempts"] = [attempt.to_row() for attempt in attempts]
        add_candidate(held, candidate)
    return held


def orphan_row(row: Row, amount: int, attempts: int, gone: int = 0) -> Row:
    """The row of a call whose worker died: charged at what was held, until the upstream's bill is known.

    ``gone`` nano-USD are of attempts at models that were asked before. The row knows those before the model that it
    names; where that one was turned away, too, they hold what its tries may have been billed.
    """
    known = list(row["attempts"])
    asked = {"upstream_id": row["upstream_id"], "price_id": row["price_id"], "model": row.get("model", "")}
    first = len(known) + 1
    rest = amount + gone - sum(attempt["cost"] for attempt in known)
    unknown = [
        Attempt(number, 0, Certainty.BOUND, Usage(), rest if number == first else 0, "worker_died").to_row() | asked
        for number in range(first, max(attempts, first) + 1)
    ]
    return row | {
        "attempts": known + unknown,
        "list_cost": amount + gone,
        "effective_cost": amount + gone,
        "held": amount + gone,
        "is_estimated": True,
        "status": 0,
        "error_code": "worker_died",
    }


def costs_by_model(row: Mapping[str, Any]) -> dict[str, int]:
    """What a row cost by model, in nano-USD: its attempts name theirs, and what they do not name is of the model that
    was asked for. As costhub_spent_on() and lua/rebuild.lua have it."""
    costs: dict[str, int] = {}
    rest = row["effective_cost"]
    for attempt in row["attempts"]:
        if model := attempt.get("model"):
            costs[model] = costs.get(model, 0) + attempt["cost"]
            rest -= attempt["cost"]
    if rest:
        costs[row["request_model"]] = costs.get(row["request_model"], 0) + rest
    return costs


def correction_row(
    row: Row, correction_id: str, used: Usage, cost: int, overrun: bool, costs: Mapping[str, int] | None = None
) -> Row:
    """The row that turns an estimated one into the truth: the differences, under the same moment.

    ``costs``: the true cost by model, where it is not all of the one that was asked for. What the row says was saved
    stays: the list cost changes by as much as the cost does.
    """
    before = costs_by_model(row)
    after = {row["request_model"]: cost} if costs is None else costs
    differences = {model: after.get(model, 0) - before.get(model, 0) for model in {**before, **after}}
    return row | {
        "id": correction_id,
        "kind": "correction",
        "corrects": row["id"],
        **usage_columns(subtract(used, read_usage(row))),
        "list_cost": cost - row["effective_cost"],
        "effective_cost": cost - row["effective_cost"],
        "savings": {},
        "would_refuse": [],
        "is_estimated": False,
        "is_overrun": overrun,
        "held": 0,
        "attempts": [
            {"model": model, "cost": nanos}
            for model, nanos in differences.items()
            if nanos and model != row["request_model"]
        ],
        "error_code": "",
        "duration_us": 0,
        "first_byte_us": None,
        "overhead_us": None,
    }


def dump_row(row: Mapping[str, Any]) -> bytes:
    """The event as the stream carries it."""
    # A copy, because orjson leaves its 16 kB of working space behind the kilobyte that it wrote.
    return bytes(memoryview(orjson.dumps(row)))
