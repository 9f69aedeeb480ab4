"""What makes two requests the same: the canonical form of a call, and the digests under which its answer is kept.

Two calls have one key only if the same organisation, the same circle of callers, the same model of the same upstream,
and every field that may change the answer are equal. Spellings that mean the same are one: the order of fields, a field
that is null or says what is the default anyway, 1 and 1.0. Pure.
"""

import hashlib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

import orjson

from proxy.core.betas import list_sent
from proxy.values.plan import Plan
from proxy.values.request import MEDIA, Operation, Request
from tenants.choices import CacheSharing, UpstreamKind
from tenants.snapshots import CachePolicySnapshot, KeySnapshot, UpstreamSnapshot

#: counted up when the canonical form, or what is kept, changes: older entries are then never found
_FORM: Final = b"1"
#: what says who asks, how the answer is carried, or stands in the key by itself: none of it changes an answer's words
_NOT_IN_THE_ANSWER: Final = frozenset(
    {
        *("model", "stream", "stream_options", "user", "metadata", "store", "safety_identifier", "prompt_cache_key"),
        *("service_tier", "prompt_cache_retention", "cache_control", "max_tokens", "max_completion_tokens"),
    }
)
#: what a field means where it is left out, at every server that speaks this format
_DEFAULTS: Final[Mapping[str, Any]] = {
    "n": 1,
    "best_of": 1,
    "logprobs": False,
    "echo": False,
    "stop": [],
    "tools": [],
    "functions": [],
    "logit_bias": {},
    "response_format": {"type": "text"},
    "encoding_format": "float",
}
#: the same, where OpenAI itself answers: other servers have defaults of their own
_ALL_DEFAULTS: Final[Mapping[str, Any]] = {
    **_DEFAULTS,
    "temperature": 1,
    "top_p": 1,
    "presence_penalty": 0,
    "frequency_penalty": 0,
    "parallel_tool_calls": True,
}
#: beyond them JSON's numbers are no integers for everybody
_EXACT: Final = 2**53
#: a longer question is more than its vector can say, and is found by its exact words only
MOST_SEMANTIC_CHARACTERS: Final = 1_000
#: what makes an answer more than the words of its question: it is found by exact equality only
_EXACT_ONLY: Final = frozenset(
    {"tools", "functions", "logprobs", "audio", "modalities", "prediction", "logit_bias", "seed"}
)
#: finding the value of a member of an enumeration costs as much as ten sums, and every call asks
_OF_A_PROJECT: Final = CacheSharing.PROJECT.value
_OF_A_KEY: Final = CacheSharing.KEY.value
_OF_AN_END_USER: Final = CacheSharing.END_USER.value
_OPENAI: Final = UpstreamKind.OPENAI.value


class CacheKey(NamedTuple):
    """Under which digests a call's answer is kept.

    ``exact`` is the whole call. ``scope`` is the call without its last question, in which a like ``question`` may have
    the same answer; the question is empty where only an equal call will do.
    """

    exact: bytes
    scope: bytes
    question: str


def make_key(plan: Plan, key: KeySnapshot, policy: CachePolicySnapshot) -> CacheKey | None:
    """The key of a call, or None where its body cannot be written as JSON."""
    request = plan.request
    place = _place(plan, key, policy)
    fields = _canonical_fields(request, plan.first.upstream)
    if request.original is not None:
        # Under a name that no chat has: of this format only what is certainly the same is one.
        fields = fields | {"": _plain(_without_carriage(request.original.body))}
        if betas := list_sent(request.original):
            fields["betas"] = sorted(betas)
    try:
        exact = _digest(b"exact", place, _dump(fields))
        question = _find_question(request)
        if not question:
            return CacheKey(exact, b"", "")
        earlier = fields | {"messages": fields["messages"][:-1]}
        # A stream and a whole answer say the same words; but each is replayed as it came.
        return CacheKey(exact, _digest(b"scope", place, _dump(earlier)), question)
    except (TypeError, RecursionError):
        return None


def input_keys(plan: Plan, key: KeySnapshot, policy: CachePolicySnapshot, items: Sequence[Any]) -> list[bytes]:
    """The digests under which the inputs of an embeddings call are kept. Raises TypeError for one that is no JSON."""
    body = {name: value for name, value in plan.request.body.items() if name != "input"}
    fields = _dump(_canonical_fields(plan.request._replace(body=body), plan.first.upstream))
    place = _place(plan, key, policy)
    return [_digest(b"input", place, fields, _dump(item)) for item in items]


