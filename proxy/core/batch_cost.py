"""What a line costs that an upstream's own Batch API answered: its price for the tier of jobs that are handed in."""

from typing import Final

from proxy.core import pricing
from proxy.core.demand import find_demand
from proxy.core.savings import add_up, split
from proxy.core.weigh import weigh
from proxy.values.attempt import Attempt, Certainty, Mechanism
from proxy.values.plan import Bound, Candidate, Hold
from proxy.values.request import Endpoint, Request
from proxy.values.vendor import AnswerReader
from tenants.choices import Habit, UpstreamKind

TIER: Final = "batch"
#: what an upstream's own batches are given: what is billed by tokens
HANDED_ON: Final = (Endpoint.CHAT, Endpoint.COMPLETIONS, Endpoint.EMBEDDINGS, Endpoint.RESPONSES)


def runs_batches(candidate: Candidate, endpoint: Endpoint) -> bool:
    """Whether a candidate's upstream runs batches of an endpoint's calls itself, at a price that is known."""
    upstream = candidate.upstream
    if endpoint not in HANDED_ON or (endpoint is Endpoint.RESPONSES and not upstream.habits.get(Habit.RESPONSES, True)):
        return False  # or its calls are written as chats, which its batches take at another address
    is_openais = upstream.kind == UpstreamKind.OPENAI and "?" not in upstream.base_url
    return is_openais and candidate.price.find_tier(TIER) is not None


def bound_in_batch(request: Request, candidate: Candidate) -> Bound:
    """The candidate's bound at the price of the tier. Raises what ``find_demand`` does."""
    demand = find_demand(request, candidate.model, candidate.price, candidate.upstream)._replace(tiers=(TIER,))
    bound = candidate.bound
    return pricing.make_bound(
        candidate.price,
        input_tokens=bound.input_tokens,
        choices=bound.choices,
        max_output=bound.max_output,
        is_exact=bound.is_exact,
        demand=demand,
    )


def weigh_in_batch(
    request: Request, candidate: Candidate, hold: Hold, reader: AnswerReader, status: int, error_code: str
) -> Attempt:
    """What a line cost, and what it would have cost as a call of its own: the difference was saved by the batch.

    Nothing where it was refused.
    """
    certainty = reader.certainty if status == 200 else Certainty.NOTHING
    attempt = weigh(request, candidate, hold, 1, reader, status, error_code, certainty)
    if not any(attempt.usage) or attempt.price is None:
        return attempt
    usual = pricing.cost(attempt.usage, attempt.price)
    saved = split(usual, [(Mechanism.BATCH, attempt.cost)])
    # What another model saved was reckoned at the tier's price, so that it stands beside this.
    return attempt._replace(savings=add_up([attempt.savings, saved]))
