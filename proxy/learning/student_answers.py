"""What a student says to a call, in OpenAI's form: a label with its likelihood, or nothing where it is not to answer.

An empty answer is one that a cascade does not give: the teacher is asked. Pure.
"""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from proxy.core.tokens import count_text
from proxy.learning.choices import Stage
from proxy.learning.conversations import Message, NoExample, read_messages
from proxy.learning.frames import frame_of
from tenants.choices import Tokenizer

#: a likelihood of nothing has no logarithm
_LEAST: Final = 1e-9
_OF: Final = 100
#: what a label cannot be an answer to
_OTHER_WISHES: Final = ("tools", "functions", "response_format", "audio", "modalities", "prediction")
_PLAIN_FORMAT: Final = {"type": "text"}
_BYTES_A_TOKEN: Final = 4
#: what chat formats write around a message
AROUND_MESSAGE: Final = 4


@dataclass(frozen=True, slots=True)
class Asked:
    """A call as a student reads it, with all that its messages say. ``why_not`` says why it is none for it, where it is
    none."""

    question: str
    why_not: str = ""
    texts: tuple[str, ...] = ()


def read_asked(body: Mapping[str, Any], *, stage: str, canary_percent: int, frames: Sequence[str]) -> Asked:
    """What is asked, and whether the student is to answer: by its stage, by what it has learned under, by what the call
    wants beside an answer. Of a canary's questions a digest draws the share that it gets, alike for equal ones."""
    try:
        prompt = read_messages(body.get("messages"))
    except NoExample as error:
        return Asked("", str(error))
    question = next(message.content for message in reversed(prompt) if message.role == "user")
    why_not = _find_reason(body, prompt, question, stage, canary_percent, frames)
    return Asked(question, why_not, tuple(message.content for message in prompt))


def count_tokens(texts: Sequence[str], tokenizer: str, *, around: int = 0) -> int:
    """What a teacher of this vocabulary would have counted, with so many tokens ``around`` each text: what a student
    saves is the teacher's price of it. A vocabulary that is not known has a token for four bytes."""
    total = sum(count_text(text, tokenizer) for text in texts)
    return max(1, (total // _BYTES_A_TOKEN if tokenizer == Tokenizer.BYTES.value else total) + around * len(texts))


def _find_reason(
    body: Mapping[str, Any],
    prompt: Sequence[Message],
    question: str,
    stage: str,
    canary_percent: int,
    frames: Sequence[str],
) -> str:
    if stage not in {Stage.CANARY.value, Stage.PROMOTED.value}:
        return f"The student is {stage.replace('_', ' ')}."
    if prompt[-1].role != "user":
        return "The last message is not the user's."
    wish = next((name for name in _OTHER_WISHES if body.get(name) and body[name] != _PLAIN_FORMAT), None)
    if wish is not None or body.get("n") not in (None, 1):
        return f"The call has {wish or 'n'}."
    if frame_of(prompt) not in frames:
        return "It has not learned under these instructions."
    if stage == Stage.CANARY.value and draw(question) >= canary_percent:
        return "The canary's share is others."
    return ""


def draw(question: str) -> int:
    """A number below a hundred, the same for equal questions."""
    return int.from_bytes(hashlib.sha256(question.encode("utf-8", "surrogatepass")).digest()[:8], "big") % _OF


def render(
    *,
    call_id: str,
    created: int,
    model: str,
    label: str,
    likelihood: float,
    prompt_tokens: int,
    label_tokens: int,
    is_stream: bool,
    wants_usage: bool,
) -> tuple[str, bytes]:
    """The answer's content type and body. An empty ``label`` is no answer."""
    choice_logprobs = {
        "content": [{"token": label, "logprob": math.log(max(likelihood, _LEAST)), "bytes": None, "top_logprobs": []}]
        if label
        else []
    }
    written = label_tokens if label else 0
    usage = {"prompt_tokens": prompt_tokens, "completion_tokens": written, "total_tokens": prompt_tokens + written}
    head = {"id": f"chatcmpl-{call_id}", "created": created, "model": model}
    if not is_stream:
        message = {"role": "assistant", "content": label}
        choice = {"index": 0, "message": message, "logprobs": choice_logprobs, "finish_reason": "stop"}
        whole = {**head, "object": "chat.completion", "choices": [choice], "usage": usage}
        return "application/json", orjson.dumps(whole)
    chunk = {**head, "object": "chat.completion.chunk"}
    delta = {"role": "assistant", "content": label}
    events: list[dict[str, Any]] = [
        {**chunk, "choices": [{"index": 0, "delta": delta, "logprobs": choice_logprobs, "finish_reason": None}]},
        {**chunk, "choices": [{"index": 0, "delta": {}, "logprobs": None, "finish_reason": "stop"}]},
    ]
    if wants_usage:
        events.append({**chunk, "choices": [], "usage": usage})
    return "text/event-stream", b"".join(
        b"data: %b\n\n" % orjson.dumps(event) for event in events
    ) + b"data: [DONE]\n\n"
