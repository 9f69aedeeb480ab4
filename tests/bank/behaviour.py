"""What a test may ask of the bank: how much to answer, how fast, and what to do wrong.

A behaviour is a JSON object. It comes in the request's own body as ``"bank": {...}`` (a proxy passes unknown fields
on), or from ``POST /bank/fault`` as the default or for the next k calls; where they name the same field the body wins
over the queue and the queue over the default. An unknown field or a wrong value is a 400 that names it.

========================  ============================================================================================
field                     meaning
========================  ============================================================================================
output_tokens             visible tokens of each choice (12)
reasoning_tokens          tokens of each choice that are billed and never shown (0); chat only
input_tokens              bill this many in place of the rule in ``answers.py``
cached_tokens             so many of the input tokens were cached (0)
logprob                   of every token, where probabilities are asked for (-0.25)
refuses_logprobs          400 where they are asked for, as OpenAI's models that think do (false)
tool_call                 answer with a call of the first tool (false)
silent_keys               of an answer whose schema wants several texts (each of ``output_tokens``), those that stay
                          empty
wide                      tokens of two to four bytes in UTF-8 in place of ASCII words (false)
pace_ms, first_ms         wait after each token (0); wait before the first byte (0), or until ``POST /bank/go``
burst                     tokens of a stream that are billed and written together (1)
on_disconnect             "stop" producing when the peer leaves, or "finish" and bill the whole answer ("stop")
report_usage, as_model    the usage object and the model name of the answer, whatever the bill says
fault                     a name from the table below, or a list of names that apply together
at                        the token at which the fault happens: so many visible tokens, over all choices, were sent
                          before it (1); in a whole answer so many are produced
at_byte                   for stall, reset and eof: so many bytes of the body are sent, in place of ``at``; a whole
                          answer that is given neither breaks in the middle of its body
status, url, retry_after  of http_error (500) and redirect (302); Location; Retry-After ("1")
by                        tokens over the limit for overrun (5); bytes for wrong_content_length (10, may be negative)
size                      bytes of long_line (10 MiB) and of gzip_bomb, unpacked (1 GiB)
terminate                 eof: end the chunked body properly first (false)
========================  ============================================================================================

========================  ============================================================================================
refused, nothing billed
========================  ============================================================================================
rate_limited              429 in OpenAI's shape with retry-after and x-ratelimit-*
http_error                ``status`` in OpenAI's shape; http_500, http_502 and http_503 for short
redirect                  ``status`` (302) to ``url``
not_json                  200 with an HTML page
------------------------  --------------------------------------------------------------------------------------------
billed up to ``at``, and no answer
------------------------  --------------------------------------------------------------------------------------------
error_after_tokens        500 after the tokens were produced and billed
slow_headers              never sends a byte; keeps the connection until the peer leaves
hang_up                   closes the connection without a byte
------------------------  --------------------------------------------------------------------------------------------
broken at ``at`` or ``at_byte``
------------------------  --------------------------------------------------------------------------------------------
stall                     sends no more and keeps the connection until the peer leaves
reset                     RST
eof                       a clean close, without the end of the answer
error_event               an event (or, for a whole answer, a 200 body) with an ``error`` object, and nothing after it
------------------------  --------------------------------------------------------------------------------------------
answered and billed in full, but
------------------------  --------------------------------------------------------------------------------------------
no_usage, zero_usage      no usage though asked for; all counts 0
cumulative_usage          running usage in every chunk
usage_before_finish       the usage chunk comes before the finish chunk
duplicate_final           the last event before [DONE] comes twice
no_done                   no [DONE]
crlf, cr                  line ends of events
multi_line                an event's JSON over several data: lines
comments                  comment lines between events
split_utf8                multi-byte tokens, each split over two writes
long_line, nul, garbage   token ``at`` is ``size`` bytes long; holds raw NUL bytes; is not JSON
gzip_bomb                 content-encoding: gzip, 1 GiB of harmless padding around the answer
wrong_content_length      content-length is off by ``by``, then the connection closes
overrun                   ``by`` tokens more than the call's max_tokens allows, for each choice
wrong_model               another model's name in the answer
========================  ============================================================================================
"""

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, fields
from http import HTTPStatus
from typing import Any, Literal

from tests.bank.http import BadRequest

REFUSALS = frozenset({"rate_limited", "http_error", "redirect", "not_json"})
NO_ANSWERS = frozenset({"error_after_tokens", "slow_headers", "hang_up"})
BREAKS = frozenset({"stall", "reset", "eof", "error_event"})
CHANGED_TOKENS = frozenset({"long_line", "nul", "garbage"})
FLAWS = CHANGED_TOKENS | {
    *("no_usage", "zero_usage", "cumulative_usage", "usage_before_finish", "duplicate_final", "no_done"),
    *("crlf", "cr", "multi_line", "comments", "split_utf8"),
    *("gzip_bomb", "wrong_content_length", "overrun", "wrong_model"),
}
FAULTS = REFUSALS | NO_ANSWERS | BREAKS | FLAWS


