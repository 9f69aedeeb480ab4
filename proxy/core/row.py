"""A call's ledger event: what PostgreSQL will hold, as JSON, made twice, when its money is set aside and when it is
spent.

The names are those of the table's columns; ``started_at_ms`` becomes ``started_at``.
"""

from collections.abc import Sequence
from typing import Any

import orjson

from proxy.types import Attempt, Certainty, Hold, Plan, Request, Usage
from tenants.snapshots import KeySnapshot

Row = dict[str, Any]


def open_row(request_id: str, started_at_ms: int, key: KeySnapshot, endpoint: str) -> Row:
    """The row of a call of which nothing is known yet but who calls."""
    return {
        "id": request_id,
        "started_at_ms": started_at_ms,
        "org_id": key.org_id,
        "project_id": key.project_id,
        "key_id": key.id,
        "end_user": key.end_user or "",
        "tags": {},
        "session": "",
        "kind": "call",
        "corrects": None,
        "endpoint": endpoint,
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
        "list_cost": 0,
        "effective_cost": 0,
        "savings": {},
        "price_id": None,
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


def add_request(row: Row, request: Request) -> None:
    """What was asked for, also where it is refused next."""
    row["request_model"] = request.model
    row["is_stream"] = request.is_stream


def add_plan(row: Row, plan: Plan) -> None:
    """What was decided."""
    row["end_user"] = plan.controls.end_user
    row["tags"] = plan.controls.tags
    row["session"] = plan.controls.session
    row["upstream_id"] = plan.upstream.id
    row["provider"] = plan.upstream.kind
    row["price_id"] = plan.price.id or None
    row["route_reason"] = route_of(plan)


def route_of(plan: Plan) -> str:
    """Why the call went where it went: ``direct``, or which rungs of a ladder it is on."""
    return f"degraded: {', '.join(plan.rungs)}" if plan.rungs else "direct"


def add_attempts(row: Row, attempts: Sequence[Attempt], hold: Hold) -> None:
    """What the upstream was asked for and billed. Money and tokens are the sums over all attempts."""
    used = add_usage([attempt.usage for attempt in attempts])
    cost = sum(attempt.cost for attempt in attempts)
    row["attempts"] = [attempt.to_row() for attempt in attempts]
    row |= usage_columns(used)
    saved = sum(attempt.saved for attempt in attempts)
    row["effective_cost"] = cost
    row["list_cost"] = cost + saved
    row["savings"] = {"routing": saved} if saved else {}
    row["held"] = hold.amount
    row["is_overrun"] = cost > hold.amount
    row["is_estimated"] = any(attempt.certainty in {Certainty.COUNTED, Certainty.BOUND} for attempt in attempts)
    if attempts:
        row["response_model"] = attempts[-1].response_model
        row["finish_reason"] = attempts[-1].finish_reason


def usage_columns(used: Usage) -> Row:
    """Token classes under the table's names: ``input_tokens`` is all input, cached or not, as OpenAI reports it."""
    return {
        "input_tokens": used.input + used.cached_input + used.cache_write + used.audio_input,
        "cache_read_input_tokens": used.cached_input,
        "cache_write_input_tokens": used.cache_write,
        "output_tokens": used.output + used.audio_output,
        "reasoning_tokens": used.reasoning,
        "audio_input_tokens": used.audio_input,
        "audio_output_tokens": used.audio_output,
    }


def tokens_of(row: Row) -> int:
    """Tokens in and out, as rate limits count them."""
    return int(row["input_tokens"] + row["output_tokens"])


def add_usage(parts: Sequence[Usage]) -> Usage:
    """The sum of several attempts' tokens."""
    if len(parts) == 1:
        return parts[0]
    return Usage(
        input=sum(part.input for part in parts),
        cached_input=sum(part.cached_input for part in parts),
        cache_write=sum(part.cache_write for part in parts),
        output=sum(part.output for part in parts),
        reasoning=sum(part.reasoning for part in parts),
        audio_input=sum(part.audio_input for part in parts),
        audio_output=sum(part.audio_output for part in parts),
    )


def orphan_row(row: Row, amount: int, attempts: int) -> Row:
    """The row of a call whose worker died: charged at what was held, until the upstream's bill is known."""
    return row | {
        "attempts": [
            Attempt(number, 0, Certainty.BOUND, Usage(), amount if number == 1 else 0, "worker_died").to_row()
            for number in range(1, attempts + 1)
        ],
        "list_cost": amount,
        "effective_cost": amount,
        "held": amount,
        "is_estimated": True,
        "status": 0,
        "error_code": "worker_died",
    }


def correction_row(row: Row, correction_id: str, used: Usage, cost: int, overrun: bool) -> Row:
    """The row that turns an estimated one into the truth: the differences, under the same moment.

    What the row says was saved stays: the list cost changes by as much as the cost does.
    """
    truth = usage_columns(used)
    return row | {
        "id": correction_id,
        "kind": "correction",
        "corrects": row["id"],
        **{name: value - row[name] for name, value in truth.items()},
        "list_cost": cost - row["effective_cost"],
        "effective_cost": cost - row["effective_cost"],
        "savings": {},
        "would_refuse": [],
        "is_estimated": False,
        "is_overrun": overrun,
        "held": 0,
        "attempts": [],
        "error_code": "",
        "duration_us": 0,
        "first_byte_us": None,
        "overhead_us": None,
    }


def dump_row(row: Row) -> bytes:
    """The event as the stream carries it."""
    # A copy, because orjson leaves its 16 kB of working space behind the kilobyte that it wrote.
    return bytes(memoryview(orjson.dumps(row)))
