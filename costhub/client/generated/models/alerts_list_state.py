from enum import StrEnum


class AlertsListState(StrEnum):
    OPEN = "open"
    OVER = "over"

    def __str__(self) -> str:
        return str(self.value)
