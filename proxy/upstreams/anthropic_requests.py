"""What Anthropic is sent: a message as its caller wrote it, or a chat put into its form. Pure.

A chat has fields that Messages do not know. Those that change the answer are named, and the call refused unless the
tenant has them left out; hints are left out, and named.
"""

import re
from base64 import b64decode
from collections.abc import Iterator, Mapping
from typing import Any, Final

from proxy.core import exact_json
from proxy.core.betas import list_dropped
from proxy.upstreams.reading import list_dicts, parse
from proxy.values.request import ALL_SAID, Operation, Request, Unsaid, Wire
from proxy.values.vendor import Habits

Json = dict[str, Any]

PATH: Final = "messages"
#: what an output limit must leave for an answer where a model thinks first, and the least that it may think
_FEWEST_THOUGHTS: Final = 1_024
#: how much is thought, by the word that a chat has for it, in tokens
_BUDGETS: Final[Mapping[str, int]] = {
    "minimal": 1_024,
    "low": 1_024,
    "medium": 4_096,
    "high": 16_384,
    "xhigh": 32_768,
    "max": 32_768,
}
_NO_THOUGHTS: Final = "none"
#: what is the least effort to Claude's models that say themselves how much they think; its other words are theirs, too
_LEAST: Final = frozenset({"minimal", _NO_THOUGHTS})
#: the version in a model's name, such as claude-opus-4-7 or claude-3-7-sonnet-20250219; a date is none
_VERSION: Final = re.compile(r"claude-(?:[a-z]+-)?(\d{1,2})(?!\d)(?:[-.](\d{1,2})(?!\d))?")
#: a name of theirs without a version
_UNNUMBERED: Final = "claude-mythos"
#: from this version on they do, and later ones refuse a number of tokens and know all of these words
_FIRST_TO_ADAPT: Final = (4, 6)

#: fields of a chat that are put into Messages' form, or are the same there
_SAID: Final = frozenset(
    {
        *("model", "messages", "max_tokens", "max_completion_tokens", "stream", "stream_options", "temperature"),
        *("top_p", "top_k", "stop", "tools", "tool_choice", "parallel_tool_calls", "user", "reasoning_effort"),
        *("service_tier", "thinking", "cache_control", "max_tool_calls", "response_format"),
    }
)
#: fields that change nothing in an answer's words
_HINTS: Final = frozenset(
    {
        *("store", "metadata", "prompt_cache_key", "prompt_cache_retention", "prompt_cache_options"),
        "safety_identifier",
        *("verbosity", "prediction"),
    }
)
#: what a field says where it says nothing
_NOTHING: Final[Mapping[str, Any]] = {
    "n": 1,
    "logprobs": False,
    "frequency_penalty": 0,
    "presence_penalty": 0,
    "logit_bias": {},
    "modalities": ["text"],
    "functions": [],
}
#: everything else that a chat is known to have
_UNKNOWN: Final = frozenset(
    {
        *("n", "logprobs", "top_logprobs", "frequency_penalty", "presence_penalty", "logit_bias", "seed", "audio"),
        *("modalities", "functions", "function_call", "web_search_options", "best_of", "suffix", "documents"),
        *("n_predict", "prompt", "input", "moderation"),
        # of Messages, under whose names a chat has nothing to say
        *("system", "stop_sequences", "mcp_servers", "container", "output_config", "context_management", "betas"),
        "inference_geo",
    }
)
_ROLES: Final = ("system", "developer")
_PDF: Final = "application/pdf"


def choose_wire(request: Request, habits: Habits) -> Wire:
    """Messages to those who speak them."""
    return Wire.MESSAGES if request.wire is Wire.MESSAGES else Wire.CHAT


def find_path(operation: Operation, wire: Wire) -> str | None:
    """There are messages, and nothing else."""
    return PATH if operation is Operation.CHAT else None


def is_at_home(request: Request) -> bool:
    """Not every chat can be said."""
    return False


