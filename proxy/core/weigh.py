"""What a try at an upstream cost, and how we know.

A try whose outcome the upstream did not tell is charged at what is known of it, never at nothing that may have been
something: at its bound where the upstream can be asked for its bill later, else at the tokens that we counted. What
can be counted by nobody, such as sound or a vocabulary that we do not have, is charged at the most that it can be, and
called that.
"""

from typing import Final

from proxy.core import pricing, tokens
from proxy.core.answered import Answered, find_answered, has_tokens, is_usual, settle_images, settle_searches
from proxy.core.bounds import exact_bound
from proxy.core.compression.saved import as_it_was, saved_by
from proxy.core.savings import split
from proxy.values.attempt import NO_SAVINGS, Attempt, Certainty, Mechanism, PriceDoubt, Savings, Usage
from proxy.values.plan import Candidate, Hold
from proxy.values.request import DRAWING, Operation, Request
from proxy.values.vendor import AnswerReader
from tenants.choices import Tokenizer
from tenants.price_snapshots import DEFAULT_TIER, INPUT_CLASSES, OUTPUT_CLASSES

#: of what was asked, and of what was answered, so much is counted where the upstream reported nothing: in a thread
MOST_COUNTED: Final = 4 * 1024 * 1024
#: and so much where every other call waits meanwhile: at the end of a call that broke off
MOST_COUNTED_AT_ONCE: Final = 64 * 1024
#: finding a member of an enumeration costs as much as a sum, and every call asks
_EXACT: Final = Certainty.EXACT
_COUNTED: Final = Certainty.COUNTED
_BOUND: Final = Certainty.BOUND
_NOTHING: Final = Certainty.NOTHING
_UNUSED: Final = Usage()
_MODERATION: Final = Operation.MODERATION
_DOUBTED: Final = frozenset({Certainty.COUNTED, Certainty.BOUND})
_NO_INPUT = dict.fromkeys(INPUT_CLASSES, 0)
_NO_OUTPUT = dict.fromkeys((*OUTPUT_CLASSES, "reasoning"), 0)


def weigh(
    request: Request,
    candidate: Candidate,
    hold: Hold,
    number: int,
    reader: AnswerReader,
    status: int,
    error_code: str,
    certainty: Certainty,
    most_counted: int = MOST_COUNTED_AT_ONCE,
) -> Attempt:
    """What the attempt cost. What would have to be counted is charged at its bound where a bill will tell the truth,
    and where it is longer than ``most_counted`` bytes."""
    if certainty is _COUNTED and candidate.upstream.bill_path:
        certainty = _BOUND
    report = reader.report
    answered, used, cost = Answered(candidate.price), _UNUSED, 0
    if certainty is _BOUND:
        cost = _held(hold)
    elif certainty is not _NOTHING:
        most: int | None = None
        if certainty is _EXACT and report is not None:
            used = report.usage
        else:
            used, most, certainty = _count(request, candidate, hold, reader, most_counted)
        if most is None and is_usual(request, candidate, reader.model, reader.service_tier, used):
            cost = pricing.cost(used, candidate.price)
        elif most is None:
            used, answered = _settle(request, candidate, reader, used)
            cost = pricing.cost(used, answered.price, answered.service_tier or DEFAULT_TIER)
            if cost == 0 and PriceDoubt.UNPRICED_UNIT in answered.doubts and not has_tokens(used) and _held(hold):
                # What has a price, it does not count: sound that is billed by its tokens, say.
                cost, certainty = _held(hold), _BOUND
        else:
            cost = most
        if request.operation is _MODERATION and not any(answered.price.rates):
            # Its tokens cost nothing, however many they were.
            certainty = _EXACT
    is_as_asked = candidate.list_price is candidate.price and not request.shortened
    savings = NO_SAVINGS if is_as_asked else _attribute(request, candidate, used, answered, cost)
    doubts: tuple[str, ...] = answered.doubts
    if certainty is not _EXACT and certainty in _DOUBTED and report is not None and reader.doubt:
        doubts = (*doubts, reader.doubt)
    return Attempt(
        number=number,
        status=status,
        certainty=certainty,
        usage=used,
        cost=cost,
        error=error_code,
        # Speech, and some answers beside it, name no model: a bill has them under the one that was asked.
        response_model=reader.model or (candidate.model.upstream_model if cost or any(used) else ""),
        finish_reason=reader.finish_reason,
        savings=savings,
        service_tier=answered.service_tier,
        price=answered.price,
        doubts=doubts,
        model=candidate.model.name,
        upstream_id=candidate.upstream.id,
    )


