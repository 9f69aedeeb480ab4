from enum import StrEnum


class V1RequestsListSort(StrEnum):
    COST = "cost"
    DURATION = "duration"
    TIME = "time"
    VALUE_0 = "-cost"
    VALUE_1 = "-duration"
    VALUE_2 = "-time"

    def __str__(self) -> str:
        return str(self.value)