def find_unsaid(request: Request, wire: Wire) -> Unsaid:
    """What of a chat Messages cannot say, and of the caller's own format a chat cannot."""
    if wire is Wire.MESSAGES:
        dropped = list_dropped(request.original) if request.original is not None else ()
        return Unsaid(hints=dropped) if dropped else ALL_SAID
    body = request.body
    fields, hints = [], []
    for name, value in body.items():
        if value is None or (name in _NOTHING and value == _NOTHING[name]):
            continue
        if name in _HINTS:
            hints.append(name)
        elif name in _UNKNOWN:
            fields.append(name)
    shape = body.get("response_format")
    if isinstance(shape, dict) and shape.get("type") not in ("text", "json_schema"):
        fields.append("response_format")
    if body.get("service_tier") not in {None, "auto", "default", "standard", "standard_only"}:
        fields.append("service_tier")
    if body.get("tools") and body.get("tool_choice") is not None and _write_choice(body["tool_choice"]) is None:
        fields.append("tool_choice")
    fields += _unsaid_parts(request)
    effort = body.get("reasoning_effort")
    if effort and effort != _NO_THOUGHTS and not (isinstance(effort, str) and effort in _BUDGETS):
        fields.append("reasoning_effort")
    elif effort and _may_not_think(body):
        hints.append("reasoning_effort")
    hints += _unsaid_names(body["messages"])
    if any(message.get("reasoning_content") or message.get("reasoning") for message in body["messages"]):
        # Unsigned thoughts are taken for nobody's.
        hints.append("reasoning_content")
    first = request.original.unsaid if request.original is not None else ALL_SAID
    return Unsaid((*first.fields, *fields), (*first.hints, *hints))


def encode_request(request: Request, upstream_model: str, *, habits: Habits, max_output: int | None) -> bytes:
    """The body of a message. ``max_output`` there must be: Anthropic has no limit of its own."""
    if request.original is not None and request.wire is Wire.MESSAGES:
        body = {**request.original.body, "model": upstream_model}
        body.pop("stream_options", None)
    else:
        body = _from_chat(request.body, upstream_model, request.is_stream)
        if request.is_marked:
            # Beside the messages it stands for the last block that can be kept, and moves along with a conversation.
            body["cache_control"] = {"type": "ephemeral"}
    if max_output is not None:
        body["max_tokens"] = max_output
    _fit_thoughts(body)
    return exact_json.dumps(body)


