"""What training costs, in the ledger: rows of a kind of their own, which budgets count like calls.

A worker's time on a job is a segment, charged once when it ends: by itself, or for a worker that died by whoever takes
the job over. A row's id comes from the job and the segment's fencing token, so that a charge that is repeated is none.
"""

from datetime import datetime
from typing import Final
from uuid import UUID, uuid5

from costhub.lib.moments import to_ms
from costhub.lib.money import Nanos
from proxy.ledger.charges import Spending, charge

KIND: Final = "training"
_MS_AN_HOUR: Final = 3_600_000


def price_segment(per_hour_nanos: int, started: datetime, ended: datetime) -> Nanos:
    """Nano-USD of a stretch of time, rounded up to a whole one."""
    milliseconds = max(0, to_ms(ended) - to_ms(started))
    return Nanos(-(-per_hour_nanos * milliseconds // _MS_AN_HOUR))


def name_segment(org_id: UUID, project_id: UUID, job_id: UUID, name: str, fence: int, started: datetime) -> Spending:
    """What one worker's time on a training job is spent on."""
    row_id = str(uuid5(job_id, str(fence)))
    return Spending(org_id, project_id, row_id, KIND, name, f"training job {job_id}", to_ms(started))


def charge_segment(
    org_id: UUID, project_id: UUID, job_id: UUID, name: str, fence: int, started: datetime, ended: datetime, nanos: int
) -> bool:
    """Put a segment of a training job into the ledger; see ``charge``."""
    spending = name_segment(org_id, project_id, job_id, name, fence, started)
    return charge(spending, nanos, max(0, to_ms(ended) - spending.started_ms) * 1_000)
