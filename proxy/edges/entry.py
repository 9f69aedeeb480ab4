"""What is known of a call so far: the one thing that changes while it is served."""

from dataclasses import dataclass, field

from proxy.core.row import Row, add_plan, add_request
from proxy.types import Attempt, Hold, Plan, Request, Timing
from tenants.snapshots import KeySnapshot, OrgSnapshot


@dataclass(slots=True)
class Entry:
    """The ledger entry in the making. ``ledger.entry`` writes it exactly once, whatever happens."""

    request_id: str
    started_at_ms: int
    started_ns: int
    key: KeySnapshot
    org: OrgSnapshot
    row: Row
    plan: Plan | None = None
    hold: Hold | None = None
    counters: tuple[str, ...] = ()
    # The shard's epoch in which the hold was taken: another one has lost it.
    epoch: bytes = b""
    attempts: list[Attempt] = field(default_factory=list)
    # A reserve was sent and its answer never came.
    is_hold_unknown: bool = False
    status: int = 200
    error_code: str = ""
    first_byte_ns: int | None = None
    upstream_ns: int = 0
    # In a slower lane.
    waited_ns: int = 0
    # What was waited for, as a trace shows it.
    timings: list[Timing] = field(default_factory=list)
    # The caller's trace, as the header says it (W3C Trace Context).
    traceparent: str = ""

    def note_request(self, request: Request) -> None:
        """What was asked for, also where it is refused next."""
        add_request(self.row, request)

    def note_plan(self, plan: Plan) -> None:
        """What was decided."""
        self.plan = plan
        add_plan(self.row, plan)

    @property
    def saved(self) -> int:
        """Nano-USD that the model that was asked for would have cost more."""
        return sum(attempt.saved for attempt in self.attempts)

    @property
    def cost(self) -> int:
        """Nano-USD over all attempts so far."""
        return sum(attempt.cost for attempt in self.attempts)
