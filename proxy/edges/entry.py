"""What is known of a call so far: the one thing that changes while it is served."""

from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

from costhub.lib import clock
from costhub.lib.clock import Stopwatch
from proxy.core.compression.saved import show_saved
from proxy.core.row import (
    DEFERRED,
    Row,
    add_attempts,
    add_escalation,
    add_fallback,
    add_pack,
    add_plan,
    add_request,
    add_spared,
    add_verdict,
)
from proxy.errors import AnsweredLater
from proxy.values.attempt import NO_SAVINGS, Attempt, Savings, Timing
from proxy.values.plan import Candidate, Hold, Plan
from proxy.values.request import ALL_SAID, Controls, Request, Unsaid, Wire
from proxy.values.windows import Layout
from tenants.snapshots import KeySnapshot, OrgSnapshot


class Entry:
    """The ledger entry in the making. ``ledger.entry`` writes it exactly once, whatever happens. What is nothing at
    first stands in the class: every call makes one."""

    plan: Plan | None = None
    # Who is asked now, or was last.
    candidate: Candidate | None = None
    # Whose answer the caller gets, where that is not the last one's who was asked.
    served: Candidate | None = None
    hold: Hold | None = None
    counters: tuple[str, ...] = ()
    # The budgets of each, and what its tries cost in nano-USD: held there till the end.
    earlier_models: tuple[tuple[Layout, int], ...] = ()
    earlier_models_tokens: int = 0
    # The shard's epoch in which the hold was taken: another one has lost it.
    epoch: bytes = b""
    # A reserve was sent and its answer never came.
    is_hold_unknown: bool = False
    # The number of the last attempt for which money was set aside, or may have been.
    reserved: int = 0
    # What is held outlives the call, and whoever ends it writes the row.
    goes_on: bool = False
    # Made before its end, for whoever must settle it if we do not live to.
    early_event: bytes = b""
    status: int = 200
    error_code: str = ""
    first_byte_ns: int | None = None
    saved_before_upstream: Savings = NO_SAVINGS
    # Nano-USD, of an answer that was there already.
    lookup_cost: int = 0
    # Tokens of the prompt before and after it was shortened, where it was.
    compression: str = ""
    # How likely a judged answer is right, as it is told.
    confidence: str = ""
    # In which form the answer comes to the caller's side, and what of the request its upstream was not told.
    wire: Wire = Wire.CHAT
    unsaid: Unsaid = ALL_SAID
    # A call of our own jobs, which count what it costs whatever its key hides from callers.
    is_own: bool = False
    # The caller's trace, as the header says it (W3C Trace Context).
    traceparent: str = ""

    def __init__(
        self, request_id: str, started_at_ms: int, started_ns: int, key: KeySnapshot, org: OrgSnapshot, row: Row
    ) -> None:
        self.request_id = request_id
        self.started_at_ms = started_at_ms
        self.started_ns = started_ns
        self.key = key
        self.org = org
        self._row = row
        # As others read it: what becomes known of the call is noted below.
        self.row: Mapping[str, Any] = row
        self.attempts: list[Attempt] = []
        # For the upstream, for a caller who sends or reads slowly, between tries, in a slower lane: what is left of a
        # call's duration without it is our overhead.
        self.waited = Stopwatch()
        # What was waited for, as a trace shows it.
        self.timings: list[Timing] = []

    def note_request(self, request: Request) -> None:
        """Note what was asked for, also if it is refused next."""
        add_request(self._row, request)

    def note_plan(self, plan: Plan) -> None:
        """Note what was decided."""
        self.plan = plan
        self.candidate = plan.candidates[0]
        add_plan(self._row, plan)
        self.compression = show_saved(plan.request) if plan.request.shortened else ""

    def note_escalation(self, before: Candidate, why: str, after: Candidate) -> None:
        """Note that a candidate's answer was not good enough, and that another one is asked."""
        self.candidate = after
        add_escalation(self._row, before, why, after)

    def note_wire(self, wire: Wire, unsaid: Unsaid) -> None:
        """Note the format in which the upstream is asked now."""
        self.wire, self.unsaid = wire, unsaid

    def note_fallback(self, before: Candidate, reason: str, after: Candidate) -> None:
        """Note that a candidate did not answer, and that another one is asked."""
        self.candidate = after
        add_fallback(self._row, before, reason, after)

    def note_kind(self, kind: str) -> None:
        """Note that this is no caller's call, but one that CostHub makes beside or before it."""
        self._row["kind"] = kind

    def note_route(self, reason: str) -> None:
        """Note why it goes where it goes, in place of what the plan says."""
        self._row["route_reason"] = reason

    def note_payers(self, controls: Controls) -> None:
        """Note who is charged, before there is a plan."""
        row = self._row
        row["end_user"], row["tags"], row["session"] = controls.end_user, controls.tags, controls.session

    def note_no_stream(self) -> None:
        """Note that its own answer is no stream, whatever the planned request says."""
        self._row["is_stream"] = False

    def note_deferred(self) -> None:
        """Note that it waits for its deadline."""
        self._row[DEFERRED] = True

    def note_pack(self, calls: int, *, is_answered: bool) -> None:
        """Note that it was asked as one of so many together."""
        add_pack(self._row, calls, is_answered=is_answered)

    def note_verdict(self, served: Candidate, why: str) -> None:
        """Note that a candidate's answer was judged, and is given."""
        self.served = served
        add_verdict(self._row, served, why)

    def note_cache(self, status: str) -> None:
        """Note what the cache found."""
        self._row["cache_status"] = status

    def note_kept(self, response_model: str, finish_reason: str, service_tier: str, why: str) -> None:
        """Note that its answer was there already: who had given it, how it ended, and why the caller gets it."""
        row = self._row
        row["response_model"], row["finish_reason"] = response_model, finish_reason
        row["service_tier"], row["route_reason"] = service_tier, why

    def note_would_refuse(self, ids: Iterable[str]) -> None:
        """Note the ids of budgets and limits in shadow that would have refused it."""
        self._row["would_refuse"] = list(dict.fromkeys([*self._row["would_refuse"], *ids]))

    def note_refused_by(self, told: Mapping[str, Any]) -> None:
        """Note which budget or limit has refused it."""
        self._row["refused_by"] = told

    def finish(self) -> Row:
        """The ledger row, as it is now that the call ends."""
        row, now = self._row, clock.monotonic_ns()
        if self.hold is not None:
            hold = (
                self.hold._replace(amount=self.hold.amount + self.earlier_models_cost)
                if self.earlier_models
                else self.hold
            )
            add_attempts(row, self.attempts, hold, self.served.model.name if self.served is not None else "")
        if self.saved_before_upstream or self.lookup_cost:
            add_spared(row, self.saved_before_upstream, self.lookup_cost)
        row["status"], row["error_code"] = self.status, self.error_code
        took = now - self.started_ns
        row["duration_us"], row["overhead_us"] = took // 1000, (took - self.waited.total_ns) // 1000
        if self.first_byte_ns is not None:
            row["first_byte_us"] = (self.first_byte_ns - self.started_ns) // 1000
        return row

    @property
    def saved(self) -> int:
        """Nano-USD that the model that was asked for would have cost more."""
        saved = sum(self.saved_before_upstream.values()) if self.saved_before_upstream else 0
        for attempt in self.attempts:
            saved += attempt.saved
        return saved

    @property
    def earlier_models_cost(self) -> int:
        """Nano-USD of the tries at models that were asked before the present one."""
        return sum(cost for _, cost in self.earlier_models) if self.earlier_models else 0

    @property
    def cost(self) -> int:
        """Nano-USD over all attempts so far."""
        cost = self.lookup_cost
        for attempt in self.attempts:
            cost += attempt.cost
        return cost


def answer_later(entry: Entry) -> NoReturn:
    """Leave the call of an entry, to be answered later or in another way: no row is written here. Raises
    AnsweredLater."""
    entry.goes_on = True
    raise AnsweredLater
