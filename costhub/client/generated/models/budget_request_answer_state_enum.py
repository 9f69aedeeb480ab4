from enum import StrEnum


class BudgetRequestAnswerStateEnum(StrEnum):
    DENIED = "denied"
    GRANTED = "granted"
    OPEN = "open"
    WITHDRAWN = "withdrawn"

    def __str__(self) -> str:
        return str(self.value)
