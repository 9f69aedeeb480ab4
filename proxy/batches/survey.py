"""A batch's file, read line by line: what each line may cost, or why the file cannot be a batch. Memory does not grow
with the number of lines but for a digest of each one's name."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from django.conf import settings

from costhub.lib import clock
from costhub.lib.money import MAX_CALL_TEXT, MAX_PICOS_A_CALL, format_usd
from proxy.batches import store
from proxy.batches.database import in_database
from proxy.batches.ids import object_path
from proxy.batches.line_request import endpoint_of, parse_ask
from proxy.batches.model import Batch, StoredFile
from proxy.batches.sealed_files import SealedFiles
from proxy.batches.store import NewLine
from proxy.call import TURN_NS
from proxy.core import pricing
from proxy.core.batch_cost import bound_in_batch, runs_batches
from proxy.core.batch_lines import (
    MAX_ERRORS,
    MAX_LINES,
    MAX_LINES_WITH_EMPTY,
    BadLine,
    LineError,
    as_bad_line,
    check_model,
    check_route,
    read_line,
)
from proxy.core.bounds import exact_bound, quick_bound
from proxy.core.plan import make_plan
from proxy.core.weight import SMALL_BYTES, weigh
from proxy.edges.entry import Entry
from proxy.errors import InvalidRequest, ModelNotFound, ModelNotPriced
from proxy.values.plan import Bound, Plan
from proxy.values.request import Controls, Request
from tenants.choices import BudgetScope

#: so many lines are noted at a time
_AT_ONCE: Final = 2_000
_PICOS_PER_NANO: Final = 1_000


@dataclass(slots=True)
class Survey:
    """What a file comes to: ``amount`` nano-USD for all of its ``lines``, by what was known of budgets with ladders."""

    spent: Mapping[str, int]
    lines: int = 0
    amount: int = 0
    is_remote: bool = False
    errors: list[LineError] = field(default_factory=list)
    plan: Plan | None = None

    def plan_of_all(self) -> Plan:
        """The first line's plan, at the cost of them all. Raises InvalidRequest where that is more than can be held."""
        assert self.plan is not None, "a file without errors has a line"
        picos = self.amount * _PICOS_PER_NANO
        if picos >= MAX_PICOS_A_CALL:
            raise InvalidRequest(
                f"This batch may cost ${format_usd(self.amount)}, and {MAX_CALL_TEXT} is the most that is taken: split it.",
                param="input_file_id",
                code="batch_too_expensive",
            )
        bound = Bound(0, picos, 0, 1, 0, is_exact=True)
        return self.plan._replace(candidates=(self.plan.first._replace(bound=bound),))


async def survey(
    batch: Batch,
    file: StoredFile,
    controls: Controls,
    entry: Entry,
    files: SealedFiles,
    spent: Mapping[str, int],
    *,
    is_exact: bool = False,
) -> Survey:
    """Read and price a batch's file, and note its lines in the place of those that were noted before.

    ``is_exact`` counts tokens where bytes stand in for them otherwise. Raises ApiError where no line is to blame.
    """
    found, reader = Survey(dict(spent)), _Reader(batch, controls, entry, spent, is_exact=is_exact)
    await in_database(store.drop_lines, batch)
    noted: list[NewLine] = []
    turn_ends = clock.monotonic_ns() + TURN_NS
    number = 0
    try:
        async for starts, raw in _split(files, object_path(file.org_id, file.id)):
            number += 1
            if clock.monotonic_ns() > turn_ends:
                await asyncio.sleep(0)
                turn_ends = clock.monotonic_ns() + TURN_NS
            is_empty = not raw or raw.isspace()
            if is_empty and number <= MAX_LINES_WITH_EMPTY:
                continue
            if is_empty or found.lines == MAX_LINES:
                found.errors.append(
                    LineError("too_many_tasks", f"A batch has {MAX_LINES} lines at most.", None, number)
                )
                break
            try:
                if len(raw) > SMALL_BYTES:
                    await _weigh(raw)
                noted.append(reader.read(number, starts, raw))
            except BadLine as error:
                found.errors.append(error.at(number))
                if len(found.errors) >= MAX_ERRORS:
                    break
            found.lines += 1
            if len(noted) == _AT_ONCE:
                await _note(batch, noted, found)
    except FileNotFoundError as error:
        raise InvalidRequest("The file's bytes are gone.", param="input_file_id") from error
    if noted:
        await _note(batch, noted, found)
    if not found.lines and not found.errors:
        found.errors.append(LineError("empty_file", "The file has no line.", "input_file_id"))
    if reader.plan is not None:
        # The caller's own limit is one of all lines together.
        found.plan = reader.plan._replace(controls=reader.plan.controls._replace(max_cost=controls.max_cost))
    found.is_remote = reader.is_remote
    return found