@dataclass(frozen=True, slots=True)
class Behaviour:
    """See the module's table."""

    output_tokens: int = 12
    reasoning_tokens: int = 0
    input_tokens: int | None = None
    cached_tokens: int = 0
    logprob: float = -0.25
    refuses_logprobs: bool = False
    tool_call: bool = False
    silent_keys: frozenset[str] = frozenset()
    wide: bool = False
    pace_ms: float = 0
    first_ms: float = 0
    burst: int = 1
    on_disconnect: Literal["stop", "finish"] = "stop"
    report_usage: Any = None
    as_model: str | None = None
    fault: frozenset[str] = frozenset()
    at: int | None = None
    at_byte: int | None = None
    status: int | None = None
    url: str = "http://127.0.0.1:9/"
    retry_after: str = "1"
    by: int | None = None
    size: int | None = None
    terminate: bool = False

    def one_of(self, group: frozenset[str]) -> str | None:
        """The one fault of a group whose members exclude each other."""
        return next(iter(self.fault & group), None)


def _whole(low: int, high: int) -> Callable[[Any], int]:
    def check(value: Any) -> int:
        if type(value) is not int or not low <= value <= high:
            raise ValueError(f"give a whole number from {low} to {high}")
        return value

    return check


def _of_type(kind: type, words: str) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        if type(value) is not kind:
            raise ValueError(f"give {words}")
        return value

    return check


def _milliseconds(value: Any) -> float:
    if type(value) not in {int, float} or not math.isfinite(value) or not 0 <= value <= 600_000:
        raise ValueError("give milliseconds from 0 to 600000")
    return float(value)


def _logprob(value: Any) -> float:
    if type(value) not in {int, float} or not -100 <= value <= 0:
        raise ValueError("give a number from -100 to 0")
    return float(value)


def _on_disconnect(value: Any) -> str:
    if value not in ("stop", "finish"):
        raise ValueError('give "stop" or "finish"')
    return str(value)


def _status(value: Any) -> int:
    if type(value) is not int or value < 300 or value not in set(HTTPStatus):
        raise ValueError("give a known HTTP status from 300 on")
    return value


def _header_text(value: Any) -> str:
    text = str(value) if type(value) in {int, str} else ""
    if not text or not text.isascii() or not text.isprintable():
        raise ValueError("give printable ASCII text for a header")
    return text


def _keys(value: Any) -> frozenset[str]:
    if not isinstance(value, list) or not all(isinstance(key, str) for key in value):
        raise ValueError("give a list of texts")
    return frozenset(value)


def _faults(value: Any) -> frozenset[str]:
    names = value if isinstance(value, list) else [value]
    if not names or not all(isinstance(name, str) and name in FAULTS for name in names):
        raise ValueError(f"give one or several of {', '.join(sorted(FAULTS))}")
    chosen = frozenset(names)
    if len(chosen & (REFUSALS | NO_ANSWERS)) > 1 or len(chosen & BREAKS) > 1:
        raise ValueError("these faults exclude each other")
    return chosen


_BOOLEAN = _of_type(bool, "true or false")
_COUNT = _whole(0, 1_000_000)
_CHECKS: dict[str, Callable[[Any], Any]] = {
    "output_tokens": _COUNT,
    "reasoning_tokens": _COUNT,
    "input_tokens": _whole(0, 1_000_000_000),
    "cached_tokens": _whole(0, 1_000_000_000),
    "logprob": _logprob,
    "refuses_logprobs": _BOOLEAN,
    "tool_call": _BOOLEAN,
    "silent_keys": _keys,
    "wide": _BOOLEAN,
    "pace_ms": _milliseconds,
    "first_ms": _milliseconds,
    "burst": _whole(1, 1_000_000),
    "on_disconnect": _on_disconnect,
    "report_usage": lambda value: value,
    "as_model": _of_type(str, "a model's name"),
    "fault": _faults,
    "at": _COUNT,
    "at_byte": _whole(0, 1 << 30),
    "status": _status,
    "url": _header_text,
    "retry_after": _header_text,
    "by": _whole(-(1 << 20), 1 << 20),
    "size": _whole(1, 1 << 34),
    "terminate": _BOOLEAN,
}
assert set(_CHECKS) == {field.name for field in fields(Behaviour)}


def parse_behaviour(orders: dict[str, Any]) -> Behaviour:
    """Read a behaviour. Raises BadRequest with ``param`` naming the field that is wrong."""
    orders = dict(orders)
    name = orders.get("fault")
    if isinstance(name, str) and name in {"http_500", "http_502", "http_503"}:
        orders |= {"fault": "http_error", "status": int(name[-3:])}
    checked = {}
    for field, value in orders.items():
        if field not in _CHECKS:
            raise BadRequest(f"bank.{field} is no field of a behaviour.", param=f"bank.{field}")
        if value is None:
            continue
        try:
            checked[field] = _CHECKS[field](value)
        except ValueError as error:
            raise BadRequest(f"bank.{field} cannot be {value!r:.80}: {error}.", param=f"bank.{field}") from error
    return Behaviour(**checked)


class Orders:
    """The behaviours ordered for calls to come: a default, and a queue of behaviours used up one a call."""

    def __init__(self) -> None:
        self.default: dict[str, Any] = {}
        self.queue: deque[dict[str, Any]] = deque()

    def take(self, own: Any) -> Behaviour:
        """The behaviour of the next call, whose own body says ``own``."""
        if own is not None and not isinstance(own, dict):
            raise BadRequest("bank is not an object.", param="bank")
        queued = self.queue.popleft() if self.queue else {}
        return parse_behaviour({**self.default, **queued, **(own or {})})
