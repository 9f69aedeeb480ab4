"""Webhooks that take Slack's bodies: Slack's own, and those of chats that copy it."""

from typing import Any, Final

import orjson

from billing.alerts.channels import webhook
from billing.alerts.channels.message import Item, Message, Outcome
from costhub.lib.net import Gate

_MARKS: Final = {"critical": "🔴", "warning": "🟠", "info": "🔵"}


def send(message: Message, gate: Gate) -> Outcome:
    """Post the message. Slack signs nothing: its URL is the secret."""
    return webhook.post(message.address, make_body(message), {}, gate, message.at)


def make_body(message: Message) -> bytes:
    """A text for notifications, and blocks for the chat."""
    (item,) = message.items
    title = f"{_MARKS.get(item.severity, '')} {item.text.title}".strip()
    return orjson.dumps({"text": _escape(f"{message.org_name}: {title}"), "blocks": _blocks(message, item, title)})


def _blocks(message: Message, item: Item, title: str) -> list[dict[str, Any]]:
    figures = [{"type": "mrkdwn", "text": f"*{_escape(name)}*\n{_escape(value)}"} for name, value in item.text.figures]
    blocks: list[dict[str, Any]] = [
        {"type": "header", "text": {"type": "plain_text", "text": title[:150], "emoji": True}},
        {"type": "section", "text": {"type": "mrkdwn", "text": _escape(item.text.advice)}},
    ]
    if figures:
        blocks[1]["fields"] = figures[:10]
    link = f" · <{message.page}|Open CostHub>" if message.page else ""
    blocks.append({"type": "context", "elements": [{"type": "mrkdwn", "text": _escape(message.org_name) + link}]})
    return blocks


def _escape(text: str) -> str:
    """Slack's three: what is a name must not become a link or a mention."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