def batch_key(digests: Sequence[bytes]) -> bytes:
    """The digest of a whole embeddings call, by those of its inputs."""
    return _digest(b"inputs", *digests)


def is_cacheable(request: Request, policy: CachePolicySnapshot) -> bool:
    """Whether an earlier answer may be given at all. Who asks for variety, by a temperature above the policy's, gets
    it; who says nothing of the temperature did not ask for it."""
    if request.operation in MEDIA:
        return False
    temperature = request.body.get("temperature")
    if temperature is None:
        return True
    if not isinstance(temperature, int | float) or isinstance(temperature, bool):
        return False
    # A float is a few 1e-16 off what was typed.
    return bool(temperature * 100 <= policy.max_temperature_percent + 1e-6)


def _place(plan: Plan, key: KeySnapshot, policy: CachePolicySnapshot) -> bytes:
    """Where an answer belongs. Each part says how long it is, so that no two places are spelled alike."""
    sharing, first, request = policy.sharing, plan.first, plan.request
    circle: tuple[str, ...] = ()
    if sharing == _OF_A_PROJECT:
        circle = (key.project_id,)
    elif sharing == _OF_A_KEY:
        circle = (key.id,)
    elif sharing == _OF_AN_END_USER:
        circle = (key.id, plan.controls.end_user)
    upstream, model = first.upstream, first.model
    return _spell(
        *(key.org_id, sharing, *circle, "|", request.operation, request.model, model.name),
        *(model.upstream_model, upstream.id, upstream.base_url, "stream" if request.is_stream else "whole"),
        *(() if request.original is None else (request.wire,)),
        *("usage" if request.wants_usage else "", str(request.max_output)),
    )


@lru_cache(maxsize=4_096)
def _spell(*parts: str) -> bytes:
    """Calls come from few places, again and again."""
    encoded = (part.encode("utf-8", "surrogatepass") for part in parts)
    return b"".join(b"%d:%b" % (len(part), part) for part in encoded)


def _canonical_fields(request: Request, upstream: UpstreamSnapshot) -> dict[str, Any]:
    defaults = _ALL_DEFAULTS if upstream.kind == _OPENAI else _DEFAULTS
    fields = {}
    for name, value in request.body.items():
        if value is None or name in _NOT_IN_THE_ANSWER:
            continue
        plain = _plain(value)
        if name in defaults and type(plain) is type(defaults[name]) and plain == defaults[name]:
            continue
        fields[name] = plain
    if "tools" not in fields and fields.get("tool_choice") in ("none", "auto"):
        del fields["tool_choice"]
    if request.operation is Operation.CHAT:
        # Of a message null means absent; deeper down, in a tool's schema, it may be a value.
        fields["messages"] = [
            {name: value for name, value in message.items() if value is not None} for message in fields["messages"]
        ]
    return fields


def _without_carriage(body: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name not in _NOT_IN_THE_ANSWER}


def _plain(value: Any) -> Any:
    """The value with each whole number spelled as one. What needs no change is not copied."""
    kind = type(value)
    if kind is str:
        return value
    if kind is float:
        return int(value) if value.is_integer() and -_EXACT < value < _EXACT else value
    if kind is list:
        return [_plain(item) for item in value]
    if kind is dict:
        return {name: _plain(item) for name, item in value.items()}
    return value


def _dump(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def _digest(kind: bytes, *parts: bytes) -> bytes:
    digest = hashlib.blake2b(_FORM + kind, digest_size=20)
    for part in parts:
        digest.update(b"%d:" % len(part))
        digest.update(part)
    return digest.digest()


def _find_question(request: Request) -> str:
    """The last message, where like words may have a like answer: a person's plain text, asked for one plain answer."""
    body = request.body
    if request.original is not None:
        return ""  # what its caller wrote may say more than a chat does
    if request.operation is not Operation.CHAT or request.choices != 1 or not request.is_plain:
        return ""
    if not _EXACT_ONLY.isdisjoint(body) and any(body.get(name) for name in _EXACT_ONLY):
        return ""
    last = body["messages"][-1]
    text = last.get("content")
    # A message with more than its text (a name, say) is another question.
    if last.get("role") != "user" or not isinstance(text, str) or len(last) != 2:
        return ""
    text = text.strip()
    # What holds a NUL is no words, and PostgreSQL cannot keep it.
    return text if len(text) <= MOST_SEMANTIC_CHARACTERS and "\x00" not in text else ""