class _Reader:
    """Reads lines; the first one's plan holds for all."""

    def __init__(
        self, batch: Batch, controls: Controls, entry: Entry, spent: Mapping[str, int], *, is_exact: bool
    ) -> None:
        self._batch = batch
        self._controls = controls._replace(max_cost=None)
        self._entry = entry
        self._spent = spent
        self._is_exact = is_exact
        self._endpoint = endpoint_of(batch)
        self._names: set[int] = set()
        self._has_user_budgets = any(one.scope == BudgetScope.END_USER for one in entry.org.budgets)
        self.plan: Plan | None = None
        self.is_remote = False

    def read(self, number: int, starts: int, raw: bytes) -> NewLine:
        """A line, priced. Raises BadLine."""
        ask = read_line(raw, self._batch.endpoint)
        name = hash(ask.custom_id)
        if name in self._names:
            raise BadLine(
                "duplicate_custom_id", f"custom_id {ask.custom_id[:100]} stands in an earlier line.", "custom_id"
            )
        self._names.add(name)
        try:
            request = parse_ask(self._batch, ask)
            bound = self._bound(request)
        except (InvalidRequest, ModelNotPriced, ModelNotFound) as error:
            raise as_bad_line(error) from error
        except (TypeError, RecursionError) as error:
            raise BadLine("invalid_request", "The body is nested too deeply.", "body") from error
        amount = pricing.bound_cost(bound, bound.max_output)
        return NewLine(number, ask.custom_id, starts, len(raw), amount, bound.max_output)

    def _bound(self, request: Request) -> Bound:
        plan, entry = self.plan, self._entry
        check_route(entry.org.routes.get(request.model))
        if plan is None:
            plan = make_plan(request, self._controls, entry.key, entry.org, self._batch.created_ms, self._spent)
            self._check_user(request)
            self.plan = plan
            candidate = plan.first
            self.is_remote = runs_batches(candidate, self._endpoint)
        else:
            check_model(request.model, plan.request.model)
            self._check_user(request)
            first = plan.first
            bound = quick_bound(request, first.model, first.upstream, first.price, plan.most_output)
            candidate = first._replace(bound=bound)
        if self._is_exact:
            candidate = candidate._replace(bound=exact_bound(request, candidate, plan.most_output))
        return bound_in_batch(request, candidate) if self.is_remote else candidate.bound

    def _check_user(self, request: Request) -> None:
        """What is held for all lines is held for one end user."""
        user, mine = request.end_user, self._controls.end_user
        if mine or not user:
            return
        if user in self._entry.org.blocked_end_users:
            raise BadLine("end_user_blocked", f"The end user {user} is blocked in this organisation.", "body.user")
        if self._has_user_budgets:
            raise BadLine(
                "user_not_held",
                "Budgets of end users hold whole batches: send the header x-costhub-user, and leave user out.",
                "body.user",
            )


async def _note(batch: Batch, noted: list[NewLine], found: Survey) -> None:
    found.amount += sum(line.amount for line in noted)
    if not found.errors:
        await in_database(store.add_lines, batch, noted)
    noted.clear()


async def _weigh(raw: bytes) -> None:
    try:
        for _ in weigh(raw):
            await asyncio.sleep(0)
    except InvalidRequest as error:
        raise as_bad_line(error) from error


async def _split(files: SealedFiles, path: str) -> AsyncIterator[tuple[int, bytes]]:
    """Lines of an object without their ends, each with its place. Raises BadLine for one that is too long."""
    rest, place = b"", 0
    async for part in files.stream(path, 1024 * 1024):
        *lines, rest = (rest + part).split(b"\n")
        for line in lines:
            yield place, line
            place += len(line) + 1
        if len(rest) > settings.MAX_BODY_BYTES:
            raise InvalidRequest(
                f"A line has more than {settings.MAX_BODY_BYTES} bytes, the most that a call may have.",
                param="input_file_id",
                code="line_too_long",
            )
    if rest:
        yield place, rest
