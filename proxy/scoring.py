"""Asks a tenant's model how surprising each word of a prompt is: completions that echo the prompt with its tokens' log
probabilities, as vLLM's server gives them. What that costs is a row of kind ``scoring``.
"""

from collections.abc import Sequence
from typing import Any, Final

import orjson

from proxy.core.compression.perplexity import ScoredToken
from proxy.dialects.openai_chat import parse_request
from proxy.edges.entry import Entry
from proxy.errors import ApiError
from proxy.own_call import own_call
from proxy.routing.compressor import ScoringFailed
from proxy.values.request import CacheControl, Controls, Endpoint
from proxy.wiring import Edges

#: the kind of a scoring's row
SCORING: Final = "scoring"


async def score_text(edges: Edges, call: Entry, controls: Controls, scorer: str, text: str) -> Sequence[ScoredToken]:
    """The tokens of a text with their log probabilities, by the model ``scorer``. Raises ScoringFailed."""
    body = {"model": scorer, "prompt": text, "max_tokens": 1, "temperature": 0, "echo": True, "logprobs": 0}
    request = parse_request(Endpoint.COMPLETIONS, orjson.dumps(body))
    # Of the same end user and run, so that what stops those stops it, and counted where they are.
    own = Controls(controls.tags, controls.end_user, session=controls.session, cache=CacheControl(no_store=True))
    asked = own_call(edges, call, request, own, kind=SCORING, endpoint=Endpoint.COMPLETIONS, is_waited_for=True)
    try:
        async with asked as (_, answer):
            return read_scores(answer.body, text)
    except ApiError as error:
        raise ScoringFailed(error.message) from error


def read_scores(body: bytes, text: str) -> list[ScoredToken]:
    """The prompt's tokens of an answer that echoes it. Raises ScoringFailed where they are not those of the text: a
    mark that a model puts before every prompt is passed over, and what was written behind it."""
    try:
        logprobs = orjson.loads(body)["choices"][0]["logprobs"]
        pairs = list(zip(logprobs["tokens"], logprobs["token_logprobs"], strict=True))
    except (orjson.JSONDecodeError, KeyError, IndexError, TypeError, ValueError) as error:
        raise ScoringFailed("The scorer's answer has no log probabilities of the prompt.") from error
    scored: list[ScoredToken] = []
    place = 0
    for number, (token, logprob) in enumerate(pairs):
        if place == len(text):
            break
        if not isinstance(token, str) or not token or not text.startswith(token, place):
            if number == 0:
                continue
            raise ScoringFailed("The scorer's tokens are not those of the prompt.")
        scored.append(ScoredToken(place, place + len(token), _number(logprob)))
        place += len(token)
    if place < len(text):
        raise ScoringFailed("The scorer's answer does not echo the whole prompt.")
    return scored


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
