"""OpenAI's Responses, as callers speak them.

A body becomes a chat, which is what bounds and caches read and what upstreams are sent that know no Responses; the body
itself goes to those that do. What a chat cannot say of it and what is a mere hint is named. What an earlier response
was and was asked is put before the new input, so that every token that is billed stands in the body.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

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
from proxy.core.weight import SMALL_BYTES, weigh
from proxy.dialects.openai_responses.compaction import FIELDS, ask_for_summary, open_compactions
from proxy.errors import InvalidRequest, ModelNotPriced
from proxy.values.request import Endpoint, Operation, Original, Request, Unsaid, Wire

Json = dict[str, Any]

OPERATIONS: Final[Mapping[Endpoint, Operation]] = {
    Endpoint.RESPONSES: Operation.CHAT,
    Endpoint.COMPACTIONS: Operation.CHAT,
}

#: every field that Responses have
_FIELDS: Final = frozenset(
    {
        *("model", "input", "instructions", "max_output_tokens", "stream", "stream_options", "temperature", "top_p"),
        *("top_logprobs", "tools", "tool_choice", "parallel_tool_calls", "max_tool_calls", "text", "reasoning"),
        *("store", "previous_response_id", "conversation", "prompt", "background", "include", "truncation", "metadata"),
        *("user", "safety_identifier", "prompt_cache_key", "prompt_cache_retention", "service_tier"),
        *("context_management", "moderation"),
    }
)
_KNOWN: Final = list_known(_FIELDS)
_KNOWN_OF_COMPACTIONS: Final = list_known(FIELDS)
#: what stands for an input that an earlier response is
_NOTHING_NEW: Final = {"type": "message", "role": "user", "content": ""}
#: what nobody here can bound: it stands at the provider
_ELSEWHERE: Final = ("conversation", "prompt")
#: what hardly any body needs more than these for
_USUAL: Final = frozenset(
    {"model", "input", "instructions", "max_output_tokens", "stream", "store", "previous_response_id", "background"}
)
#: fields that a chat has no word for, and what they say where they say nothing
_BEYOND_CHAT: Final[Mapping[str, Any]] = {
    "top_logprobs": 0,
    "truncation": "disabled",
    "context_management": None,
    "moderation": None,
}
_HINTS: Final = ("prompt_cache_key", "prompt_cache_retention", "safety_identifier", "include")
#: what a function has that a chat's has, too
_OF_FUNCTIONS: Final = frozenset({"type", "name", "description", "parameters", "strict"})
_ROLES: Final = ("user", "assistant", "system", "developer")


def parse_request(endpoint: Endpoint | None, raw: bytes) -> Request:
    """Read a JSON body. Raises InvalidRequest, with ``param`` set where one field is at fault, and ModelNotPriced for a
    field that buys what has no price here."""
    if endpoint is Endpoint.COMPACTIONS:
        return _parse_compaction(raw)
    body = open_compactions(read_object(raw))
    if not body.keys() <= _FIELDS:
        check_names(body.keys() - _FIELDS, _KNOWN)
    for name in _ELSEWHERE:
        if body.get(name) is not None:
            raise ModelNotPriced(
                f"What {name} holds is not known here, so that the call cannot be held to a budget: send it as input.",
                code="feature_not_priced",
                param=name,
            )
    is_background = read_flag(body, "background")
    read_name(body, "previous_response_id")
    return _read(body, len(raw))._replace(is_background=is_background)


def _parse_compaction(raw: bytes) -> Request:
    body = open_compactions(read_object(raw))
    for name in body.keys() & _FIELDS - FIELDS:
        raise InvalidRequest(f"A compaction has no {name}: leave it out.", param=name)
    check_names(body.keys() - FIELDS, _KNOWN_OF_COMPACTIONS)
    read_name(body, "previous_response_id")
    if body.get("input") is None and body.get("previous_response_id"):
        body["input"] = []
    request = _read({**body, "input": body.get("input") or [_NOTHING_NEW]}, len(raw))
    assert request.original is not None, "a request of this format"
    return request._replace(original=request.original._replace(body=body, is_compacting=True))


def summarise(request: Request) -> Request:
    """The request by which a compaction's summary is asked for, of all that was said. Raises InvalidRequest where that
    is nothing."""
    items = list_input(request)
    if not items:
        raise InvalidRequest("input must say something: a text, or a list with at least one item.", param="input")
    assert request.original is not None, "a request of this format"
    body = ask_for_summary(request.original.body, items)
    asked = _read(body, len(write_object(body)))
    assert asked.original is not None, "a request of this format"
    return asked._replace(original=asked.original._replace(is_compacting=True))


def continue_request(request: Request, earlier: Sequence[Json], most_bytes: int) -> Request:
    """The request with what was said before, put before its input. Raises InvalidRequest, also where that comes to
    more than ``most_bytes``, or to more values than any body may hold. Takes as long as the whole is large."""
    assert request.original is not None, "a request of this format"
    body = request.original.body
    continued = {**body, "input": [*earlier, *list_items(body.get("input"))]}
    raw = write_object(continued)
    if len(raw) > most_bytes:
        raise InvalidRequest(
            f"With what was said before it the input is longer than {most_bytes} bytes, the most that is taken here:"
            " begin again, without previous_response_id.",
            param="previous_response_id",
            code="request_too_large",
        )
    if len(raw) > SMALL_BYTES:
        for _ in weigh(raw):
            pass
    asked = _read(continued, len(raw))._replace(is_background=request.is_background)
    assert asked.original is not None, "a request of this format"
    return asked._replace(original=asked.original._replace(is_compacting=request.is_compacting))


def store_as(request: Request, *, is_stored: bool) -> Request:
    """The request with the decision whether its answer is kept."""
    assert request.original is not None, "a request of this format"
    if request.original.body.get("store", False) is is_stored:
        return request
    return request._replace(original=request.original._replace(body={**request.original.body, "store": is_stored}))


def list_input(request: Request) -> list[Json]:
    """The items of its input, as they may be sent again."""
    assert request.original is not None, "a request of this format"
    return list_items(request.original.body.get("input"))


def list_items(given: Any) -> list[Json]:
    """The items of an input, of which a text is one."""
    return [{"type": "message", "role": "user", "content": given}] if isinstance(given, str) else given or []


def show_input(items: Sequence[Json]) -> list[Json]:
    """The items as they are listed, each with an id: ours are for this list, a provider would refuse them."""
    return [_show_item(item, number) for number, item in enumerate(items)]


def _read(body: Json, size: int) -> Request:
    model = read_model(body)
    most = read_whole(body, "max_output_tokens", 1, MAX_TOKENS_LIMIT)
    writing = _Writing()
    chat = writing.write_chat(body, model)
    if most is not None:
        chat["max_completion_tokens"] = most
    is_stream = read_flag(body, "stream")
    if is_stream:
        chat["stream"] = True
    return Request(
        operation=Operation.CHAT,
        model=model,
        body=chat,
        body_bytes=max(size, len(write_object(chat))),
        is_stream=is_stream,
        wants_usage=is_stream,
        choices=1,
        max_output=most,
        end_user=read_name(body, "user"),
        is_plain=all(isinstance(message.get("content"), str) for message in chat["messages"]),
        original=Original(Wire.RESPONSES, body, writing.unsaid, writing.left_out),
    )


def _show_item(item: Json, number: int) -> Json:
    kind = item.get("type") or "message"
    shown = {"id": f"{'msg' if kind == 'message' else 'item'}_{number}", **item, "type": kind}
    if kind == "message" and isinstance(item.get("content"), str):
        word = "output_text" if item.get("role") == "assistant" else "input_text"
        shown["content"] = [{"type": word, "text": item["content"]}]
    return shown


class _Writing:
    """A body being put into the form of a chat, and what that cannot say."""

    def __init__(self) -> None:
        self.fields: list[str] = []
        self.hints: list[str] = []
        self.left_out = 0

    @property
    def unsaid(self) -> Unsaid:
        """What a chat cannot say, each hint once."""
        return Unsaid(tuple(self.fields), tuple(dict.fromkeys(self.hints)))

    def write_chat(self, body: Json, model: str) -> Json:
        chat = pass_on(body, _FIELDS)
        is_usual = body.keys() <= _USUAL
        if not is_usual:
            self.fields += [name for name, nothing in _BEYOND_CHAT.items() if body.get(name) not in (None, nothing)]
            self.hints += [name for name in _HINTS if body.get(name)]
        messages = [*self._write_instructions(body), *self._write_input(body)]
        if not messages:
            raise InvalidRequest("input must say something: a text, or a list with at least one item.", param="input")
        chat["model"], chat["messages"] = model, messages
        if not is_usual:
            self._write_settings(body, chat)
        return chat

    def _write_settings(self, body: Json, chat: Json) -> None:
        for name in ("temperature", "top_p", "parallel_tool_calls", "max_tool_calls", "user"):
            if body.get(name) is not None:
                chat[name] = body[name]
        if tier := read_name(body, "service_tier"):
            chat["service_tier"] = tier
        read_dict(body, "metadata")
        read_dict(body, "stream_options")
        reasoning = read_dict(body, "reasoning")
        if reasoning.get("effort") is not None:
            chat["reasoning_effort"] = read_name(reasoning, "effort", "reasoning.")
        self.hints += [f"reasoning.{name}" for name in reasoning if name != "effort" and reasoning[name]]
        self._write_text(body, chat)
        self._write_tools(body, chat)

    def _write_instructions(self, body: Json) -> Iterator[Json]:
        if body.get("instructions") is not None:
            yield {"role": "system", "content": read_text(body, "instructions")}

    def _write_input(self, body: Json) -> Iterator[Json]:
        given = body.get("input")
        if given is None:
            return
        if isinstance(given, str):
            yield {"role": "user", "content": given}
            return
        if not isinstance(given, list):
            raise InvalidRequest("input must be a text or a list of items.", param="input")
        message: Json | None = None
        for number, item in enumerate(check_objects(given, "input")):
            written = self._write_item(item, f"input[{number}]")
            if written is None:
                continue
            if message is not None:
                # Calls belong to the message before which they were made.
                if message["role"] == written["role"] == "assistant" and "tool_calls" in written:
                    message.setdefault("tool_calls", []).extend(written["tool_calls"])
                    continue
                yield message
            message = written
        if message is not None:
            yield message

    def _write_item(self, item: Json, place: str) -> Json | None:
        match item.get("type", "message"):
            case "message":
                return self._write_message(item, place)
            case "function_call":
                function = {
                    "name": read_text(item, "name", f"{place}."),
                    "arguments": read_text(item, "arguments", f"{place}."),
                }
                call = {"id": read_text(item, "call_id", f"{place}."), "type": "function", "function": function}
                return {"role": "assistant", "content": None, "tool_calls": [call]}
            case "function_call_output":
                content = self._write_content(item.get("output"), f"{place}.output")
                return {"role": "tool", "tool_call_id": read_text(item, "call_id", f"{place}."), "content": content}
            case "item_reference":
                raise InvalidRequest(
                    f"{place} refers to an item that is not kept here: send the item itself.", param=place
                )
            # what happened, which no chat needs
            case "reasoning" | "web_search_call" | "file_search_call" | "compaction" as kind:
                self.hints.append(kind)
                self.left_out += len(write_object(item))
                return None
            case kind if not isinstance(kind, str):
                raise InvalidRequest(f"{place}.type must say what the item is.", param=f"{place}.type")
        check_named(item, place)
        self.fields.append(place)
        # Whatever it is, its words are counted.
        return {"role": "user", "content": write_object(item).decode("utf-8", "replace")}

    def _write_message(self, item: Json, place: str) -> Json:
        role = item.get("role")
        if not isinstance(role, str) or role not in _ROLES:
            raise InvalidRequest(f"{place}.role must be user, assistant, system or developer.", param=f"{place}.role")
        role = "system" if role == "developer" else role
        return {"role": role, "content": self._write_content(item.get("content"), f"{place}.content")}

    def _write_content(self, content: Any, place: str) -> Any:
        if isinstance(content, str):
            return content
        if not isinstance(content, list):
            raise InvalidRequest(f"{place} must be a text or a list of parts.", param=place)
        parts = [
            self._write_part(part, f"{place}[{number}]") for number, part in enumerate(check_objects(content, place))
        ]
        if len(parts) == 1 and parts[0].get("type") == "text":
            return parts[0]["text"]
        return parts if parts else ""

    def _write_part(self, part: Json, place: str) -> Json:
        match part.get("type"):
            case "input_text" | "output_text" | "text" | "summary_text" | "reasoning_text":
                return {"type": "text", "text": read_text(part, "text", f"{place}.")}
            case "refusal":
                return {"type": "text", "text": read_text(part, "refusal", f"{place}.")}
            case "input_image":
                check_named(part, place)
                if isinstance(url := part.get("image_url"), str):
                    shown = {"url": url} | ({"detail": part["detail"]} if part.get("detail") else {})
                    return {"type": "image_url", "image_url": shown}
            case "input_file":
                check_named(part, place)
                if isinstance(part.get("file_data"), str):
                    held = {name: part[name] for name in ("filename", "file_data") if part.get(name)}
                    return {"type": "file", "file": held}
            case "input_audio":
                return {"type": "input_audio", "input_audio": read_dict(part, "input_audio", f"{place}.")}
            case kind if not isinstance(kind, str):
                raise InvalidRequest(f"{place}.type must say what the part is.", param=f"{place}.type")
        check_named(part, place)
        # What stands at the provider, by its id: bounded as all that a model can read.
        self.fields.append(place)
        return dict(part)

    def _write_text(self, body: Json, chat: Json) -> None:
        text = read_dict(body, "text")
        if text.get("verbosity") is not None:
            chat["verbosity"] = text["verbosity"]
        shape = read_dict(text, "format", "text.")
        match shape.get("type"):
            case None | "text":
                return
            case "json_schema":
                named = {name: shape[name] for name in ("name", "schema", "strict", "description") if name in shape}
                chat["response_format"] = {"type": "json_schema", "json_schema": named}
            case "json_object":
                chat["response_format"] = {"type": "json_object"}
            case _:
                raise InvalidRequest(
                    "text.format.type must be text, json_schema or json_object.", param="text.format.type"
                )

    def _write_tools(self, body: Json, chat: Json) -> None:
        tools = check_objects(read_list(body, "tools"), "tools")
        if tools:
            chat["tools"] = [self._write_tool(tool, f"tools[{number}]") for number, tool in enumerate(tools)]
        choice = body.get("tool_choice")
        if isinstance(choice, str):
            chat["tool_choice"] = choice
        elif isinstance(choice, dict) and choice.get("type") == "function":
            chat["tool_choice"] = {"type": "function", "function": {"name": read_text(choice, "name", "tool_choice.")}}
        elif isinstance(choice, dict):
            self.fields.append("tool_choice")
        elif choice is not None:
            raise InvalidRequest("tool_choice must be a word or an object.", param="tool_choice")

    def _write_tool(self, tool: Json, place: str) -> Json:
        kind = read_text(tool, "type", f"{place}.")
        if kind == "mcp":
            # Each of its calls has all that was said read again, as often as the model likes.
            raise ModelNotPriced(
                f"How often {place} is called is not known here, so that the call cannot be held to a budget: leave it"
                " out.",
                code="feature_not_priced",
                param=place,
            )
        if kind != "function":
            check_named(tool, place)
            self.fields.append(place)
            return dict(tool)
        function: Json = {"name": read_text(tool, "name", f"{place}.")}
        for name in ("description", "parameters", "strict"):
            if tool.get(name) is not None:
                function[name] = tool[name]
        if more := {name: value for name, value in tool.items() if name not in _OF_FUNCTIONS and value}:
            self.hints += [f"{place}.{name}" for name in more]
            self.left_out += len(write_object(more))
        return {"type": "function", "function": function}
