"""The words of a request that routes read."""

from typing import Any

from proxy.values.request import Operation, Request

#: more of a text says nothing more of how hard it is
_MOST_CHARACTERS = 20_000


def prompt_of(request: Request, *, is_first: bool = False) -> str:
    """What a person asks: a chat's last message of a user, or its first, which a whole conversation shares; a
    completion's prompt. Empty where nobody asks in words."""
    if request.operation is not Operation.CHAT:
        return _text(request.body.get("prompt"))
    messages: list[dict[str, Any]] = request.body["messages"]
    for message in messages if is_first else reversed(messages):
        if message.get("role") == "user":
            return _text(message.get("content"))
    return ""


def opening_of(request: Request) -> str:
    """What a conversation begins with, up to its first message of a user: the same for all of its turns."""
    if request.operation is not Operation.CHAT:
        return prompt_of(request)
    messages: list[dict[str, Any]] = request.body["messages"]
    if messages and messages[0].get("role") == "user":
        # As most begin.
        return f"user\0{_text(messages[0].get('content'))}"
    opening = []
    for message in messages:
        opening.append(f"{message.get('role')}\0{_text(message.get('content'))}")
        if message.get("role") == "user":
            break
    return "\0".join(opening)


def has_tools(request: Request) -> bool:
    """Whether the model may call tools."""
    return bool(request.body.get("tools") or request.body.get("functions"))


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content[:_MOST_CHARACTERS]
    if isinstance(content, list):
        parts = (
            part if isinstance(part, str) else part.get("text") for part in content if isinstance(part, dict | str)
        )
        return "\n".join(part for part in parts if isinstance(part, str))[:_MOST_CHARACTERS]
    return ""
