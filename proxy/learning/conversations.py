"""Examples to learn from: a conversation and the answer that a teacher gave, and OpenAI's fine-tuning JSONL. Pure."""

import hashlib
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

import orjson

from costhub.lib.errors import InvalidField
from proxy.core import sse
from proxy.core.routes.said import read_answer

#: roles of a message before the answer
ROLES: Final = frozenset({"system", "developer", "user", "assistant"})
MAX_MESSAGES: Final = 200
MAX_LINES: Final = 5_000


class Message(NamedTuple):
    """One turn, a plain text."""

    role: str
    content: str


class Example(NamedTuple):
    """What was asked, what the teacher answered, and when. ``source`` is the request, teacher run or import that it
    comes from, by its id. ``gold``: what is right, where somebody has written it down; nobody learns from it."""

    source: str
    at_ms: int
    prompt: tuple[Message, ...]
    answer: str
    gold: str = ""

    @property
    def question(self) -> str:
        """The last thing that a user said: what a classifier reads."""
        return next((message.content for message in reversed(self.prompt) if message.role == "user"), "")


class NoExample(Exception):
    """What was captured holds no text to learn from: a picture, a call of a tool, no answer."""


def read_call(request: dict[str, Any], answer: bytes, content_type: str) -> tuple[tuple[Message, ...], str]:
    """The conversation of a captured call, as a chat, and its answer, in whichever form it came: OpenAI's chat, its
    Responses, Anthropic's Messages. Raises NoExample."""
    prompt = read_messages(request.get("messages"))
    text = _read_stream(answer) if content_type.startswith("text/event-stream") else _read_whole(answer)
    if not text.strip():
        raise NoExample("The answer has no text.")
    return prompt, text


def read_messages(found: Any) -> tuple[Message, ...]:
    """Messages of a chat that are plain texts throughout. Raises NoExample."""
    if not isinstance(found, list) or not 0 < len(found) <= MAX_MESSAGES:
        raise NoExample(f"There are no messages, or more than {MAX_MESSAGES}.")
    messages = []
    for message in found:
        role = message.get("role") if isinstance(message, dict) else None
        content = message.get("content") if isinstance(message, dict) else None
        if isinstance(content, list) and all(
            isinstance(part, dict) and part.get("type") == "text" and isinstance(part.get("text"), str)
            for part in content
        ):
            content = "".join(part["text"] for part in content)
        if role not in ROLES or not isinstance(content, str):
            raise NoExample("A message is no plain text of system, user or assistant.")
        messages.append(Message(role, content))
    if not any(message.role == "user" for message in messages):
        raise NoExample("No user says anything.")
    return tuple(messages)


def pack(example: Example) -> str:
    """As it is stored, before it is sealed."""
    said: dict[str, Any] = {"prompt": [list(message) for message in example.prompt], "answer": example.answer}
    if example.gold:
        said["gold"] = example.gold
    return orjson.dumps(said).decode()


def unpack(source: str, at_ms: int, text: str) -> Example:
    """What ``pack`` made."""
    found = orjson.loads(text)
    prompt = tuple(Message(*message) for message in found["prompt"])
    return Example(source, at_ms, prompt, found["answer"], found.get("gold", ""))


def digest(prompt: Sequence[Message]) -> bytes:
    """The same for prompts that differ in case, spacing or Unicode form only."""
    spelled = "\0".join(f"{role}\1{_fold(content)}" for role, content in prompt)
    return hashlib.sha256(spelled.encode("utf-8", "surrogatepass")).digest()


def write_line(example: Example) -> bytes:
    """One line of OpenAI's fine-tuning JSONL, without its end."""
    messages = [*example.prompt, Message("assistant", example.answer)]
    return orjson.dumps({"messages": [{"role": role, "content": content} for role, content in messages]})


def write_jsonl(examples: Iterable[Example]) -> bytes:
    """OpenAI's fine-tuning JSONL."""
    return b"".join(write_line(example) + b"\n" for example in examples)


def read_jsonl(text: str, *, source: str, at_ms: int, field: str = "lines") -> list[Example]:
    """Examples of OpenAI's fine-tuning JSONL, in their order; a line may have ``gold`` beside its messages. Raises
    InvalidField, which names the line."""
    lines = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    if not lines:
        raise InvalidField('Give at least one line, such as {"messages": [...]}.', field=field)
    if len(lines) > MAX_LINES:
        raise InvalidField(f"Give at most {MAX_LINES:,} lines at a time.", field=field)
    examples = []
    for number, line in lines:
        try:
            body = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise InvalidField(f"Line {number} is not JSON: {error}.", field=field) from error
        messages = body.get("messages") if isinstance(body, dict) else None
        try:
            found = read_messages(messages)
        except NoExample as error:
            raise InvalidField(f"Line {number}: {error}", field=field) from error
        if found[-1].role != "assistant" or not found[-1].content.strip() or len(found) < 2:
            raise InvalidField(f"Line {number}: the last message must be the assistant's answer.", field=field)
        if "\0" in line or "\\u0000" in line:
            raise InvalidField(f"Line {number}: remove the NUL character.", field=field)
        examples.append(Example(source, at_ms, found[:-1], found[-1].content, read_gold(body, number, field)))
    return examples


def read_gold(line: dict[str, Any], number: int, field: str) -> str:
    """What is right by a line of JSONL; empty where it does not say. Raises InvalidField, which names the line."""
    gold = line.get("gold", "")
    if not isinstance(gold, str):
        raise InvalidField(f"Line {number}: gold must be a text, as the right answer would be.", field=field)
    return gold


def _fold(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _read_whole(answer: bytes) -> str:
    try:
        body = orjson.loads(answer)
        if _has_other_form(body):
            return _read_other_form(answer, is_stream=False)
        choices = body["choices"]
        content = choices[0]["message"]["content"] if len(choices) == 1 else None
    except (orjson.JSONDecodeError, KeyError, TypeError, IndexError) as error:
        raise NoExample("The answer is no chat completion.") from error
    if not isinstance(content, str):
        raise NoExample("The answer has no text.")
    return content


def _read_stream(answer: bytes) -> str:
    parts: list[str] = []
    splitter = sse.EventSplitter()
    for event in [*splitter.feed(answer), sse.close_event(splitter.finish())]:
        data = sse.data_of(event)
        if data is None or sse.is_done(data):
            continue
        try:
            body = orjson.loads(data)
            if _has_other_form(body):
                return _read_other_form(answer, is_stream=True)
            choices = body.get("choices") or []
            if any(choice.get("index", 0) != 0 for choice in choices):
                raise NoExample("There are several answers.")
            parts += [(choice.get("delta") or {}).get("content") or "" for choice in choices]
        except (orjson.JSONDecodeError, AttributeError, TypeError) as error:
            raise NoExample("The answer is no stream of chat chunks.") from error
    return "".join(parts)


def _has_other_form(body: Any) -> bool:
    """Whether an answer, or an event of one, is none of a chat: those of Responses and Messages say what they are."""
    return isinstance(body, dict) and "choices" not in body and ("object" in body or "type" in body)


def _read_other_form(answer: bytes, *, is_stream: bool) -> str:
    said = read_answer(answer, is_stream=is_stream)
    if said.tool_arguments:
        raise NoExample("The answer calls a tool.")
    return said.text
