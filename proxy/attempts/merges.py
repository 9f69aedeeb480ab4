"""Embeddings calls of one tenant and model that come within a few milliseconds, asked as one."""

import copy
from typing import Any

from proxy.attempts.gathering import Asked, Gathering, Group, Member, NotTakenApart, Part, Signed, read_json
from proxy.core import merging, pricing
from proxy.core.merging import NotSplit
from proxy.core.weigh import weigh
from proxy.edges.entry import Entry
from proxy.values.attempt import Attempt, Certainty
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
        await self._counting.load(candidate.model.tokenizer)
        weights = [merging.weigh_inputs(one.inputs, candidate.model.tokenizer) for one in members]
        bodies: list[bytes] | None = None
        if asked.body is not None:
            report = asked.reader.report
            shares = merging.share_out(report.usage.input_tokens if report else 0, weights)
            try:
                counts = [len(one.inputs) for one in members]
                bodies = merging.split_answer(read_json(asked.body), counts, shares)
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
        price = members[0].candidate.price
        cost = pricing.cost(report.usage, price, reader.service_tier or DEFAULT_TIER)
        shares = merging.share_out(report.usage.input, weights)
        costs = merging.share_out(cost, weights)
        attempts = [
            _weigh(one, _part_of(reader, report, share), asked)._replace(cost=nanos)
            for one, share, nanos in zip(members, shares, costs, strict=True)
        ]
    answers: list[bytes | None] = [None] * len(members) if bodies is None else [*bodies]
    return [Part(attempt._replace(packed=len(members)), body) for attempt, body in zip(attempts, answers, strict=True)]


def _part_of(reader: AnswerReader, report: Report, tokens: int) -> AnswerReader:
    """The reader of an answer in which so many tokens were used."""
    part: Any = copy.copy(reader)
    part.report = report._replace(usage=report.usage._replace(input=tokens))
    found: AnswerReader = part
    return found


def _weigh(member: Member, reader: AnswerReader, asked: Asked) -> Attempt:
    return weigh(
        member.request, member.candidate, member.hold, 1, reader, asked.status, asked.error_code, asked.certainty
    )
