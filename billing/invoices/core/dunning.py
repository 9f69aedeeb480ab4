"""What an unpaid invoice comes to, by the days since it was due."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from billing.invoices.choices import DunningStage


@dataclass(frozen=True, slots=True)
class Schedule:
    """Days after the due day on which each stage begins."""

    reminded: int = 1
    warned: int = 7
    read_only: int = 14
    suspended: int = 21


DEFAULT: Final = Schedule()
ORDER: Final = tuple(DunningStage)


def stage_of(due_at: datetime, now: datetime, schedule: Schedule = DEFAULT) -> DunningStage:
    """What one unpaid invoice has come to."""
    late = now - due_at
    for stage, days in (
        (DunningStage.SUSPENDED, schedule.suspended),
        (DunningStage.READ_ONLY, schedule.read_only),
        (DunningStage.WARNED, schedule.warned),
        (DunningStage.REMINDED, schedule.reminded),
    ):
        if late >= timedelta(days=days):
            return stage
    return DunningStage.NONE


def gravest(stages: Iterable[DunningStage]) -> DunningStage:
    """What an organisation has come to: the gravest stage of all its invoices."""
    return max(stages, key=ORDER.index, default=DunningStage.NONE)


def is_read_only(stage: DunningStage) -> bool:
    """Whether nothing may be changed."""
    return stage in {DunningStage.READ_ONLY, DunningStage.SUSPENDED}


def is_suspended(stage: DunningStage) -> bool:
    """Whether no call is taken either."""
    return stage is DunningStage.SUSPENDED
