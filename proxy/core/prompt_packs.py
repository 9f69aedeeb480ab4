"""Short questions under one system prompt made one call with a structured answer, and that taken apart again: what
comes of it to whom, in words and in money."""

import json
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import orjson

from proxy.core import pricing, tokens
from proxy.core.bounds import exact_bound, quick_bound
from proxy.core.merging import share_out
from proxy.core.savings import give_up, split
from proxy.values.attempt import NO_SAVINGS, Attempt, Mechanism, Usage
from proxy.values.plan import Candidate, Hold
from proxy.values.request import Operation, Request
from tenants.choices import Tokenizer
from tenants.price_snapshots import DEFAULT_TIER, INPUT_CLASSES, PriceSnapshot

#: a longer question has hardly anything to save, and much to be confused by
MOST_CHARACTERS: Final = 2_000
MOST_BYTES: Final = 128 * 1024
#: tokens of an answer's key, quotes and comma, and of what stands around all of them
TOKENS_AN_ANSWER: Final = 12
TOKENS_AROUND: Final = 16
_USUAL_BYTES: Final = 4

#: what a body may have beside its messages; with anything else the call goes alone
_ALIKE: Final = frozenset({"temperature", "top_p", "reasoning_effort", "user"})
_LIMITS: Final = frozenset({"max_tokens", "max_completion_tokens"})
_ALLOWED: Final = frozenset({"model", "messages", *_ALIKE, *_LIMITS})
_SYSTEM: Final = frozenset({"system", "developer"})

INSTRUCTION: Final = (
    "The next message is a JSON object. Each of its values is a message of its own, from somebody who knows nothing of"
    " the others. Answer each of them exactly as you would if it had come alone, and give a JSON object with the same"
    " keys, each with the text of its answer."
)


class Question(NamedTuple):
    """What a call asks: ``text``, under a system prompt."""

    role: str
    system: str
    text: str


class Signature(NamedTuple):
    """What calls must have alike to be one: whose they are, who is asked, at which price, the system prompt, and
    everything that decides how it is answered. Questions of two end users, or of two keys, never share a prompt; nor do
    those between which a price has changed, of the model or of what it is compared with: each is billed at its own."""

    key_id: str
    end_user: str
    upstream_id: str
    model: str
    price: PriceSnapshot
    list_price: PriceSnapshot
    role: str
    system: str
    rest: bytes
    is_capped: bool


class Pack(NamedTuple):
    """One call for several questions. ``max_output`` is our limit, None where there is none."""

    request: Request
    candidate: Candidate
    hold: Hold
    max_output: int | None


def find_question(request: Request) -> Question | None:
    """What the call asks, where it is a system prompt and one short question, to be answered by a text."""
    body = request.body
    if request.operation is not Operation.CHAT or request.original is not None or not request.is_plain:
        return None
    if request.body_bytes > MOST_BYTES:
        return None
    if request.is_stream or request.is_judged or request.is_marked or request.shortened or not body.keys() <= _ALLOWED:
        return None
    messages = body["messages"]
    if len(messages) != 2 or request.choices != 1:
        return None
    first, second = messages
    if first.get("role") not in _SYSTEM or second.get("role") != "user" or len(first) != 2 or len(second) != 2:
        return None
    system, text = first.get("content"), second.get("content")
    if not isinstance(system, str) or not isinstance(text, str) or not 0 < len(text) <= MOST_CHARACTERS:
        return None
    return Question(first["role"], system, text)


def sign(request: Request, candidate: Candidate, question: Question, *, key_id: str, end_user: str) -> Signature | None:
    """The call's signature; None where it goes alone, because its system prompt is no longer than what a pack adds to
    it, or it cannot be written."""
    tokenizer = candidate.model.tokenizer
    if tokens.count_text(question.system, tokenizer) <= tokens.count_text(INSTRUCTION, tokenizer):
        return None
    try:
        question.text.encode()
        rest = orjson.dumps(
            {name: request.body[name] for name in _ALIKE & request.body.keys()}, option=orjson.OPT_SORT_KEYS
        )
    except (TypeError, UnicodeEncodeError):
        return None
    return Signature(
        key_id,
        end_user,
        candidate.upstream.id,
        candidate.model.name,
        candidate.price,
        candidate.list_price,
        question.role,
        question.system,
        rest,
        candidate.is_capped,
    )


