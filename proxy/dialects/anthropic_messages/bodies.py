"""Anthropic's Messages, as callers speak them.

A body becomes a chat, which is what bounds and caches read and what upstreams of OpenAI's format are sent; the body
itself goes to those of Anthropic's. Of what a chat cannot say, that which changes an answer is named, and so are hints:
where caches begin, and earlier thoughts, which no chat carries.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from proxy.core.betas import add_betas, take_betas
from proxy.core.body_fields import (
    MAX_TOKENS_LIMIT,
    check_objects,
    pass_on,
    read_dict,
    read_flag,
    read_list,
    read_model,
    read_name,
    read_object,
    read_text,
    read_whole,
    write_object,
)
from proxy.core.field_names import check_names, list_known
from proxy.core.kept_files import check_named
from proxy.errors import InvalidRequest, ModelNotPriced
from proxy.values.request import Endpoint, Operation, Original, Request, Unsaid, Wire

Json = dict[str, Any]

OPERATIONS: Final[Mapping[Endpoint, Operation]] = {Endpoint.MESSAGES: Operation.CHAT}

#: every field that Messages have
_FIELDS: Final = frozenset(
    {
        *("model", "messages", "system", "max_tokens", "stream", "stop_sequences", "temperature", "top_p", "top_k"),
        *("tools", "tool_choice", "thinking", "metadata", "service_tier", "output_config", "output_format"),
        *("cache_control", "context_management", "inference_geo", "container", "mcp_servers", "betas"),
    }
)
_KNOWN: Final = list_known(_FIELDS)
_KNOWN_OF_MESSAGES: Final = list_known(("role", "content"))
#: what has a price of its own that we do not know, or stands at the provider, where nobody here can bound it
_UNPRICED: Final = ("container", "mcp_servers", "thread")
_ANYWHERE: Final = "global"
#: fields whose meaning no chat has
_BEYOND_CHAT: Final = ("context_management", "inference_geo")
_TIERS: Final = {"auto": "auto", "standard_only": "default"}
#: how much a chat's model is asked to think, by the most tokens that it may
_EFFORTS: Final = ((1_024, "low"), (4_096, "medium"), (MAX_TOKENS_LIMIT, "high"))
#: a longer name of a user OpenAI refuses, and Claude Code's are: it is ours to know, and there a mere hint
_LONGEST_USER: Final = 64
#: before the words of a tool that has failed
_FAILED: Final = "Error: "
#: what a tool has that a chat's function has, too, and what only helps a model to call it
_OF_TOOLS: Final = frozenset({"type", "name", "description", "input_schema", "strict", "cache_control"})
_HINTS_OF_TOOLS: Final = frozenset({"input_examples", "eager_input_streaming"})
_CHOICES: Final = {"auto": "auto", "any": "required", "none": "none"}
#: where whether and how much is thought is the model's own to say
_OWN_THOUGHTS: Final = ("adaptive", "between_tools")


def parse_request(endpoint: Endpoint | None, raw: bytes) -> Request:
    """Read a JSON body. Raises InvalidRequest, with ``param`` set where one field is at fault, and ModelNotPriced for a
    field that buys what has no price here."""
    body = read_object(raw)
    check_names(body.keys() - _FIELDS, _KNOWN)
    for name in _UNPRICED:
        if body.get(name) is not None:
            raise ModelNotPriced(
                f"What {name} costs is not known here, so that the call cannot be held to a budget: leave it out.",
                code="feature_not_priced",
                param=name,
            )
    if body.get("inference_geo") not in (None, _ANYWHERE):
        # Where it is answered has a price, a tenth above the usual one for some models, that no table here has.
        raise ModelNotPriced(
            f"What a call costs that is answered in one place is not known here: leave inference_geo out, or send"
            f" {_ANYWHERE}.",
            code="feature_not_priced",
            param="inference_geo",
        )
    model = read_model(body)
    most = read_whole(body, "max_tokens", 1, MAX_TOKENS_LIMIT)
    if most is None:
        raise InvalidRequest("max_tokens must say how long the answer may be.", param="max_tokens")
    return read_prompt(body, raw, model=model, most=most)


def read_prompt(body: Json, raw: bytes, *, model: str, most: int) -> Request:
    """The request of a body whose answer may have ``most`` tokens; the features that it names are taken out of it.
    Raises InvalidRequest."""
    betas = take_betas(body)
    writing = _Writing()
    chat = writing.write_chat(body, model)
    budget = _read_thinking(body)
    if budget is None and read_dict(body, "thinking").get("type") in _OWN_THOUGHTS:
        writing.hints.append("thinking")
    if budget is not None:
        chat["thinking"] = body["thinking"]
        chat["reasoning_effort"] = next(word for limit, word in _EFFORTS if budget <= limit)
    chat["max_completion_tokens"] = most
    is_stream = read_flag(body, "stream")
    if is_stream:
        chat["stream"] = True
    request = Request(
        operation=Operation.CHAT,
        model=model,
        body=chat,
        body_bytes=max(len(raw), len(write_object(chat))),
        is_stream=is_stream,
        wants_usage=is_stream,
        choices=1,
        # What may be thought in several turns may be more than one answer.
        max_output=max(most, budget or 0),
        end_user=writing.end_user,
        is_plain=all(isinstance(message.get("content"), str) for message in chat["messages"]),
        original=Original(Wire.MESSAGES, body, writing.unsaid, writing.left_out),
    )
    return add_betas(request, betas)


def _read_thinking(body: Json) -> int | None:
    """How many tokens may be thought, where the caller says so."""
    thinking = read_dict(body, "thinking")
    if not thinking:
        return None
    kind = read_text(thinking, "type", "thinking.")
    if kind not in {"enabled", "disabled", *_OWN_THOUGHTS}:
        raise InvalidRequest(
            "thinking.type must be enabled, disabled, adaptive or between_tools.", param="thinking.type"
        )
    budget = read_whole(thinking, "budget_tokens", 1_024, MAX_TOKENS_LIMIT, "thinking.")
    if kind == "enabled" and budget is None:
        raise InvalidRequest("thinking.budget_tokens must say how much may be thought.", param="thinking.budget_tokens")
    return budget if kind == "enabled" else None


class _Writing:
    """A body being put into the form of a chat, and what that cannot say."""

    def __init__(self) -> None:
        self.end_user = ""
        self.fields: list[str] = []
        self.hints: list[str] = []
        self.left_out = 0

    @property
    def unsaid(self) -> Unsaid:
        """What a chat cannot say, each hint once."""
        return Unsaid(tuple(self.fields), tuple(dict.fromkeys(self.hints)))

    def write_chat(self, body: Json, model: str) -> Json:
        chat: Json = pass_on(body, _FIELDS)
        self.fields += [name for name in _BEYOND_CHAT if body.get(name) is not None]
        if body.get("cache_control"):
            chat["cache_control"] = body["cache_control"]
            self.hints.append("cache_control")
        chat |= {"model": model, "messages": [*self._write_system(body), *self._write_messages(body)]}
        for name in ("temperature", "top_p", "top_k"):
            if body.get(name) is not None:
                chat[name] = body[name]
        if stop := read_list(body, "stop_sequences"):
            chat["stop"] = stop
        self.end_user = read_name(read_dict(body, "metadata"), "user_id", "metadata.")
        if len(self.end_user) > _LONGEST_USER:
            self.hints.append("metadata.user_id")
        elif self.end_user:
            chat["user"] = self.end_user
        tier = body.get("service_tier")
        if tier is not None:
            if not isinstance(tier, str) or tier not in _TIERS:
                raise InvalidRequest("service_tier must be auto or standard_only.", param="service_tier")
            chat["service_tier"] = _TIERS[tier]
        self._write_tools(body, chat)
        self._write_output(body, chat)
        return chat

    # What is read

    def _write_system(self, body: Json) -> Iterator[Json]:
        system = body.get("system")
        if system is None or system == "":
            return
        if isinstance(system, str):
            yield {"role": "system", "content": system}
        elif isinstance(system, list):
            yield {"role": "system", "content": self._write_parts(check_objects(system, "system"), "system")}
        else:
            raise InvalidRequest("system must be a text or a list of text blocks.", param="system")

    def _write_messages(self, body: Json) -> Iterator[Json]:
        messages = body.get("messages")
        if not isinstance(messages, list) or not messages:
            raise InvalidRequest("messages must be a list with at least one message.", param="messages")
        for number, message in enumerate(check_objects(messages, "messages")):
            place = f"messages[{number}]"
            check_names(message.keys() - {"role", "content"}, _KNOWN_OF_MESSAGES, f"{place}.")
            role = message.get("role")
            if role not in ("user", "assistant", "system"):
                raise InvalidRequest(f"{place}.role must be user or assistant.", param=f"{place}.role")
            content = message.get("content")
            if isinstance(content, str):
                yield {"role": role, "content": content}
            elif isinstance(content, list):
                yield from self._write_turn(role, check_objects(content, f"{place}.content"), f"{place}.content")
            else:
                raise InvalidRequest(f"{place}.content must be a text or a list of blocks.", param=f"{place}.content")

    def _write_turn(self, role: str, blocks: list[Json], place: str) -> Iterator[Json]:
        said: list[tuple[str, Json]] = []
        calls: list[Json] = []
        for number, block in enumerate(blocks):
            here = f"{place}[{number}]"
            match block.get("type"):
                case "tool_result":
                    yield self._write_result(block, here)
                case "tool_use" if role == "assistant":
                    given = write_object(block.get("input") or {}).decode()
                    function = {"name": read_text(block, "name", f"{here}."), "arguments": given}
                    calls.append({"id": read_text(block, "id", f"{here}."), "type": "function", "function": function})
                    self._note_cache(block)
                case "thinking" | "redacted_thinking":
                    self.hints.append("thinking")
                    self.left_out += len(write_object(block))
                case _:
                    said.append((here, block))
        content = self._write_content(said)
        message: Json = {"role": role, "content": content}
        if calls:
            message["tool_calls"] = calls
            message["content"] = content or None
        if content or calls:
            yield message

    def _write_result(self, block: Json, place: str) -> Json:
        self._note_cache(block)
        content = block.get("content")
        if content is None or isinstance(content, str):
            written: Any = content or ""
        elif isinstance(content, list):
            blocks = check_objects(content, f"{place}.content")
            places = [(f"{place}.content[{number}]", part) for number, part in enumerate(blocks)]
            written = self._write_content(places)
            # A chat's results of tools are texts, and so are documents of words.
            parts = written if isinstance(written, list) else ()
            self.fields += [
                here for (here, _), part in zip(places, parts, strict=False) if part["type"] in {"image_url", "file"}
            ]
        else:
            raise InvalidRequest(f"{place}.content must be a text or a list of blocks.", param=f"{place}.content")
        if block.get("is_error"):
            # A chat has only words to say so.
            failed: Any = [{"type": "text", "text": _FAILED}, *written] if isinstance(written, list) else None
            written = failed or _FAILED + written
        return {"role": "tool", "tool_call_id": read_text(block, "tool_use_id", f"{place}."), "content": written}

    def _write_parts(self, blocks: list[Json], place: str) -> Any:
        return self._write_content([(f"{place}[{number}]", block) for number, block in enumerate(blocks)])

    def _write_content(self, blocks: list[tuple[str, Json]]) -> Any:
        """One plain text as a text, anything else as parts."""
        parts = [self._write_part(block, place) for place, block in blocks]
        if len(parts) == 1 and parts[0].keys() == {"type", "text"}:
            return parts[0]["text"]
        return parts if parts else ""

    def _write_part(self, block: Json, place: str) -> Json:
        self._note_cache(block)
        kept = {"cache_control": block["cache_control"]} if block.get("cache_control") else {}
        match block.get("type"):
            case "text":
                return {"type": "text", "text": read_text(block, "text", f"{place}."), **kept}
            case "image":
                if url := _find_url(block):
                    return {"type": "image_url", "image_url": {"url": url}, **kept}
            case "document":
                self._note_document(block, place)
                if isinstance(held := block.get("source"), dict) and held.get("type") == "text":
                    if block.get("title"):
                        self.hints.append("title")
                    return {"type": "text", "text": read_text(held, "data", f"{place}.source."), **kept}
                if (url := _find_url(block)) and url.startswith("data:"):
                    name = block.get("title") or "document.pdf"
                    return {"type": "file", "file": {"filename": name, "file_data": url}, **kept}
            case kind if not isinstance(kind, str):
                raise InvalidRequest(f"{place}.type must say what the block is.", param=f"{place}.type")
        check_named(block, place)
        # What a chat has no part for is bounded as what it is.
        self.fields.append(place)
        return dict(block)

    def _note_document(self, block: Json, place: str) -> None:
        """What a document has beside what it holds."""
        citations = block.get("citations")
        if isinstance(citations, dict) and citations.get("enabled"):
            self.fields.append(f"{place}.citations")
        if block.get("context"):
            self.fields.append(f"{place}.context")
        self.left_out += sum(len(write_object({name: block[name]})) for name in ("title", "context") if block.get(name))

    def _note_cache(self, block: Json) -> None:
        if block.get("cache_control"):
            self.hints.append("cache_control")

    # What is asked

    def _write_tools(self, body: Json, chat: Json) -> None:
        tools = check_objects(read_list(body, "tools"), "tools")
        if tools:
            chat["tools"] = [self._write_tool(tool, f"tools[{number}]") for number, tool in enumerate(tools)]
        choice = read_dict(body, "tool_choice")
        if not choice:
            return
        kind = choice.get("type")
        if kind == "tool":
            chat["tool_choice"] = {
                "type": "function",
                "function": {"name": read_text(choice, "name", "tool_choice.")},
            }
        elif isinstance(kind, str) and kind in _CHOICES:
            chat["tool_choice"] = _CHOICES[kind]
        else:
            raise InvalidRequest("tool_choice.type must be auto, any, tool or none.", param="tool_choice.type")
        if choice.get("disable_parallel_tool_use") is True:
            chat["parallel_tool_calls"] = False

    def _write_tool(self, tool: Json, place: str) -> Json:
        self._note_cache(tool)
        if tool.get("type") not in (None, "custom"):
            # Anthropic's own, some of which are billed by the call.
            check_named(tool, place)
            self.fields.append(place)
            return dict(tool)
        function = {
            "name": read_text(tool, "name", f"{place}."),
            "parameters": read_dict(tool, "input_schema", f"{place}."),
        }
        for name in ("description", "strict"):
            if tool.get(name) is not None:
                function[name] = tool[name]
        more = {name: value for name, value in tool.items() if name not in _OF_TOOLS and value}
        self.fields += [f"{place}.{name}" for name in more if name not in _HINTS_OF_TOOLS]
        self.hints += [name for name in more if name in _HINTS_OF_TOOLS]
        self.left_out += len(write_object(more)) if more else 0
        kept = {"cache_control": tool["cache_control"]} if tool.get("cache_control") else {}
        return {"type": "function", "function": function, **kept}

    def _write_output(self, body: Json, chat: Json) -> None:
        output = read_dict(body, "output_config")
        if (effort := output.get("effort")) is not None:
            chat["reasoning_effort"] = effort
        place = "output_config.format"
        shape = read_dict(output, "format", "output_config.")
        if not shape:
            # As it was called first.
            place, shape = "output_format", read_dict(body, "output_format")
        if shape:
            schema = read_dict(shape, "schema", f"{place}.")
            chat["response_format"] = {
                "type": "json_schema",
                "json_schema": {"name": "answer", "schema": schema, "strict": True},
            }
        self.fields += [f"output_config.{name}" for name in output if name not in {"effort", "format"}]


def _find_url(block: Json) -> str:
    """A picture's or document's address or data, as a chat has it; empty where it is neither."""
    source = block.get("source")
    if not isinstance(source, dict):
        return ""
    if source.get("type") == "url" and isinstance(source.get("url"), str):
        return str(source["url"])
    if source.get("type") == "base64" and isinstance(source.get("data"), str):
        return f"data:{source.get('media_type')};base64,{source['data']}"
    return ""