def _fit_thoughts(body: Json) -> None:
    """A model must have more tokens than it thinks with: where our limit leaves fewer it thinks less, or not at all."""
    thinking, most = body.get("thinking"), body.get("max_tokens")
    if not isinstance(thinking, dict) or not isinstance(most, int):
        return
    budget = thinking.get("budget_tokens")
    if not isinstance(budget, int) or budget < most:
        return
    if most > _FEWEST_THOUGHTS:
        body["thinking"] = {**thinking, "budget_tokens": max(_FEWEST_THOUGHTS, most * 3 // 4)}
    else:
        del body["thinking"]


def _from_chat(chat: Json, upstream_model: str, is_stream: bool) -> Json:
    body: Json = {"model": upstream_model, "messages": list(_write_messages(chat["messages"]))}
    if system := list(_write_system(chat["messages"])):
        is_plain = len(system) == 1 and system[0].keys() == {"type", "text"}
        body["system"] = system[0]["text"] if is_plain else system
    limits = [chat[name] for name in ("max_completion_tokens", "max_tokens") if chat.get(name) is not None]
    if limits:
        body["max_tokens"] = min(limits)
    if is_stream:
        body["stream"] = True
    for name in ("temperature", "top_p", "top_k", "thinking", "cache_control"):
        if chat.get(name) is not None:
            body[name] = chat[name]
    stop = chat.get("stop")
    if stop:
        body["stop_sequences"] = [stop] if isinstance(stop, str) else stop
    if chat.get("user"):
        body["metadata"] = {"user_id": chat["user"]}
    if chat.get("service_tier") in {"default", "standard", "standard_only"}:
        body["service_tier"] = "standard_only"
    _write_tools(chat, body)
    _write_shape(chat, body)
    if "thinking" not in body and not _may_not_think(chat):
        _write_effort(chat.get("reasoning_effort"), _read_version(upstream_model), body)
    known = _SAID | _HINTS | _UNKNOWN
    return body | {name: value for name, value in chat.items() if name not in known}


def _write_system(messages: list[Json]) -> Iterator[Json]:
    for message in messages:
        if message.get("role") in _ROLES:
            yield from _write_parts(message.get("content"))


def _write_messages(messages: list[Json]) -> Iterator[Json]:
    """User and assistant by turns: results of tools are the user's, and stand before what the user says."""
    turn: Json | None = None
    for message in messages:
        if message.get("role") in _ROLES:
            continue
        role = "assistant" if message.get("role") == "assistant" else "user"
        blocks = list(_write_blocks(message))
        if not blocks:
            continue
        if turn is not None and turn["role"] == role:
            turn["content"] += blocks
            continue
        if turn is not None:
            yield turn
        turn = {"role": role, "content": blocks}
    if turn is not None:
        yield turn


def _write_blocks(message: Json) -> Iterator[Json]:
    if message.get("role") == "tool":
        content = message.get("content")
        result: Any = content if isinstance(content, str) else list(_write_parts(content))
        yield {"type": "tool_result", "tool_use_id": message.get("tool_call_id"), "content": result}
        return
    # What it would not say may stand beside its words.
    yield from _write_parts(message.get("content") or message.get("refusal"))
    for call in list_dicts(message.get("tool_calls")):
        function = call.get("function")
        if isinstance(function, dict):
            given = function.get("arguments")
            read = parse(given.encode("utf-8", "surrogatepass")) if isinstance(given, str) and given else {}
            block: Any = {"INVALID_JSON": given}
            if isinstance(read, dict) and not exact_json.is_too_deep(read):
                block = read
            yield {"type": "tool_use", "id": call.get("id"), "name": function.get("name"), "input": block}


def _write_parts(content: Any) -> Iterator[Json]:
    if isinstance(content, str):
        if content:
            yield {"type": "text", "text": content}
        return
    for part in list_dicts(content):
        block = _write_part(part)
        if block is not None:
            yield block | ({"cache_control": part["cache_control"]} if part.get("cache_control") else {})


def _write_part(part: Json) -> Json | None:
    match part.get("type"):
        case "text":
            return {"type": "text", "text": part.get("text")}
        case "refusal":
            return {"type": "text", "text": part.get("refusal")}
        case "image_url":
            place = part.get("image_url")
            url = place.get("url") if isinstance(place, dict) else place
            source = _write_source(url)
            return None if source is None else {"type": "image", "source": source}
        case "file":
            held = part.get("file")
            source = _write_document(held.get("file_data")) if isinstance(held, dict) else None
            return None if source is None else {"type": "document", "source": source}
        case _:
            return None


def _write_document(data: Any) -> Json | None:
    """A document of a chat, which has it as the address of its data, or as the base64 of a PDF alone. Anthropic takes
    words as words only."""
    if not isinstance(data, str) or not data:
        return None
    source = _write_source(data if data.startswith("data:") else f"data:{_PDF};base64,{data}")
    if source is None or not source["media_type"].startswith("text/"):
        return source
    try:
        words = b64decode(source["data"]).decode()
    except ValueError:
        return None
    return {"type": "text", "media_type": "text/plain", "data": words}


def _write_source(url: Any) -> Json | None:
    if not isinstance(url, str):
        return None
    if not url.startswith("data:"):
        return {"type": "url", "url": url}
    kind, comma, data = url[5:].partition(";base64,")
    return {"type": "base64", "media_type": kind, "data": data} if comma else None


def _unsaid_parts(request: Request) -> Iterator[str]:
    for place, message in enumerate(request.body["messages"]):
        content = message.get("content")
        for number, part in enumerate(content if isinstance(content, list) else ()):
            if isinstance(part, dict) and _write_part(part) is None:
                yield f"messages[{place}].content[{number}]"
        if message.get("audio") or message.get("function_call") or message.get("role") == "function":
            yield f"messages[{place}]"
    tools = request.body.get("tools")
    for place, tool in enumerate(tools if isinstance(tools, list) else ()):
        if request.original is None and isinstance(tool, dict) and not _is_sent(tool):
            yield f"tools[{place}]"


def _unsaid_names(messages: list[Json]) -> Iterator[str]:
    """Where it says who speaks; what a tool has given says so by its call."""
    for place, message in enumerate(messages):
        if message.get("name") and message.get("role") not in {"tool", "function"}:
            yield f"messages[{place}].name"


def _calls_back(messages: list[Json]) -> bool:
    """Whether results of tools are handed in: a model that thought before it called them would have to be given its
    thoughts, signed, which no chat carries."""
    for message in reversed(messages):
        if message.get("role") == "assistant":
            return bool(message.get("tool_calls"))
    return False


def _may_not_think(chat: Json) -> bool:
    """Whether results of tools are handed in, or the model is told to call one, which it may not be that thinks."""
    forced = ("any", "tool")
    choice = _write_choice(chat.get("tool_choice")) if chat.get("tools") else None
    return _calls_back(chat["messages"]) or (choice is not None and choice["type"] in forced)


def _read_version(upstream_model: str) -> tuple[int, int]:
    """Which Claude it is, by its name; zeros where that does not say so."""
    found = _VERSION.search(upstream_model)
    if found is None:
        return (_FIRST_TO_ADAPT[0] + 1, 0) if _UNNUMBERED in upstream_model else (0, 0)
    return int(found[1]), int(found[2] or 0)


def _write_effort(effort: Any, version: tuple[int, int], body: Json) -> None:
    """How much is to be thought, in the words that a model of this version takes."""
    budget = _BUDGETS.get(effort) if isinstance(effort, str) else None
    if version < _FIRST_TO_ADAPT:
        if budget is not None:
            body["thinking"] = {"type": "enabled", "budget_tokens": budget}
        return
    if budget is not None:
        body["thinking"] = {"type": "adaptive"}
    elif effort != _NO_THOUGHTS:
        return
    # Some of them think unasked, and will not be told to leave it.
    word = "low" if effort in _LEAST else effort
    if word == "xhigh" and version == _FIRST_TO_ADAPT:
        word = "high"
    body["output_config"] = {**body.get("output_config", {}), "effort": word}


def _write_tools(chat: Json, body: Json) -> None:
    tools = [
        _write_tool(tool)
        for tool in list_dicts(chat.get("tools"))
        if isinstance(tool.get("function"), dict) or _is_custom(tool)
    ]
    if not tools:
        return
    body["tools"] = tools
    choice = _write_choice(chat.get("tool_choice"))
    if chat.get("parallel_tool_calls") is False and choice != {"type": "none"}:
        choice = {**(choice or {"type": "auto"}), "disable_parallel_tool_use": True}
    if choice is not None:
        body["tool_choice"] = choice


def _write_choice(choice: Any) -> Json | None:
    match choice:
        case "auto" | "none":
            return {"type": choice}
        case "required":
            return {"type": "any"}
        case {"function": {"name": name}}:
            return {"type": "tool", "name": name}
        case _:
            return None


def _is_sent(tool: Json) -> bool:
    """Whether it is a chat's function, or already has Messages' form."""
    return isinstance(tool.get("function"), dict) if tool.get("type") == "function" else _is_custom(tool)


def _is_custom(tool: Json) -> bool:
    return tool.get("type") in (None, "custom") and isinstance(tool.get("input_schema"), dict)


def _write_tool(tool: Json) -> Json:
    if _is_custom(tool):
        return tool
    function = tool["function"]
    written = {"name": function.get("name"), "input_schema": function.get("parameters") or {"type": "object"}}
    for name in ("description", "strict"):
        if function.get(name) is not None:
            written[name] = function[name]
    if tool.get("cache_control"):
        written["cache_control"] = tool["cache_control"]
    return written


def _write_shape(chat: Json, body: Json) -> None:
    shape = chat.get("response_format")
    if isinstance(shape, dict) and isinstance(schema := shape.get("json_schema"), dict):
        body["output_config"] = {"format": {"type": "json_schema", "schema": schema.get("schema")}}
