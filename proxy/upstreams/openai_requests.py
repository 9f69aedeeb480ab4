"""What a server of OpenAI's format is sent: a chat as its caller wrote it, one that was written in another format, or
Responses in their own form. Pure."""

from collections.abc import Mapping
from typing import Any, Final

from proxy.core import exact_json
from proxy.upstreams.habits import asks_logprobs, choose_wire, write_habits
from proxy.values.request import ALL_SAID, LOGPROBS_OF_RESPONSES, MEDIA, Operation, Original, Request, Unsaid, Wire
from proxy.values.vendor import Habits

Json = dict[str, Any]

PATHS: Final[Mapping[Operation, str]] = {
    Operation.CHAT: "chat/completions",
    Operation.COMPLETION: "completions",
    Operation.EMBEDDING: "embeddings",
    Operation.MODERATION: "moderations",
    Operation.IMAGE: "images/generations",
    Operation.SPEECH: "audio/speech",
    Operation.IMAGE_EDIT: "images/edits",
    Operation.IMAGE_VARIATION: "images/variations",
    Operation.TRANSCRIPTION: "audio/transcriptions",
    Operation.TRANSLATION: "audio/translations",
}
_RESPONSES: Final = "responses"
#: llama.cpp's own: where it stands, llama.cpp obeys it and neither of the others
_LLAMA_LIMIT: Final = "n_predict"
#: parts of messages that a chat has
_PARTS: Final = frozenset({"text", "image_url", "input_audio", "file", "refusal"})
#: what is in a translated body to be bounded, and is no field of a chat
_NOT_OF_A_CHAT: Final = frozenset({"max_tool_calls", "cache_control", "thinking"})
#: without it an upstream that keeps nothing has forgotten its thoughts by the next call
_THOUGHTS: Final = "reasoning.encrypted_content"


def is_at_home(request: Request) -> bool:
    """It is its own format."""
    return True


def find_path(operation: Operation, wire: Wire) -> str | None:
    """Below the upstream's base URL."""
    return _RESPONSES if wire is Wire.RESPONSES else PATHS.get(operation)


def find_unsaid(request: Request, wire: Wire) -> Unsaid:
    """What a chat cannot say of a request that was none."""
    return ALL_SAID if request.original is None or request.wire is wire else request.original.unsaid


def encode_request(request: Request, upstream_model: str, *, habits: Habits, max_output: int | None) -> bytes:
    """The body as the upstream gets it: its own name of the model, a usage report, and our limit if there is one."""
    original = request.original
    if request.form is not None:
        return request.form.write(model=upstream_model)
    if original is not None:
        if choose_wire(request, habits) is Wire.RESPONSES:
            wanted = (LOGPROBS_OF_RESPONSES,) if asks_logprobs(request, habits) else ()
            return _encode_responses(original, upstream_model, max_output, wanted)
        body = {**_as_chat(request.body), "model": upstream_model}
        # The limit's name is ours, so that it stands where the server wants it.
        max_output = request.max_output if max_output is None else max_output
    else:
        body = {**request.body, "model": upstream_model}
    if request.operation in MEDIA:
        return exact_json.dumps(body)
    write_habits(body, request, habits, max_output)
    if max_output is not None and _LLAMA_LIMIT in body and request.operation is not Operation.EMBEDDING:
        body[_LLAMA_LIMIT] = max_output
    return exact_json.dumps(body)


def _encode_responses(
    original: Original, upstream_model: str, max_output: int | None, wanted: tuple[str, ...]
) -> bytes:
    """Nothing is kept at the upstream: what came before is in the body, so that its price is known."""
    body = {name: value for name, value in original.body.items() if name != "previous_response_id"}
    body |= {"model": upstream_model, "store": False}
    include = body.get("include")
    if body.get("reasoning"):
        wanted = (_THOUGHTS, *wanted)
    if wanted:
        # What a caller writes there may be anything.
        given = include if isinstance(include, list) else []
        body["include"] = [*given, *(one for one in wanted if one not in given)]
    if max_output is not None:
        body["max_output_tokens"] = max_output
    return exact_json.dumps(body)


def _as_chat(body: Json) -> Json:
    """A translated body without what only bounds read."""
    chat = {name: value for name, value in body.items() if name not in _NOT_OF_A_CHAT}
    chat["messages"] = [_as_chat_message(message) for message in body["messages"]]
    if "tools" in chat:
        chat["tools"] = [_bare(tool) for tool in chat["tools"] if tool.get("type") == "function"]
        if not chat["tools"]:
            for name in ("tools", "tool_choice", "parallel_tool_calls"):
                chat.pop(name, None)
    return chat


def _as_chat_message(message: Json) -> Json:
    content = message.get("content")
    if not isinstance(content, list):
        return message
    return {**message, "content": [_bare(part) for part in content if part.get("type") in _PARTS]}


def _bare(item: Json) -> Json:
    return {name: value for name, value in item.items() if name != "cache_control"} if "cache_control" in item else item
