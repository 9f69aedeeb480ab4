"""A batch on an upstream that runs batches itself: handed on, asked for now and then, and settled line by line at the
price of its tier.

Each step is noted before the next, and may be done twice: the file is handed on again, a batch that was made without
our hearing of it is found by its mark, and a line that was settled has had its share, so that it is settled no second
time.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

import orjson

from costhub.lib import clock, failpoints
from costhub.lib.errors import AppError
from costhub.lib.net import Unreachable
from proxy.batches import store
from proxy.batches.finish import GONE_LINE, GONE_TEXT
from proxy.batches.ids import line_id, object_path, upstream_path
from proxy.batches.line_request import parse_line
from proxy.batches.model import Batch, BatchLine
from proxy.batches.pools import controls_of
from proxy.batches.remote_answers import OVER, Successes, code_of, read_answer, read_response, tell_why
from proxy.batches.remote_api import Refused, RemoteBatches, check_id, id_of
from proxy.batches.results import Result, save_results
from proxy.batches.saver import InThread
from proxy.batches.sealed_files import SealedFiles
from proxy.batches.take_back import mark_asked
from proxy.core.batch_cost import TIER, weigh_in_batch
from proxy.core.batch_lines import dump_answer, dump_failure
from proxy.core.deadlines import END_WITHIN_MS
from proxy.core.plan import make_plan
from proxy.edges.draw import DRAWN_BEFORE, draw
from proxy.upstreams.vendors import vendor_of
from proxy.values.plan import Candidate, Hold, Plan
from proxy.values.request import Endpoint, Request
from proxy.values.vendor import AnswerReader, Habits, NotAnAnswer
from proxy.wiring import Edges
from tenants.sealed_rows import Sealer
from tenants.snapshots import KeySnapshot, OrgSnapshot

_AT_ONCE: Final = 64
_SHORT_PAUSE: Final = timedelta(seconds=2)
_LONGEST_PAUSE: Final = timedelta(minutes=1)
#: so long a batch is looked for of whose making nobody has heard
_LOOKED_FOR_MS: Final = 60_000
#: its end is wanted, and its upstream has been asked since
_ENDING: Final = "ending"
#: so often files are read that break off
_MOST_READINGS: Final = 5
#: beside two for each line, so many lines of a file are read
_MORE_LINES: Final = 1_000
#: errors of lines that were never asked: these end with their batch
_WITH_THE_BATCH: Final = frozenset({"batch_expired", "batch_cancelled"})
_LONGEST_CODE: Final = 200
_NOT_ASKED: Final = "This request was not asked before the batch was cancelled."

Json = dict[str, Any]


@dataclass(slots=True)
class Remote:
    """One batch, as a worker brings it on when it ``is_due``."""

    batch: Batch
    api: RemoteBatches
    edges: Edges
    key: KeySnapshot
    org: OrgSnapshot
    endpoint: Endpoint
    in_thread: InThread
    #: it is to end now, with what it has
    is_ending: bool = False

    async def step(self) -> bool:
        """Do what can be done now. True when every line is out. Raises AppError where the upstream is out of reach."""
        try:
            if "batch" not in self.batch.remote:
                if self.is_ending and "made" not in self.batch.remote:
                    return await self._end("cancelled", _NOT_ASKED)
                if not await self._hand_on():
                    if self.batch.status == store.CANCELLING and self._is_not_made:
                        return await self._end("cancelled", _NOT_ASKED)
                    await self._pause()
                    return False
            found = await self._look()
        except Refused as error:
            return await self._end("upstream_refused", str(error))
        except FileNotFoundError:
            return await self._end(GONE_LINE, GONE_TEXT)
        except AppError:
            await self._pause()
            raise
        status = str(found.get("status"))
        if status not in OVER:
            await self._pause()
            return False
        try:
            is_whole = await self._settle_files(found)
        except Refused as error:
            await self._read_again_later(has_ended=error.is_unknown)
            raise Unreachable(str(error)) from error
        except AppError:
            await self._pause()
            raise
        if not is_whole:
            await self._read_again_later(has_ended=True)
            raise Unreachable("The upstream's file of answers breaks off.")
        text = tell_why(found) or f"The upstream's batch ended as {status[:40]} without an answer to this request."
        return await self._end(code_of(status), text)

    async def _settle_files(self, found: Json) -> bool:
        """Settle what its upstream has answered. False where its files have fewer answers than it says, or end in the
        middle of one, and lines are without theirs: these may have been answered, and billed."""
        successes, is_cut = Successes(), False
        for name in ("output_file_id", "error_file_id"):
            if (file_id := found.get(name)) is not None:
                is_broken = await self._settle_all(self.api.read_lines(check_id(file_id)), successes)
                is_cut = is_cut or is_broken
        if not is_cut and not successes.are_fewer_than_told(found):
            return True
        left: int = await self.in_thread(store.count_open, self.batch)
        return left == 0

    async def _read_again_later(self, *, has_ended: bool) -> None:
        """Its files are read again after a while. What they do not say at the last of several readings, nobody will
        say: it is charged as what an upstream is silent about, by who brings the batch on."""
        readings = int(self.batch.remote.get("readings", 0)) + has_ended
        known: Json = {"readings": readings}
        if readings >= _MOST_READINGS:
            known["near"] = clock.now_ms() - END_WITHIN_MS - 1
        await self._note(**known)
        await self._pause()

    async def _look(self) -> Json:
        """The batch as it is there, asked to end where it is to: what is over by then is settled as it is. Raises
        Refused where there is no such batch."""
        batch_id = self.batch.remote["batch"]
        try:
            found = await self.api.get(batch_id)
        except Refused as error:
            if error.is_unknown:
                raise
            # A credential that was replaced, perhaps: what it has answered is to be paid all the same.
            raise Unreachable(str(error)) from error
        if self.is_ending and "cancelled" not in self.batch.remote and found.get("status") not in OVER:
            # Refused where it came to its end meanwhile: the next look shows it.
            with suppress(Refused, Unreachable):
                await self.api.cancel(batch_id)
                await self._note(cancelled=True)
        return found

    async def _pause(self) -> None:
        """It is asked about again after a while, each time a longer one."""
        asked = int(self.batch.remote.get("asked", 0)) + 1
        pause = min(timedelta(seconds=2 ** min(asked, 10)), _SHORT_PAUSE if self.is_ending else _LONGEST_PAUSE)
        again_at = clock.now_ms() + int(pause.total_seconds() * 1000)
        await self._note(asked=asked, again_at=again_at, **({_ENDING: True} if self.is_ending else {}))

    async def _hand_on(self) -> bool:
        """Hand the file on, as the upstream wants it, and make a batch of it. False where one may have been made, and
        is not to be seen yet; of what is to end none is made then."""
        path = upstream_path(self.batch.org_id, self.batch.pk)
        stored = self._files
        if "file" not in self.batch.remote:
            size = 0
            async with stored.writer(path) as writer:
                async for text in self._encode_all():
                    size += len(text)
                    await writer.write(text)
            if not size:
                raise Refused("None of these calls holds its money any more.")
            name = f"costhub-{self.batch.pk.hex}.jsonl"
            await self._note(file=await self.api.upload(name, size, stored.stream(path)))
        # Also where whoever had handed it on died before that.
        await stored.delete(path)
        mark = str(self.batch.pk)
        # It may have been made before, and nobody have heard the answer. A second one would be billed, too, and a list
        # may show the first a while later: it is looked for again and again, for a minute, before another is made.
        made_ms = self.batch.remote.get("made")
        made = await self.api.find(mark) if made_ms is not None else None
        if made is None:
            if made_ms is not None and (self.is_ending or not self._is_not_made):
                return False
            await self._note(made=clock.now_ms())
            made = await self.api.create(self.batch.remote["file"], self.batch.endpoint, mark)
            failpoints.reach("batch_handed_on")
        await self._note(batch=id_of(made))
        return True

    @property
    def _is_not_made(self) -> bool:
        """Whether a batch of whose making nobody has heard was looked for long enough."""
        return clock.now_ms() >= int(self.batch.remote["made"]) + _LOOKED_FOR_MS

    @property
    def _files(self) -> SealedFiles:
        return SealedFiles(self.edges.objects, Sealer(self.org.id, self.org.data_key))

    async def _encode_all(self) -> AsyncIterator[bytes]:
        """Every line as the upstream gets it: its own name of the model, our limits, and our id as the line's name."""
        after = 0
        while lines := await self.in_thread(store.name_lines, self.batch, after, _AT_ONCE):
            after = lines[-1].number
            if self.batch.is_pool:
                # The others stay in the pool, and are asked online: each as a call of its own.
                lines = await self.in_thread(mark_asked, lines, self.org.shard)
            for line in lines:
                request = parse_line(self.batch, await self._read(line))
                candidate = self._plan(request, line).first
                body = vendor_of(candidate.upstream.kind).encode_request(
                    request,
                    candidate.model.upstream_model,
                    habits=self._habits_of(candidate),
                    max_output=line.max_output if candidate.is_capped else None,
                )
                head = orjson.dumps({"custom_id": str(line.request_id), "method": "POST", "url": self.batch.endpoint})
                yield head[:-1] + b',"body":' + body + b"}\n"

    def _habits_of(self, candidate: Candidate) -> Habits:
        model = candidate.model.upstream_model
        known = self.edges.upstreams.refused_habits.of(candidate.upstream.id, model)
        return vendor_of(candidate.upstream.kind).find_habits(candidate.upstream, model, known)

    async def _settle_all(self, lines: AsyncIterator[bytes], successes: Successes) -> bool:
        """Settle a file's answers, and note those that are successes. True where a line cannot be read. Raises AppError
        for a file that does not end."""
        gathered: dict[UUID, Json] = {}
        is_broken, room = False, 2 * self.batch.total + _MORE_LINES
        async for raw in lines:
            room -= 1
            if room < 0:
                raise Unreachable("The upstream's file has many more lines than it was asked for.")
            answer = read_answer(raw)
            if answer is None:
                is_broken = is_broken or bool(raw.strip())
                continue
            successes.note(answer[0], answer[1].get("response"))
            gathered[answer[0]] = answer[1]
            if len(gathered) == _AT_ONCE:
                await self._settle(gathered)
                gathered.clear()
        if gathered:
            await self._settle(gathered)
        return is_broken

    async def _settle(self, answers: Mapping[UUID, Json]) -> None:
        """Settle some lines, and only then note them: until that is done the upstream has their answers."""
        found: list[BatchLine] = await self.in_thread(store.find_unanswered, self.batch, list(answers))
        results = []
        for line in found:
            assert line.request_id is not None
            result = await self._settle_line(line, answers[line.request_id])
            if result is not None:
                results.append(result)
        await self.edges.ledger.wait_written(self.org.shard)
        if results:
            await self.in_thread(save_results, self.batch, results)

    async def _settle_line(self, line: BatchLine, answer: Json) -> Result | None:
        """How a line came out; None where it was never asked: then it ends with the batch."""
        name, response = line_id(self.batch.pk, line.number), read_response(answer)
        if response is None:
            error = answer.get("error")
            if not isinstance(error, dict) or (code := str(error.get("code"))) in _WITH_THE_BATCH:
                return None
            text = dump_failure(name, line.custom_id, code[:_LONGEST_CODE], str(error.get("message"))[:2_000])
            return Result(line.number, line.request_id, store.LINE_FAILED, text)
        status, body = response
        cost, is_answer = await self._charge(line, status, body)
        text = dump_answer(name, line.custom_id, status, str(line.request_id), body)
        state = store.DONE if is_answer else store.LINE_FAILED
        return Result(line.number, line.request_id, state, text, cost)

    async def _charge(self, line: BatchLine, status: int, body: bytes) -> tuple[int, bool]:
        """Settle what a line cost, unless that has been done; gives it, in nano-USD, and whether it is an answer."""
        request = parse_line(self.batch, await self._read(line))
        plan = self._plan(request, line)
        candidate = plan.first
        vendor = vendor_of(candidate.upstream.kind)
        wire = vendor.choose_wire(request, self._habits_of(candidate))
        reader = vendor.make_reader(request, wire, _moment_of(line))
        error_code = "" if status == 200 else "upstream_error"
        if status == 200:
            try:
                reader.read_answer(body)
            except NotAnAnswer:
                error_code = "upstream_no_answer"
        # The answers do not say so, and all of them are of it.
        _amendable(reader).service_tier = TIER
        entry_block = self.edges.ledger.entry(
            str(line.request_id), _moment_of(line), clock.monotonic_ns(), self.key, self.org, self.endpoint
        )
        with entry_block as entry:
            entry.goes_on = True
            entry.note_request(request)
            entry.note_plan(plan)
            hold = await draw(
                self.edges.valkey,
                self.edges.reservations,
                entry,
                candidate,
                str(self.batch.pk),
                number=line.number,
                amount=line.amount,
                max_output=line.max_output,
            )
            usual = Hold(str(line.request_id), line.amount, line.max_output, None)
            attempt = weigh_in_batch(request, candidate, hold or usual, reader, status, error_code)
            if hold is DRAWN_BEFORE:
                return attempt.cost, not error_code
            if hold is None:
                # Valkey has lost what the batch held: the line is counted as a call whose hold was lost with it. A
                # call of a pool, which has drawn nothing, was settled before.
                entry.hold, entry.counters = usual, candidate.layout.counters
                if not self.batch.is_pool:
                    entry.epoch = b""
            entry.attempts.append(attempt)
            entry.status, entry.error_code = status, error_code
            entry.goes_on = False
        return attempt.cost, not error_code

    def _plan(self, request: Request, line: BatchLine) -> Plan:
        controls = controls_of(self.batch)
        # Money is held for this model, whatever a route would choose by now.
        held_for = self.batch.row.get("model", request.model)
        plan = make_plan(request, controls, self.key, self.org, _moment_of(line), self.batch.spent)
        if plan.first.model.name != held_for:
            asked = request._replace(model=held_for)
            plan = make_plan(asked, controls, self.key, self.org, _moment_of(line), self.batch.spent)
        return plan._replace(candidates=plan.candidates[:1])

    async def _read(self, line: BatchLine) -> bytes:
        if self.batch.is_pool:
            body: bytes = await self.in_thread(store.read_body, line)
            return body
        path = object_path(self.batch.org_id, self.batch.input_file_id)
        return await self._files.read(path, line.starts, line.length)

    async def _end(self, code: str, message: str) -> bool:
        if self.batch.is_pool:
            return True  # what has no answer is asked online
        await self._files.delete(upstream_path(self.batch.org_id, self.batch.pk))
        await self.in_thread(store.fail_open, self.batch, {"code": code, "message": message[:2_000]})
        return True

    async def _note(self, **known: Any) -> None:
        await self.in_thread(store.update_batch, self.batch, remote=self.batch.remote | known)


def is_due(batch: Batch, *, is_ending: bool) -> bool:
    """Whether an upstream is to be asked about a batch now: at once where its end is wanted for the first time."""
    return batch.remote.get("again_at", 0) <= clock.now_ms() or (is_ending and _ENDING not in batch.remote)


def _moment_of(line: BatchLine) -> int:
    """The millisecond at which the line's call came."""
    assert line.request_id is not None
    return line.request_id.int >> 80


def _amendable(reader: AnswerReader) -> Any:
    """A reader whose words may be put right."""
    return reader
