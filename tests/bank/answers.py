"""What the bank answers: read the request, and make up a deterministic answer. Nothing here awaits or bills.

Input tokens, by the bank's exact rule: every run of bytes between ASCII white space in the text of a message (a string
content, or its text parts) is one token, and a chat adds 3 for each message and 3 for the answer's start. A prompt or
an embedding's input is counted likewise without the additions; a token array counts its tokens. No known tokenizer
gives fewer tokens than there are such runs, so an honest bound is never below the bank's count.

Output tokens are common English words with a space before them. Each is exactly one token in cl100k, o200k, Llama 3
and Qwen, also when they stand in a row, so a gateway that counts the text it has received finds the number billed.
"""

import base64
import hashlib
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import orjson

from tests.bank.behaviour import Behaviour
from tests.bank.http import BadRequest

SENTENCE = """the river runs past old stone houses and under seven small bridges before it reaches open water where ships wait
    for wind rain or morning light while people on both banks count every coin they spend because nobody likes to pay
    twice when once is enough so we keep our books true in good times hard"""
WORDS = tuple(SENTENCE.split())
WIDE_WORDS = ("für", "año", "€", "😀")
#: Words by which the answer's choices are apart, so that no two begin alike.
CHOICE_STRIDE = 7
#: tokens of a prompt that is echoed, and words of it that any model would have guessed
ECHOED = re.compile(r"\s*\S+|\s+")
GUESSED = frozenset({"the", "of", "and", "is", "was", "has", "its", "for", "very", "nice", "really"})
JSON_HEAD = ('{"', "text", '":"')
JSON_TAIL = '"}'
#: The answers' time, in seconds since the epoch: always the same, as everything about them.
CREATED = 1_700_000_000
MODELS = ("bank-small", "bank-large")
EMBEDDING_DIMENSIONS = 16

Kind = Literal["chat", "completion", "embedding", "messages", "responses"]
Style = Literal["words", "json", "tool"]


@dataclass(frozen=True, slots=True)
class Ask:
    """A request, read: what to bill for it and what to answer."""

    kind: Kind
    model: str
    input_tokens: int
    stream: bool = False
    include_usage: bool = False
    choices: int = 1
    hidden_choices: int = 0
    visible_tokens: int = 0
    reasoning_tokens: int = 0
    wanted_tokens: int = 0
    style: Style = "words"
    wide: bool = False
    tool_name: str = ""
    # The texts that a schema asks for, and of those the ones that stay empty.
    keys: tuple[str, ...] = ()
    silent_keys: frozenset[str] = frozenset()
    top_logprobs: int | None = None
    logprob: float = -0.25
    embeddings: tuple[str, ...] = ()
    dimensions: int = EMBEDDING_DIMENSIONS
    base64: bool = False
    #: the prompt of a completion that is to stand before its answer
    echo: str = ""

    @property
    def finish_reason(self) -> str:
        if self.visible_tokens < self.wanted_tokens:
            return "length"
        return "tool_calls" if self.style == "tool" else "stop"


class Step(NamedTuple):
    """One step of producing an answer, with the tokens that are billed before it may be sent."""

    kind: Literal["hidden", "role", "token", "finish"]
    choice: int = 0
    token: int = 0
    output: int = 0
    reasoning: int = 0