def pack(
    requests: Sequence[Request], questions: Sequence[Question], candidate: Candidate, holds: Sequence[Hold]
) -> Pack | None:
    """The call for all questions, in their order. None where what is held for them does not pay for it."""
    first, count = questions[0], len(questions)
    keys = [str(place) for place in range(1, count + 1)]
    asked = json.dumps({key: one.text for key, one in zip(keys, questions, strict=True)}, ensure_ascii=False)
    schema = {
        "type": "object",
        "properties": {key: {"type": "string"} for key in keys},
        "required": keys,
        "additionalProperties": False,
    }
    body = {name: value for name, value in requests[0].body.items() if name not in _LIMITS}
    body |= {
        "messages": [
            {"role": first.role, "content": f"{first.system}\n\n{INSTRUCTION}"},
            {"role": "user", "content": asked},
        ],
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "answers", "strict": True, "schema": schema},
        },
    }
    asked_for = [request.max_output for request in requests]
    around = TOKENS_AROUND + TOKENS_AN_ANSWER * count
    limit = None if None in asked_for else sum(filter(None, asked_for)) + around
    body_bytes = len(orjson.dumps(body))
    request = requests[0]._replace(body=body, body_bytes=body_bytes, max_output=limit)
    loose = quick_bound(request, candidate.model, candidate.upstream, candidate.price)
    candidate = candidate._replace(bound=loose)
    held = sum(hold.for_attempt or hold.amount for hold in holds)
    if candidate.is_capped:
        bound = exact_bound(request, candidate)
        room = held - pricing.bound_cost(bound, 0)
        paid = room * 1_000 // bound.output_picos if bound.output_picos else candidate.model.max_output_tokens
        limit = min(paid, candidate.model.max_output_tokens if limit is None else limit)
        if limit < around + count:
            return None
    elif limit is not None:
        limit = min(limit, candidate.model.max_output_tokens)
    most = candidate.model.max_output_tokens if limit is None else limit
    return Pack(request, candidate, Hold(holds[0].id, held, most, None, for_attempt=held), limit)


def read_answers(text: str, count: int) -> list[str | None]:
    """The answer to each question, None where there is none that can be trusted: no text, an empty one, one with half a
    character (which no answer can carry), a key that comes twice. What breaks off is read as far as it goes; keys that
    nobody asked for put all of it in doubt."""
    nothing: list[str | None] = [None] * count
    pairs, seen = _read_pairs(text), dict[str, str | None]()
    for key, value in pairs:
        is_good = isinstance(value, str) and bool(value.strip()) and _is_whole(value) and key not in seen
        seen[key] = value if is_good else None
    keys = [str(place) for place in range(1, count + 1)]
    if not seen.keys() <= set(keys):
        return nothing
    return [seen.get(key) for key in keys]


def check_length(answer: str | None, request: Request, tokenizer: str) -> str | None:
    """The answer, where it is no longer than its caller wanted: alone it would have been cut off, and says so. Of an
    unknown vocabulary most tokens have four bytes or more."""
    if answer is None or request.max_output is None:
        return answer
    bytes_a_token = _USUAL_BYTES if tokenizer == Tokenizer.BYTES else 1
    return answer if tokens.count_text(answer, tokenizer) <= request.max_output * bytes_a_token else None


def share(
    whole: Attempt,
    packed: Pack,
    requests: Sequence[Request],
    holds: Sequence[Hold],
    text: str,
    answers: Sequence[str | None],
) -> list[Attempt]:
    """Each call's part of what the one call used and cost, to the token and the nano.

    The system prompt is everybody's alike, a question and an answer its own; what was said beside the answers is
    theirs who got none. What a call would have cost alone is reckoned from our own count of it, in the proportion in
    which the upstream counted the whole; a call without an answer has lost its part.
    """
    candidate, count = packed.candidate, len(requests)
    if not any(whole.usage):
        parts = share_out(whole.cost, [max(1, hold.for_attempt or hold.amount) for hold in holds])
        return [whole._replace(cost=cost, savings=NO_SAVINGS, packed=count) for cost in parts]
    tokenizer, tier = candidate.model.tokenizer, whole.service_tier or DEFAULT_TIER
    price = whole.price or candidate.price
    alone_in = [tokens.count_exactly(request, candidate.model) for request in requests]
    own = [tokens.count_text(request.body["messages"][1]["content"], tokenizer) for request in requests]
    system = tokens.count_text(requests[0].body["messages"][0]["content"], tokenizer)
    said = max(1, tokens.count_text(text, tokenizer))
    told = [0 if answer is None else tokens.count_text(answer, tokenizer) for answer in answers]
    unanswered = sum(answer is None for answer in answers)
    left = max(1, said - sum(told)) // max(1, unanswered)
    usages = _share_usage(
        whole.usage,
        [count * each + system + 1 for each in own],
        [max(1, left if answer is None else each) for answer, each in zip(answers, told, strict=True)],
    )
    costs = _keep_within(
        share_out(whole.cost, [pricing.cost(usage, price, tier) + 1 for usage in usages]),
        [hold.for_attempt or hold.amount for hold in holds],
    )
    packed_in = max(1, tokens.count_exactly(packed.request, candidate.model))
    attempts = []
    for usage, cost, before, after, answer in zip(usages, costs, alone_in, told, answers, strict=True):
        attempt = whole._replace(usage=usage, cost=cost, savings=NO_SAVINGS, packed=count)
        if answer is None:
            attempts.append(give_up(attempt._replace(error=whole.error or "not_answered_in_pack"), Mechanism.BATCH))
            continue
        alone = _scale(whole.usage, (before, packed_in), (after, said))
        by_itself = pricing.cost(alone, price, tier)
        is_routed = candidate.list_price is not candidate.price
        listed = pricing.cost(alone, candidate.list_price, tier) if is_routed else by_itself
        saved = split(listed, [(candidate.mechanism, by_itself), (Mechanism.BATCH, cost)])
        attempts.append(attempt._replace(savings=saved, finish_reason="stop"))
    return attempts


