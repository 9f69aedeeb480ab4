from enum import StrEnum


class ListBudgetRequestsState(StrEnum):
    DENIED = "denied"
    GRANTED = "granted"
    OPEN = "open"
    WITHDRAWN = "withdrawn"

    def __str__(self) -> str:
        return str(self.value)
