"""Short questions of one key and end user under one system prompt, asked in one call where their route says so."""

from proxy.attempts.gathering import Gathering, Group, NotTakenApart, Part, Signed, name_parts, read_json
from proxy.core import prompt_packs
from proxy.core.weigh import weigh
from proxy.edges.entry import Entry
from proxy.upstreams.vendors import vendor_of
from proxy.values.plan import Plan
from proxy.values.routing import Arm


class Packs(Gathering):
    """Gathers short questions."""

    async def sign(self, plan: Plan, entry: Entry) -> Signed | None:
        """Calls go together that a route has sent to the same model, and that differ in their questions alone."""
        routing = plan.routing
        if routing is None or not routing.route.pack_window_ms or routing.arm is not Arm.ROUTED or plan.is_cascade:
            return None
        if plan.rungs or plan.delay_ms or (question := prompt_packs.find_question(plan.request)) is None:
            return None
        candidate = plan.first
        # What is short is told by its tokens; their vocabulary is not read on the loop, which would keep all others.
        await self._counting.load(candidate.model.tokenizer)
        key_id, end_user = entry.key.id, plan.controls.end_user
        name = prompt_packs.sign(plan.request, candidate, question, key_id=key_id, end_user=end_user)
        if name is None:
            return None
        route = routing.route
        return Signed((route.id, name), [question], route.pack_window_ms, route.pack_most, prompt_packs.MOST_BYTES)

    async def ask_once(self, group: Group) -> list[Part]:
        """Ask all questions, and give each call the answer to its own."""
        members = group.members
        requests, holds = [one.request for one in members], [one.hold for one in members]
        questions = [one.inputs[0] for one in members]
        packed = prompt_packs.pack(requests, questions, members[0].candidate, holds)
        if packed is None or self._is_unsaid(packed):
            return [Part() for _ in members]
        asked = await self.ask_as_one(group, packed.request, packed.candidate, packed.max_output)
        tokenizer = packed.candidate.model.tokenizer
        answers: list[str | None] = [None] * len(members)
        answer, text = {}, ""
        if asked.body is not None:
            try:
                answer = read_json(asked.body)
            except NotTakenApart:
                asked.error_code = "upstream_malformed"
            text = prompt_packs.find_text(answer)
            found = prompt_packs.read_answers(text, len(members))
            answers = [
                prompt_packs.check_length(one, request, tokenizer) for one, request in zip(found, requests, strict=True)
            ]
        reader, hold = asked.reader, packed.hold
        whole = weigh(
            packed.request, packed.candidate, hold, 1, reader, asked.status, asked.error_code, asked.certainty
        )
        attempts = name_parts(prompt_packs.share(whole, packed, requests, holds, text, answers), asked)
        parts = []
        for place, (member, attempt, said) in enumerate(zip(members, attempts, answers, strict=True), 1):
            member.entry.note_pack(len(members), is_answered=said is not None)
            body = None if said is None else prompt_packs.write_answer(answer, place, said, attempt.usage)
            parts.append(Part(attempt, body))
        return parts

    def _is_unsaid(self, packed: prompt_packs.Pack) -> bool:
        """Whether the upstream's format cannot say what a pack asks for."""
        upstream, model = packed.candidate.upstream, packed.candidate.model.upstream_model
        vendor = vendor_of(upstream.kind)
        habits = vendor.find_habits(upstream, model, self._upstreams.refused_habits.of(upstream.id, model))
        return any(vendor.find_unsaid(packed.request, vendor.choose_wire(packed.request, habits)).fields)
