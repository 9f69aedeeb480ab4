"""Whether a rung's answer is given, or the next rung asked: hard checks first, then how sure the answer is.

How sure is what was learned of the model's answers; before anything was learned, the geometric mean of its tokens'
probabilities, which is no calibrated number and says so. Where neither is there, nothing tells, and the next rung is
asked, unless the route has samples asked for (``agreement``).
"""

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

from proxy.core.pricing import cost
from proxy.core.routes.agreement import TEMPERATURE, can_be_sampled
from proxy.core.routes.answer_checks import Failure, check_arithmetic, find_failure
from proxy.core.routes.cascade import Confidence, rate_answer, should_escalate
from proxy.core.routes.router import Router, predict
from proxy.core.routes.said import Said
from proxy.core.routes.texts import prompt_of
from proxy.values.answer import Answer
from proxy.values.plan import Candidate
from proxy.values.request import Request
from tenants.route_snapshots import RouteSnapshot

#: how often the next rung is right, where that was not learned
STRONG_RIGHT: Final = 0.95
#: an answer with a wrong sum in it is right about half as often as one without (docs/quality.md's GSM8K)
WRONG_SUM: Final = 0.5
_LENGTH: Final = frozenset({"length", "max_tokens"})


class Learned(NamedTuple):
    """What was learned about a rung's answers, and how often the next one is right: of all prompts, and ``strong`` of
    one; and the call's task."""

    confidence: Confidence
    strong_right: float = STRONG_RIGHT
    strong: Router | None = None
    task: str = ""


class Agreement(NamedTuple):
    """How many samples said what the answer says, and of how many."""

    agreed: int
    of: int


class Verdict(NamedTuple):
    """Whether an answer is given, how likely it is right, None where nothing tells, and why, in words."""

    is_good: bool
    confidence: float | None
    why: str


def judge(
    request: Request,
    answer: Answer,
    said: Said,
    route: RouteSnapshot,
    after: Candidate,
    learned: Learned | None,
    agreement: Agreement | None = None,
    *,
    breaks_schema: bool = False,
) -> Verdict:
    """Judge a rung's answer. ``after``: who is asked next where it does not do; ``agreement``: what samples said, where
    nothing else tells; ``breaks_schema``: it is not what the request's schema wants."""
    failure = _find_failure(request, answer, said, breaks_schema)
    if failure is not None:
        return Verdict(False, 0.0, f"failed: {failure.value.replace('_', ' ')}")
    confidence, how = rate(request, said, learned)
    if confidence is None and agreement is not None:
        confidence, how = agreement.agreed / agreement.of, f", {agreement.agreed} of {agreement.of} samples agree"
    if confidence is None:
        return Verdict(False, None, "may be wrong: nothing tells how sure it is")
    told = f"{confidence:.3f} sure{how}"
    if not route.answer_worth:
        floor = route.confidence_permille / 1000
        is_good = confidence >= floor
        return Verdict(
            is_good, confidence, f"{told}, {floor:.2f} is enough" if is_good else f"{told}, below {floor:.2f}"
        )
    strong = expect_strong(request, learned)
    price = cost(answer.usage, after.price)
    if should_escalate(confidence, strong, route.answer_worth, price):
        return Verdict(False, confidence, f"{told}, and {after.model.name} worth its price")
    return Verdict(True, confidence, f"{told}, and {after.model.name} not worth its price")


def expect_strong(request: Request, learned: Learned | None) -> float:
    """How likely the next rung's answer is right, from 0 to 1: what it would not get right either need not go there."""
    if learned is None:
        return STRONG_RIGHT
    if learned.strong is None or (found := predict(learned.strong, prompt_of(request), learned.task)) is None:
        return learned.strong_right
    return min(max(found.value, 0.0), 1.0)


def wants_samples(
    request: Request,
    answer: Answer,
    said: Said,
    route: RouteSnapshot,
    learned: Learned | None,
    *,
    breaks_schema: bool = False,
) -> bool:
    """Whether the same model is asked again to see how sure its answer is: where the route pays for that, and only
    where nothing else tells and no hard check has failed."""
    if not route.agreement_samples or not can_be_sampled(said):
        return False
    return rate(request, said, learned)[0] is None and _find_failure(request, answer, said, breaks_schema) is None


def ask_again(request: Request) -> Request:
    """The request as a sample is asked for: at a temperature at which a model that is not sure says something else."""
    given = request.body.get("temperature")
    own = given if isinstance(given, int | float) and not isinstance(given, bool) else 0
    said = {"temperature": max(own, TEMPERATURE)}
    body = {name: value for name, value in request.body.items() if name != "seed"}
    original = request.original
    if original is not None:
        original = original._replace(body=original.body | said)
    return request._replace(body=body | said, original=original, is_judged=False)


def _find_failure(request: Request, answer: Answer, said: Said, breaks_schema: bool) -> Failure | None:
    return find_failure(
        said.text,
        _reason_to_end(request, answer),
        wants_json=_wants_json(request),
        breaks_schema=breaks_schema,
        tool_arguments=said.tool_arguments,
    )


def rate(request: Request, said: Said, learned: Learned | None) -> tuple[float | None, str]:
    """How likely an answer is right, and a word where that is not calibrated."""
    if learned is not None:
        question = prompt_of(request)
        return rate_answer(learned.confidence, question, said.text, logprobs=said.logprobs, task=learned.task), ""
    guessed = guess(said)
    return guessed, "" if guessed is None else ", uncalibrated"


def guess(said: Said) -> float | None:
    """How likely an answer is right where nothing was learned of its model's; None where nothing tells."""
    mean = mean_probability(said.logprobs)
    if mean is None:
        return None
    return mean * WRONG_SUM if check_arithmetic(said.text).wrong else mean


def mean_probability(logprobs: Sequence[float | None]) -> float | None:
    """The geometric mean of tokens' probabilities. Those that are no number, or more than certain, are left out, as
    servers write such things; None when none is left."""
    known = [value for value in logprobs if value is not None and math.isfinite(value) and value <= 0]
    return math.exp(sum(known) / len(known)) if known else None


def _reason_to_end(request: Request, answer: Answer) -> str | None:
    """Where the caller's own limit cut an answer off, it would cut the next one's off too."""
    is_callers = answer.finish_reason in _LENGTH and request.max_output is not None
    return None if is_callers else answer.finish_reason


def _wants_json(request: Request) -> bool:
    wanted = request.body.get("response_format")
    return isinstance(wanted, dict) and wanted.get("type") in {"json_object", "json_schema"}
