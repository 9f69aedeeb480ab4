"""Embeddings calls made one, and its answer taken apart again: what comes of it to whom, in vectors and in money."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import orjson

from proxy.core import tokens
from proxy.values.attempt import Usage
from proxy.values.plan import Candidate
from proxy.values.request import Operation, Request
from tenants.price_snapshots import PriceSnapshot

#: as many inputs as the strictest of the well-known servers takes at once
MOST_INPUTS: Final = 512
MOST_BYTES: Final = 512 * 1024


class Signature(NamedTuple):
    """What calls must have alike to be one: who is asked, at which price, and everything of the body but the inputs. A
    call that came a moment later may have another price, and each is billed at its own."""

    upstream_id: str
    model: str
    price: PriceSnapshot
    is_tokens: bool
    rest: bytes


class NotSplit(Exception):
    """The answer does not have one vector for each input."""


def find_inputs(request: Request) -> list[Any] | None:
    """The inputs of an embeddings call, or None where they cannot be told apart: one text, or one list of token ids, is
    a batch of one."""
    value = request.body.get("input")
    if isinstance(value, str):
        return [value]
    if not isinstance(value, list) or not value:
        return None
    if all(isinstance(one, str) for one in value) or all(isinstance(one, list) for one in value):
        return value
    return [value] if all(isinstance(one, int) for one in value) else None


def sign(request: Request, candidate: Candidate, inputs: Sequence[Any]) -> Signature | None:
    """The call's signature; None where it goes alone: it is no embeddings call, too large, or cannot be written."""
    if request.operation is not Operation.EMBEDDING or len(inputs) > MOST_INPUTS or request.body_bytes > MOST_BYTES:
        return None
    rest = {name: value for name, value in request.body.items() if name not in {"input", "model"}}
    try:
        written = orjson.dumps(rest, option=orjson.OPT_SORT_KEYS)
    except TypeError:
        return None
    is_tokens = not isinstance(inputs[0], str)
    return Signature(candidate.upstream.id, candidate.model.name, candidate.price, is_tokens, written)


def merge(requests: Sequence[Request], inputs: Sequence[Sequence[Any]]) -> Request:
    """One request for all inputs, in the order in which the calls came."""
    together = [one for each in inputs for one in each]
    return requests[0]._replace(
        body=requests[0].body | {"input": together},
        body_bytes=sum(request.body_bytes for request in requests),
        choices=len(together),
    )


def weigh_inputs(inputs: Sequence[Any], tokenizer: str) -> int:
    """How large a call's part is: its tokens by our own count, or bytes where we do not have the vocabulary; at least
    1."""
    return max(1, sum(tokens.count_text(one, tokenizer) if isinstance(one, str) else len(one) for one in inputs))


def share_out(total: int, weights: Sequence[int]) -> list[int]:
    """A whole number in parts by weight; the parts make the whole."""
    whole, parts, before, so_far = sum(weights), [], 0, 0
    for weight in weights:
        so_far += weight
        upto = total * so_far // whole
        parts.append(upto - before)
        before = upto
    return parts


def share_usage(used: Usage, weights: Sequence[int]) -> list[Usage]:
    """A usage in parts by weight; of each class the parts make the whole."""
    return [Usage(*each) for each in zip(*(share_out(total, weights) for total in used), strict=True)]


def take_part(total: int, part: tuple[int, int, int]) -> int:
    """The share of a whole number that falls to the part from ``start`` to ``end`` of ``whole``: the shares of all
    parts add up to the number."""
    start, end, whole = part
    return total * end // whole - total * start // whole


def split_answer(answer: Any, counts: Sequence[int], shares: Sequence[int]) -> list[bytes]:
    """Each call's answer: ``counts`` inputs of the whole, ``shares`` of its tokens. Raises NotSplit."""
    try:
        vectors = {item["index"]: item for item in answer["data"]}
        rest = {name: value for name, value in answer.items() if name not in {"data", "usage"}}
        bodies, first = [], 0
        for count, share in zip(counts, shares, strict=True):
            items = [vectors[first + place] | {"index": place} for place in range(count)]
            usage = {"prompt_tokens": share, "total_tokens": share}
            bodies.append(orjson.dumps({**rest, "data": items, "usage": usage}))
            first += count
    except (TypeError, KeyError, AttributeError) as error:
        raise NotSplit from error
    return bodies
