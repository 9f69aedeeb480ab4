"""Whether a provider that wants a mark is to keep a prompt in a cache of its own. Pure."""

from typing import Any, Final

from proxy.values.request import Operation, Request
from tenants.snapshots import OrgSnapshot

#: what a caller's own mark is called, in a body, a tool, a message or a part of one
_NAME: Final = "cache_control"


def mark_prompt(request: Request, org: OrgSnapshot) -> Request:
    """The request with the mark, where its model's policy says so; as it was where its caller has put marks, or wrote
    it in a vendor's own format, whose words are not changed."""
    policy = org.find_cache_policy(request.model)
    if policy is None or not policy.marks_prompts:
        return request
    if request.operation is not Operation.CHAT or request.original is not None or _has_mark(request.body):
        return request
    return request._replace(is_marked=True)


def _has_mark(body: dict[str, Any]) -> bool:
    tools = body.get("tools")
    # Whether it is a list of tools is asked later.
    if _NAME in body or (isinstance(tools, list) and any(isinstance(tool, dict) and _NAME in tool for tool in tools)):
        return True
    parts = (
        part
        for message in body["messages"]
        for part in (message, *(message["content"] if isinstance(message.get("content"), list) else ()))
    )
    return any(isinstance(part, dict) and _NAME in part for part in parts)