def read_ask(kind: Kind, body: Any, behaviour: Behaviour) -> Ask:
    """Read a request's body. Raises BadRequest naming the field that is wrong."""
    if not isinstance(body, dict):
        raise BadRequest("The body is not a JSON object.")
    model = _field(body, "model", str)
    if not model:
        raise BadRequest("You must provide a model parameter.", param="model")
    if kind == "embedding":
        return _read_embedding(model, body, behaviour)
    stream = bool(_field(body, "stream", bool, default=False))
    options = _field(body, "stream_options", dict)
    if options and not stream:
        raise BadRequest("stream_options is only allowed when stream is enabled.", param="stream_options")
    choices = _count(body, "n", 1, 128) or 1
    limit = _output_limit(body, kind)
    if kind == "chat":
        input_tokens, prompts, best_of = _count_messages(body), 1, 0
        style, tool_name = _style(body, behaviour)
        top_logprobs = (_count(body, "top_logprobs", 0, 20) or 0) if _field(body, "logprobs", bool) else None
    else:
        input_tokens, prompts = _count_texts(body, "prompt")
        best_of = _count(body, "best_of", 1, 20) or 0
        style, tool_name = "words", ""
        top_logprobs = _count(body, "logprobs", 0, 5)
    if top_logprobs is not None and behaviour.refuses_logprobs:
        raise BadRequest("Unsupported parameter: 'logprobs' is not supported with this model.", param="logprobs")
    reasoning = behaviour.reasoning_tokens if kind == "chat" else 0
    keys = _text_keys(body) if style == "json" else ()
    wanted = behaviour.output_tokens
    if keys:
        wanted = len(_write_texts(keys, behaviour.silent_keys, wanted))
    elif style != "words" and wanted < len(JSON_HEAD) + 1:
        raise BadRequest("A JSON answer or a tool call takes 4 tokens or more.", param="bank.output_tokens")
    visible = wanted
    if limit is not None and "overrun" in behaviour.fault:
        reasoning = min(reasoning, limit)
        visible = wanted = limit + (5 if behaviour.by is None else behaviour.by) - reasoning
        if wanted < 0:
            raise BadRequest("That leaves fewer than no tokens.", param="bank.by")
    elif limit is not None:
        reasoning = min(reasoning, limit)
        visible = min(wanted, limit - reasoning)
    return Ask(
        kind=kind,
        model=model,
        input_tokens=billed_input(input_tokens, behaviour),
        stream=stream,
        include_usage=bool(_field(options or {}, "include_usage", bool, default=False)),
        choices=choices * prompts,
        hidden_choices=max(0, best_of - choices) * prompts,
        visible_tokens=visible,
        reasoning_tokens=reasoning,
        wanted_tokens=wanted,
        style=style,
        wide=behaviour.wide or "split_utf8" in behaviour.fault,
        tool_name=tool_name,
        keys=keys,
        silent_keys=behaviour.silent_keys,
        top_logprobs=top_logprobs,
        logprob=behaviour.logprob,
        echo=body["prompt"] if kind == "completion" and _field(body, "echo", bool, default=False) else "",
    )


def _read_embedding(model: str, body: dict[str, Any], behaviour: Behaviour) -> Ask:
    input_tokens, _ = _count_texts(body, "input")
    given = body["input"]
    inputs = given if isinstance(given, list) and not isinstance(given[0], int) else [given]
    encoding = _field(body, "encoding_format", str, default="float")
    if encoding not in ("float", "base64"):
        raise BadRequest("encoding_format is float or base64.", param="encoding_format")
    return Ask(
        kind="embedding",
        model=model,
        input_tokens=billed_input(input_tokens, behaviour),
        embeddings=tuple(text if isinstance(text, str) else repr(text) for text in inputs),
        dimensions=_count(body, "dimensions", 1, 4096) or EMBEDDING_DIMENSIONS,
        base64=encoding == "base64",
    )


def billed_input(counted: int, behaviour: Behaviour) -> int:
    tokens = counted if behaviour.input_tokens is None else behaviour.input_tokens
    if behaviour.cached_tokens > tokens:
        raise BadRequest(f"Of {tokens} input tokens no more can be cached.", param="bank.cached_tokens")
    return tokens


def _field(body: dict[str, Any], name: str, kind: type, default: Any = None) -> Any:
    value = body.get(name)
    if value is None:
        return default
    if type(value) is not kind:
        raise BadRequest(f"{name} is not a {kind.__name__}.", param=name)
    return value


def _count(body: dict[str, Any], name: str, low: int, high: int) -> int | None:
    value = _field(body, name, int)
    if value is not None and not low <= value <= high:
        raise BadRequest(f"{name} is not from {low} to {high}.", param=name)
    return None if value is None else int(value)


def _output_limit(body: dict[str, Any], kind: Kind) -> int | None:
    names = ("max_completion_tokens", "max_tokens") if kind == "chat" else ("max_tokens",)
    limits = [limit for name in names if (limit := _count(body, name, 1, 1 << 31)) is not None]
    return min(limits, default=None)


