from enum import StrEnum


class TunedModelAnswerStateEnum(StrEnum):
    READY = "ready"
    WITHDRAWN = "withdrawn"

    def __str__(self) -> str:
        return str(self.value)
