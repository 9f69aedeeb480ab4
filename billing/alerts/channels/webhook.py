"""Signed webhooks, after https://www.standardwebhooks.com: the id, the moment and the body under an HMAC."""

from datetime import datetime, timedelta
from typing import Any, Final

import orjson
from standardwebhooks import Webhook

from billing.alerts.channels.message import CallTold, ChangeTold, Item, Message, Outcome
from costhub.lib.errors import AppError
from costhub.lib.moments import to_ms
from costhub.lib.net import Gate

TIMEOUT_SECONDS: Final = 15.0
_GONE: Final = 410
_MOST_SECONDS: Final = 86_400
#: what a call of a kind is called in an answer
_OBJECTS: Final = {"deferred": "costhub.deferred", "response": "response"}


def send(message: Message, gate: Gate) -> Outcome:
    """Call the webhook. Any 2xx is an arrival; 410 says that the receiver wants no more."""
    body = make_body(message)
    return post(message.address, body, sign(message, body), gate, message.at)


def make_body(message: Message) -> bytes:
    """``{"type", "timestamp", "data"}``; money is nano-USD."""
    (item,) = message.items
    if item.call is not None:
        return _make_call_body(message, item.call, item.at)
    if item.change is not None:
        return _make_change_body(message, item.change)
    return orjson.dumps(
        {
            "type": f"alert.{item.event}",
            "timestamp": item.at.isoformat(),
            "data": {"organization": message.org_name, **_data(item), "url": message.page},
        }
    )


def _make_call_body(message: Message, call: CallTold, at: datetime) -> bytes:
    """That a call is out, and where its answer is: for who has its key, and in no message that lies about elsewhere."""
    shown: dict[str, Any] = {"id": call.id, "object": _OBJECTS[call.kind], "status": call.status, "url": call.url}
    if call.kind == "deferred":
        shown["deadline_missed"] = call.is_late
    return orjson.dumps(
        {
            "type": f"{call.kind}.{call.status}",
            "timestamp": at.isoformat(),
            "data": {"organization": message.org_name, **shown},
        }
    )


def _make_change_body(message: Message, change: ChangeTold) -> bytes:
    """An entry of the audit log, as the management API shows it."""
    return orjson.dumps(
        {
            "type": change.action,
            "timestamp": change.at.isoformat(),
            "data": {
                "organization": message.org_name,
                "id": change.id,
                "number": change.number,
                "actor": change.actor,
                "target_kind": change.kind,
                "target_id": change.target_id,
                "changes": change.changes,
            },
        }
    )


def sign(message: Message, body: bytes) -> dict[str, str]:
    """The headers, with a signature by each secret that is good now."""
    signatures = [Webhook(secret).sign(message.id, message.at, body.decode()) for secret in message.secrets]
    return {
        "webhook-id": message.id,
        "webhook-timestamp": str(to_ms(message.at) // 1000),
        "webhook-signature": " ".join(signatures),
    }


def post(url: str, body: bytes, headers: dict[str, str], gate: Gate, now: datetime) -> Outcome:
    """POST JSON through the gate. Every failure is an outcome; nothing is raised for it."""
    try:
        answer = gate.fetch_now(
            "POST",
            url,
            headers={"content-type": "application/json", **headers},
            content=body,
            timeout_seconds=TIMEOUT_SECONDS,
        )
    except AppError as error:
        return Outcome(False, None, error.message)
    if 200 <= answer.status < 300:
        return Outcome(True, answer.status)
    return Outcome(
        False,
        answer.status,
        f"The receiver answered {answer.status}.",
        is_gone=answer.status == _GONE,
        again_at=_read_retry_after(answer.headers.get("retry-after", ""), now),
    )


def _data(item: Item) -> dict[str, Any]:
    return {
        "id": item.alert_id,
        "kind": item.kind,
        "severity": item.severity,
        "subject": item.subject,
        "threshold": item.threshold,
        "title": item.text.title,
        "advice": item.text.advice,
        "figures": dict(item.text.figures),
        "facts": item.facts or {},
    }


def _read_retry_after(text: str, now: datetime) -> datetime | None:
    if not (text.isascii() and text.isdigit() and len(text) <= 6):
        return None
    return now + timedelta(seconds=min(int(text), _MOST_SECONDS))