def _count_words(text: str) -> int:
    try:
        return len(text.encode().split())
    except UnicodeEncodeError as error:
        raise BadRequest("A text holds half a surrogate pair.") from error


def _count_messages(body: dict[str, Any]) -> int:
    messages = _field(body, "messages", list)
    if not messages:
        raise BadRequest("messages is missing or empty.", param="messages")
    total = 3
    for index, message in enumerate(messages):
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise BadRequest("A message is an object with a role.", param=f"messages[{index}]")
        total += 3 + _count_content(message.get("content"), f"messages[{index}].content")
    return total


def _count_content(content: Any, param: str) -> int:
    if content is None:
        return 0
    if isinstance(content, str):
        return _count_words(content)
    if not isinstance(content, list) or not all(isinstance(part, dict) for part in content):
        raise BadRequest("A content is text or a list of parts.", param=param)
    texts = [part.get("text") for part in content if part.get("type") == "text"]
    if not all(isinstance(text, str) for text in texts):
        raise BadRequest("A text part has a text.", param=param)
    return sum(_count_words(text) for text in texts if isinstance(text, str))


def _count_texts(body: dict[str, Any], name: str) -> tuple[int, int]:
    """The tokens and the number of a text, texts, a token array or token arrays."""
    given = body.get(name)
    if isinstance(given, str):
        return _count_words(given), 1
    if isinstance(given, list) and given:
        if all(type(item) is int for item in given):
            return len(given), 1
        if all(isinstance(item, str) for item in given):
            return sum(_count_words(item) for item in given), len(given)
        if all(isinstance(item, list) and item and all(type(token) is int for token in item) for item in given):
            return sum(len(item) for item in given), len(given)
    raise BadRequest(f"{name} is not a text, texts, a token array or token arrays.", param=name)


def _style(body: dict[str, Any], behaviour: Behaviour) -> tuple[Style, str]:
    tools = _field(body, "tools", list) or []
    for index, tool in enumerate(tools):
        function = tool.get("function") if isinstance(tool, dict) else None
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            raise BadRequest("A tool is an object with a function that has a name.", param=f"tools[{index}]")
    if behaviour.tool_call:
        if not tools:
            raise BadRequest("A tool call needs tools.", param="bank.tool_call")
        return "tool", tools[0]["function"]["name"]
    response_format = _field(body, "response_format", dict) or {}
    return ("json" if response_format.get("type") in ("json_object", "json_schema") else "words"), ""


def _text_keys(body: dict[str, Any]) -> tuple[str, ...]:
    """The members of an answer whose schema wants several texts."""
    named = body["response_format"].get("json_schema")
    schema = named.get("schema") if isinstance(named, dict) else None
    properties = schema.get("properties") if isinstance(schema, dict) else None
    if not isinstance(properties, dict) or len(properties) < 2:
        return ()
    return tuple(properties) if all(one == {"type": "string"} for one in properties.values()) else ()


def _write_texts(keys: tuple[str, ...], silent: frozenset[str], tokens: int) -> list[str]:
    """An object of texts of so many tokens each, no two alike; those that stay silent have none."""
    pieces = ["{"]
    for place, key in enumerate(keys):
        words = [" " + WORDS[(place + index) % len(WORDS)] for index in range(0 if key in silent else tokens)]
        pieces += ['"', key, '":"', *words, '"', ","]
    return [*pieces[:-1], "}"]


def steps(ask: Ask) -> Iterator[Step]:
    """How an answer comes into being: choices side by side, token by token. An embedding has no steps."""
    if ask.kind == "embedding":
        return
    is_chat = ask.kind != "completion"
    if ask.hidden_choices:
        yield Step("hidden", output=ask.hidden_choices * ask.visible_tokens)
    for choice in range(ask.choices if is_chat else 0):
        yield Step("role", choice, output=ask.reasoning_tokens, reasoning=ask.reasoning_tokens)
    for token in range(ask.visible_tokens):
        for choice in range(ask.choices):
            yield Step("token", choice, token, output=1)
    for choice in range(ask.choices):
        yield Step("finish", choice)


