"""Embeddings calls of one tenant and model that come within a few milliseconds, asked as one."""

import copy
from functools import partial
from math import isfinite
from typing import Any

from proxy.attempts.gathering import Asked, Gathering, Group, Member, NotTakenApart, Part, Signed, name_parts
from proxy.core import merging, pricing
from proxy.core.answered import find_answered
from proxy.core.merging import NotSplit
from proxy.core.weigh import weigh
from proxy.core.weight import SMALL_BYTES
from proxy.edges.counting import run_whole
from proxy.edges.entry import Entry
from proxy.upstreams import lenient_json, vectors
from proxy.values.attempt import Attempt, Certainty, Usage
from proxy.values.plan import Plan
from proxy.values.vendor import AnswerReader, Report
from tenants.price_snapshots import DEFAULT_TIER


class Merges(Gathering):
    """Gathers embeddings calls."""

    async def sign(self, plan: Plan, entry: Entry) -> Signed | None:
        """Calls go together that differ in their inputs alone."""
        candidate = plan.candidates[0]
        if not candidate.model.merge_window_ms or (inputs := merging.find_inputs(plan.request)) is None:
            return None
        name = merging.sign(plan.request, candidate, inputs)
        if name is None:
            return None
        return Signed(name, inputs, candidate.model.merge_window_ms, merging.MOST_INPUTS, merging.MOST_BYTES)

    async def ask_once(self, group: Group) -> list[Part]:
        """Ask for all inputs, and give each call its vectors."""
        members, candidate = group.members, group.members[0].candidate
        request = merging.merge([one.request for one in members], [one.inputs for one in members])
        asked = await self.ask_as_one(group, request, candidate)
        tokenizer = candidate.model.tokenizer
        weights = await self._counting.run(
            group.size,
            lambda: [merging.weigh_inputs(one.inputs, tokenizer) for one in members],
            lambda: [max(1, one.request.body_bytes) for one in members],
            whose=group.org.id,
            vocabulary=tokenizer,
        )
        bodies: list[bytes] | None = None
        if asked.body is not None:
            report = asked.reader.report
            shares = merging.share_out(report.usage.input_tokens if report else 0, weights)
            try:
                counts = [len(one.inputs) for one in members]
                bodies = await _split(asked.body, counts, shares)
            except (NotSplit, NotTakenApart):
                asked.error_code = "upstream_malformed"
        return _share(members, asked, weights, bodies)


def _share(members: list[Member], asked: Asked, weights: list[int], bodies: list[bytes] | None) -> list[Part]:
    """Each call's part of the answer and of its cost."""
    reader, report = asked.reader, asked.reader.report
    if asked.certainty is not Certainty.EXACT or report is None:
        # What we count ourselves is counted for each.
        attempts = [_weigh(one, reader, asked) for one in members]
    else:
        first = members[0]
        # At the price of the model that did answer, as each part is.
        answered = find_answered(first.request, first.candidate, reader.model, reader.service_tier, report.usage)
        cost = pricing.cost(report.usage, answered.price, answered.service_tier or DEFAULT_TIER)
        usages = merging.share_usage(report.usage, weights)
        costs = merging.share_out(cost, weights)
        attempts = [
            _weigh(one, _part_of(reader, report, used), asked)._replace(cost=nanos)
            for one, used, nanos in zip(members, usages, costs, strict=True)
        ]
    answers: list[bytes | None] = [None] * len(members) if bodies is None else [*bodies]
    return list(map(Part, name_parts(attempts, asked, weights), answers))


async def _split(body: bytes, counts: list[int], shares: list[int]) -> list[bytes]:
    """Each call's answer. Raises NotSplit and NotTakenApart."""
    split = partial(_split_now, body, counts, shares)
    return split() if len(body) <= SMALL_BYTES else await run_whole(split)


def _split_now(body: bytes, counts: list[int], shares: list[int]) -> list[bytes]:
    try:
        answer = vectors.read(body)
    except lenient_json.Unreadable as error:
        raise NotTakenApart from error
    if _has_no_number(answer):
        # Written anew it would be null: each has it from the upstream as it is written there.
        raise NotTakenApart
    return merging.split_answer(answer, counts, shares)


def _has_no_number(answer: Any) -> bool:
    """Whether a vector holds NaN or an infinity, which JSON cannot carry."""
    data = answer.get("data") if isinstance(answer, dict) else None
    for item in data if isinstance(data, list) else ():
        vector = item.get("embedding") if isinstance(item, dict) else None
        if isinstance(vector, list) and not all(isfinite(one) for one in vector if type(one) is float):
            return True
    return False


def _part_of(reader: AnswerReader, report: Report, used: Usage) -> AnswerReader:
    """A reader of an answer that used so much."""
    part: Any = copy.copy(reader)
    part.report = report._replace(usage=used)
    found: AnswerReader = part
    return found


def _weigh(member: Member, reader: AnswerReader, asked: Asked) -> Attempt:
    return weigh(
        member.request, member.candidate, member.hold, 1, reader, asked.status, asked.error_code, asked.certainty
    )
