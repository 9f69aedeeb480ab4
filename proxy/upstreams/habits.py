"""What a server of OpenAI's format wants to find in a request, where servers differ. Pure.

Known by the upstream's kind, its host and the model; a tenant may say otherwise, and a server that refuses what we have
written teaches us.
"""

import re
from collections.abc import Set
from functools import lru_cache
from typing import Any, Final
from urllib.parse import urlsplit

from proxy.values.request import Operation, Request, Wire, wants_logprobs
from proxy.values.vendor import Habits, Refusal
from tenants.choices import Habit, UpstreamKind
from tenants.snapshots import UpstreamSnapshot

MAX_TOKENS: Final = "max_tokens"
MAX_COMPLETION_TOKENS: Final = "max_completion_tokens"
LIMITS: Final = (MAX_COMPLETION_TOKENS, MAX_TOKENS)
_OTHER: Final = {MAX_TOKENS: MAX_COMPLETION_TOKENS, MAX_COMPLETION_TOKENS: MAX_TOKENS}

#: models that refuse ``max_tokens``, whoever serves them
_NEWER_MODELS: Final = re.compile(r"(?:^|[/:.])(?:gpt-5|o[134](?:-|$))", re.IGNORECASE)
_OPENAIS_HOSTS: Final = ("api.openai.com", ".openai.azure.com", ".services.ai.azure.com")
#: hosts that refuse ``stream_options`` (BerriAI/litellm, pull request 35290)
_WITHOUT_STREAM_OPTIONS: Final = ("api.bytez.com", ".oci.oraclecloud.com")

_REFUSING_STATUSES: Final = frozenset({400, 422})
_NOT_KNOWN: Final = re.compile(
    r"unsupported|not support|unrecogni[sz]ed|unknown|unexpected|extra|not permitted|not allowed|forbidden"
    r"|cannot be set|mutually exclusive|deprecated|instead|not a valid|invalid (?:field|parameter|argument)"
)
#: the field is known, and its value too large or too small: no habit
_VALUE: Final = re.compile(
    r"at most|at least|less than|greater than|too (?:large|small|long)|range|exceed|must be (?:a|an) "
)


def find_habits(upstream: UpstreamSnapshot, model: str, learned: Set[Habit] = frozenset()) -> Habits:
    """The habits of an upstream with a model: as the tenant set them, else as learned, else as is usual."""
    usual = _usual(upstream.kind, upstream.base_url, model)
    given = upstream.habits
    if not given and not learned:
        return usual
    if Habit.OUTPUT_LIMIT in given:
        limit, keeps_place = str(given[Habit.OUTPUT_LIMIT]), False
    elif Habit.OUTPUT_LIMIT in learned:
        limit, keeps_place = _OTHER[usual.output_limit], False
    else:
        limit, keeps_place = usual.output_limit, usual.keeps_place
    return Habits(
        limit,
        keeps_place,
        bool(given.get(Habit.STREAM_OPTIONS, usual.stream_options and Habit.STREAM_OPTIONS not in learned)),
        bool(given.get(Habit.STREAM_FALSE, usual.stream_false and Habit.STREAM_FALSE not in learned)),
        logprobs=bool(given.get(Habit.LOGPROBS, usual.logprobs and Habit.LOGPROBS not in learned)),
        responses=bool(given.get(Habit.RESPONSES, usual.responses)),
        drop_unknown=bool(given.get(Habit.DROP_UNKNOWN)),
    )


def write_habits(body: dict[str, Any], request: Request, habits: Habits, max_output: int | None) -> None:
    """Write into a body what its upstream wants to find there, and ``max_output`` in one place only."""
    if request.is_stream:
        if habits.stream_options:
            options = body.get("stream_options")
            body["stream_options"] = {**(options if isinstance(options, dict) else {}), "include_usage": True}
    elif habits.stream_false and request.operation is not Operation.EMBEDDING and body.get("stream") is None:
        body["stream"] = False
    if request.is_judged and asks_logprobs(request, habits):
        # The older endpoint wants to know how many others besides.
        body["logprobs"] = True if request.operation is Operation.CHAT else 1
    if max_output is not None and request.operation is not Operation.EMBEDDING:
        name = limit_field(request, habits)
        body.pop(_OTHER[name], None)
        body[name] = max_output


def asks_logprobs(request: Request, habits: Habits) -> bool:
    """Whether we ask for the probabilities of an answer's tokens, and the caller has not."""
    return (
        request.is_judged
        and habits.logprobs
        and request.operation in {Operation.CHAT, Operation.COMPLETION}
        and not wants_logprobs(request, choose_wire(request, habits))
    )


def choose_wire(request: Request, habits: Habits) -> Wire:
    """Responses where the upstream takes them, else a chat."""
    return Wire.RESPONSES if habits.responses and request.wire is Wire.RESPONSES else Wire.CHAT


def limit_field(request: Request, habits: Habits) -> str:
    """Where our output limit stands."""
    if not habits.keeps_place:
        return habits.output_limit
    given = [name for name in LIMITS if request.body.get(name) is not None]
    if len(given) == 1:
        return given[0]
    if request.operation is Operation.COMPLETION:
        # the only name that this endpoint has to know
        return MAX_TOKENS
    return habits.output_limit


def learn(
    refusal: Refusal, status: int, request: Request, upstream: UpstreamSnapshot, habits: Habits, *, is_capped: bool
) -> Habit | None:
    """The habit that a refusal speaks of: something that we have written and the caller has not. None for any other,
    and for what the tenant has set."""
    if status not in _REFUSING_STATUSES:
        return None
    words = f"{refusal.message} {refusal.param or ''} {refusal.code}".lower()
    if not _NOT_KNOWN.search(words.replace("_", " ")) or _VALUE.search(words):
        return None
    body, found = request.body, None
    if asks_logprobs(request, habits) and re.search(r"log ?probs", words.replace("_", " ")):
        return None if Habit.LOGPROBS in upstream.habits else Habit.LOGPROBS
    if "stream_options" in words:
        if request.is_stream and habits.stream_options and not body.get("stream_options"):
            found = Habit.STREAM_OPTIONS
    elif re.search(rf"\b{limit_field(request, habits)}\b", words):
        if is_capped and request.operation is not Operation.EMBEDDING:
            found = Habit.OUTPUT_LIMIT
    elif re.search(r"\bstream\b", words) and habits.stream_false and body.get("stream") is None:
        found = Habit.STREAM_FALSE
    return None if found is None or found in upstream.habits else found


@lru_cache(maxsize=4_096)
def _usual(kind: str, base_url: str, model: str) -> Habits:
    """Every call asks, and taking an address apart costs more than its plan."""
    host = urlsplit(base_url).hostname or ""
    if kind == UpstreamKind.OPENAI:
        return Habits(
            MAX_COMPLETION_TOKENS,
            keeps_place=True,
            stream_options=True,
            stream_false=False,
            logprobs=_NEWER_MODELS.search(model) is None,
            responses=True,
        )
    is_newer = _is_among(host, _OPENAIS_HOSTS) or _NEWER_MODELS.search(model) is not None
    return Habits(
        MAX_COMPLETION_TOKENS if is_newer else MAX_TOKENS,
        keeps_place=False,
        stream_options=not _is_among(host, _WITHOUT_STREAM_OPTIONS),
        stream_false=True,
        logprobs=not is_newer,
    )


def _is_among(host: str, names: tuple[str, ...]) -> bool:
    return any(host == name or (name.startswith(".") and host.endswith(name)) for name in names)