def answer_pieces(ask: Ask, choice: int) -> list[str]:
    """The text of each visible token of a choice."""
    words = WIDE_WORDS if ask.wide else WORDS
    first = choice * CHOICE_STRIDE

    def run(count: int) -> list[str]:
        return [" " + words[(first + index) % len(words)] for index in range(count)]

    if ask.style == "words":
        return run(ask.visible_tokens)
    if ask.keys:
        around = len(_write_texts(ask.keys, ask.silent_keys, 0))
        each = (ask.wanted_tokens - around) // max(1, len(set(ask.keys) - ask.silent_keys))
        return _write_texts(ask.keys, ask.silent_keys, each)[: ask.visible_tokens]
    return [*JSON_HEAD, *run(ask.wanted_tokens - len(JSON_HEAD) - 1), JSON_TAIL][: ask.visible_tokens]


def answer_text(tokens: int = 12, choice: int = 0) -> str:
    """The plain text of an answer of so many tokens, as a test expects it."""
    ask = Ask("chat", "", 0, visible_tokens=tokens, wanted_tokens=tokens)
    return "".join(answer_pieces(ask, choice))


class Answer:
    """An answer in OpenAI's shapes: chunk by chunk, or whole."""

    def __init__(self, ask: Ask, call: int, model: str) -> None:
        self.ask = ask
        self.call, self.model = call, model
        self._pieces = [answer_pieces(ask, choice) for choice in range(ask.choices)]
        is_chat = ask.kind == "chat"
        self._base: dict[str, Any] = {
            "id": f"{'chatcmpl' if is_chat else 'cmpl'}-bank-{call}",
            "object": ("chat.completion.chunk" if ask.stream else "chat.completion") if is_chat else "text_completion",
            "created": CREATED,
            "model": model,
            "system_fingerprint": "fp_bank",
        }

    @property
    def is_tool(self) -> bool:
        """Whether it calls a tool."""
        return self.ask.style == "tool"

    @property
    def text(self) -> str:
        """All that its first choice says."""
        return "".join(self._pieces[0])

    def piece(self, step: Step) -> str:
        """What a token's step adds."""
        return self._pieces[step.choice][step.token]

    def events(self, step: Step, text: str | None = None) -> list[dict[str, Any]]:
        """The events of one step of a stream: where they have types of their own, several."""
        return [self.chunk(step, text)]

    def end_events(self, usage: Any, *, is_done: bool) -> list[dict[str, Any]] | None:
        """The events that end a stream whose events have types; None where they have none."""
        return None

    def wire_usage(self, usage: Any) -> Any:
        """A usage as this format reports it."""
        return embedding_usage(usage) if self.ask.kind == "embedding" else usage

    def error(self, message: str, kind: str, code: str | None = None) -> dict[str, Any]:
        """An error's event, or body."""
        return error_body(message, kind, code=code)

    def chunk(self, step: Step, text: str | None = None) -> dict[str, Any]:
        """One step's chunk; ``text`` stands in for the token's own."""
        if text is None and step.kind == "token":
            text = self._pieces[step.choice][step.token]
        choice: dict[str, Any] = {"index": step.choice}
        if self.ask.kind == "chat":
            choice["delta"] = self._delta(step, text)
        else:
            choice["text"] = text or ""
        choice["logprobs"] = self._logprobs([text], step) if step.kind == "token" and text is not None else None
        choice["finish_reason"] = self.ask.finish_reason if step.kind == "finish" else None
        return {**self._base, "choices": [choice]}

    def usage_chunk(self, usage: Any) -> dict[str, Any]:
        return {**self._base, "choices": [], "usage": usage}

    def whole(self, padding: str = "") -> dict[str, Any]:
        """The whole answer without its usage; ``padding`` is put before every choice's text."""
        if self.ask.kind == "embedding":
            return self._embeddings()
        choices = []
        for index, pieces in enumerate(self._pieces):
            text = padding + "".join(pieces)
            choice: dict[str, Any] = {"index": index}
            if self.ask.kind == "chat":
                choice["message"] = self._message(index, text)
            else:
                choice["text"] = self.ask.echo + text
            choices.append({**choice, "logprobs": self._logprobs(pieces), "finish_reason": self.ask.finish_reason})
        return {**self._base, "choices": choices}

    def _delta(self, step: Step, text: str | None) -> dict[str, Any]:
        if step.kind == "finish":
            return {}
        if self.ask.style == "tool":
            if step.kind == "role":
                return {
                    "role": "assistant",
                    "content": None,
                    "tool_calls": [{"index": 0, **self._tool_call(step.choice, "")}],
                }
            return {"tool_calls": [{"index": 0, "function": {"arguments": text}}]}
        if step.kind == "role":
            return {"role": "assistant", "content": "", "refusal": None}
        return {"content": text}

    def _message(self, choice: int, text: str) -> dict[str, Any]:
        if self.ask.style == "tool":
            return {
                "role": "assistant",
                "content": None,
                "refusal": None,
                "tool_calls": [self._tool_call(choice, text)],
            }
        return {"role": "assistant", "content": text, "refusal": None, "annotations": []}

    def _tool_call(self, choice: int, arguments: str) -> dict[str, Any]:
        function = {"name": self.ask.tool_name, "arguments": arguments}
        return {"id": f"call_bank_{choice}", "type": "function", "function": function}

    def _logprobs(self, pieces: list[str], step: Step | None = None) -> dict[str, Any] | None:
        if self.ask.top_logprobs is None or self.ask.style == "tool":
            return None
        if self.ask.kind in ("chat", "responses"):
            return {"content": [self._logprob(piece) for piece in pieces], "refusal": None}
        if self.ask.echo and step is None:
            echoed = ECHOED.findall(self.ask.echo)
            known = [-0.05 if piece.strip() in GUESSED else -6.0 for piece in echoed[1:]]
            return {
                "tokens": [*echoed, *pieces],
                "token_logprobs": [None, *known, *[self.ask.logprob] * len(pieces)],
            }
        before = "".join(self._pieces[step.choice][: step.token]) if step else ""
        return {
            "tokens": pieces,
            "token_logprobs": [self.ask.logprob] * len(pieces),
            "top_logprobs": [{a["token"]: a["logprob"] for a in self._alternatives(piece)} for piece in pieces],
            "text_offset": [len(before) + len("".join(pieces[:index])) for index in range(len(pieces))],
        }

    def _logprob(self, piece: str) -> dict[str, Any]:
        return {**_one_logprob(piece, self.ask.logprob), "top_logprobs": self._alternatives(piece)}

    def _alternatives(self, piece: str) -> list[dict[str, Any]]:
        others = [" " + word for word in WORDS if " " + word != piece]
        best = [piece, *others][: self.ask.top_logprobs or 0]
        return [_one_logprob(text, self.ask.logprob - 2.0 * rank) for rank, text in enumerate(best)]

    def _embeddings(self) -> dict[str, Any]:
        data = []
        for index, text in enumerate(self.ask.embeddings):
            vector: Any = embed(text, self.ask.dimensions)
            if self.ask.base64:
                vector = base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
            data.append({"object": "embedding", "index": index, "embedding": vector})
        return {"object": "list", "data": data, "model": self._base["model"]}


def _one_logprob(text: str, logprob: float) -> dict[str, Any]:
    return {"token": text, "logprob": logprob, "bytes": list(text.encode())}


def embed(text: str, dimensions: int) -> list[float]:
    """A made-up vector of length 1 that depends on the text alone."""
    raw = hashlib.shake_128(text.encode()).digest(dimensions)
    numbers = [byte - 127.5 for byte in raw]
    length = sum(number * number for number in numbers) ** 0.5
    return [number / length for number in numbers]


def embedding_usage(usage: dict[str, Any]) -> dict[str, Any]:
    """What an embedding reports of a usage object: it has no output."""
    return {"prompt_tokens": usage["prompt_tokens"], "total_tokens": usage["total_tokens"]}


def error_body(message: str, kind: str, *, param: str | None = None, code: str | None = None) -> dict[str, Any]:
    """OpenAI's error object."""
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def models_body() -> dict[str, Any]:
    return {"object": "list", "data": [model_body(name) for name in MODELS]}


def model_body(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": CREATED, "owned_by": "bank"}


def encode(body: Any) -> bytes:
    return orjson.dumps(body)