def write_answer(whole: dict[str, Any], place: int, answer: str, usage: Usage) -> bytes:
    """One call's answer as a chat's, from that of all."""
    kept = {
        name: whole[name]
        for name in ("object", "created", "model", "system_fingerprint", "service_tier")
        if name in whole
    }
    message = {"role": "assistant", "content": answer, "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    used = {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
    }
    return orjson.dumps({"id": f"{whole.get('id', 'chatcmpl')}-{place}", **kept, "choices": [choice], "usage": used})


def find_text(answer: Any) -> str:
    """What a chat's answer says, empty where it says nothing."""
    try:
        text = answer["choices"][0]["message"]["content"]
    except (KeyError, IndexError, TypeError):
        return ""
    return text if isinstance(text, str) else ""


def _keep_within(costs: Sequence[int], held: Sequence[int]) -> list[int]:
    """The costs, of which none is more than what its call holds, as long as all together are not: budgets of tags and
    runs hold each call by itself. What is too much is borne by the others, in their order."""
    if sum(costs) > sum(held):
        return list(costs)
    kept = [min(cost, most) for cost, most in zip(costs, held, strict=True)]
    left = sum(costs) - sum(kept)
    for place, most in enumerate(held):
        more = min(left, most - kept[place])
        kept[place] += more
        left -= more
    return kept


def _share_usage(usage: Usage, reading: Sequence[int], writing: Sequence[int]) -> list[Usage]:
    parts = [dict[str, int]() for _ in reading]
    for name, total in usage._asdict().items():
        if total:
            weights = reading if name in INPUT_CLASSES else writing
            for part, amount in zip(parts, share_out(total, weights), strict=True):
                part[name] = amount
    return [Usage(**part) for part in parts]


def _scale(usage: Usage, reading: tuple[int, int], writing: tuple[int, int]) -> Usage:
    """A usage with its input and output in other proportions."""
    scaled = {}
    for name, total in usage._asdict().items():
        if total:
            part, whole = reading if name in INPUT_CLASSES else writing
            scaled[name] = total * part // whole
    return Usage(**scaled)


def _read_pairs(text: str) -> list[tuple[str, Any]]:
    """The members of a JSON object, in their order, as far as it can be read."""
    decoder, pairs, place = json.JSONDecoder(), list[tuple[str, Any]](), _skip(text, 0)
    if text[place : place + 1] != "{":
        return pairs
    place += 1
    while True:
        try:
            key, place = decoder.raw_decode(text, _skip(text, place))
            place = _skip(text, place)
            if not isinstance(key, str) or text[place : place + 1] != ":":
                return pairs
            value, place = decoder.raw_decode(text, _skip(text, place + 1))
        except (ValueError, RecursionError):
            return pairs
        place = _skip(text, place)
        after = text[place : place + 1]
        pairs.append((key, value))
        if after != ",":
            return pairs
        place += 1


def _is_whole(text: str) -> bool:
    """Whether a text has only whole characters: escaped, a half may stand alone in JSON."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _skip(text: str, place: int) -> int:
    while text[place : place + 1] in {" ", "\t", "\n", "\r"}:
        place += 1
    return place
