from enum import StrEnum


class MethodEnum(StrEnum):
    NOT_ENOUGH_HISTORY = "not_enough_history"
    RECENT_WEEKS = "recent_weeks"
    RUN_RATE = "run_rate"
    SMOOTHING = "smoothing"

    def __str__(self) -> str:
        return str(self.value)