def _settle(request: Request, candidate: Candidate, reader: AnswerReader, used: Usage) -> tuple[Usage, Answered]:
    """What is billed of an answer that is not of the usual kind, and at whose prices."""
    used, untold = settle_searches(request, candidate, used)
    if request.operation in DRAWING:
        used = settle_images(used, candidate.price)
    answered = find_answered(request, candidate, reader.model, reader.service_tier, used)
    return used, answered._replace(doubts=(*answered.doubts, *untold)) if untold else answered


def _attribute(request: Request, candidate: Candidate, used: Usage, answered: Answered, cost: int) -> Savings:
    """Why the attempt cost something else than its request as it came, at the model that was asked for."""
    if not any(used):
        return NO_SAVINGS
    tier = answered.service_tier or DEFAULT_TIER
    saved = saved_by(request)
    whole = as_it_was(used, saved) if saved else used
    uncompressed = pricing.cost(whole, answered.price, tier) if saved else cost
    is_routed = candidate.list_price is not candidate.price
    listed = pricing.cost(whole, candidate.list_price, tier) if is_routed else uncompressed
    if not saved:
        return {candidate.mechanism: listed - cost} if listed != cost else NO_SAVINGS
    return split(listed, [(candidate.mechanism, uncompressed), (Mechanism.COMPRESSION, cost)])


def is_unbilled(status: int, candidate: Candidate) -> bool:
    """A refusal costs nothing. A server error may have cost something, which only an upstream's bill can tell."""
    if status == 200:
        return False
    return 300 <= status < 500 or (status >= 500 and not candidate.upstream.bill_path)


def is_refused(reader: AnswerReader, candidate: Candidate) -> bool:
    """Whether a 200 was a refusal, and nothing was produced before it."""
    refusal = reader.refusal
    if refusal is None or reader.report is not None or reader.texts or reader.hides:
        return False
    return is_unbilled(refusal.status or 500, candidate)


def size_of(request: Request, reader: AnswerReader) -> int:
    """How much there may be to count, in bytes or characters."""
    return request.body_bytes + sum(map(len, reader.texts))


def _count(
    request: Request, candidate: Candidate, hold: Hold, reader: AnswerReader, most_counted: int
) -> tuple[Usage, int | None, Certainty]:
    """Our own count of what the upstream did not report: never more than was set aside for it. Where nothing can be
    counted, what it may have cost at most.

    What the upstream did report stays, also where it does not add up: it is more than we know.
    """
    report, tokenizer = reader.report, candidate.model.tokenizer
    used = Usage() if report is None else report.usage
    produced, is_bound = used.output_tokens, False
    if report is None or not report.has_output or (produced == 0 and (reader.texts or reader.hides)):
        if reader.hides:
            return Usage(), _held(hold), Certainty.BOUND
        text = "".join(reader.texts)
        is_long = len(text) > most_counted
        produced = tokens.count_text(text, Tokenizer.BYTES if is_long else tokenizer)
        if candidate.is_capped:
            produced = min(produced, hold.max_output * request.choices)
        used = used._replace(**_NO_OUTPUT)._replace(output=produced)
        is_bound = produced > 0 and (is_long or not reader.is_countable or tokenizer == Tokenizer.BYTES)
    if report is None or not report.has_input:
        is_long = request.body_bytes > most_counted
        bound = candidate.bound if is_long else exact_bound(request, candidate)
        if bound.is_open or tokens.has_media(request):
            # Nobody can say of what kind the tokens were, or how many tools have brought in.
            most = pricing.bound_cost(bound, -(-produced // request.choices))
            return Usage(), min(_held(hold), most), Certainty.BOUND
        used = used._replace(**_NO_INPUT)._replace(input=bound.input_tokens)
        is_bound = is_bound or tokenizer == Tokenizer.BYTES or not bound.is_exact
    return used, None, Certainty.BOUND if is_bound else Certainty.COUNTED


def _held(hold: Hold) -> int:
    """What is held, not the plan's own bound: the input may have been counted exactly when the budget was tight."""
    return hold.for_attempt or hold.amount
