from enum import StrEnum


class DatasetVersionAnswerStateEnum(StrEnum):
    FAILED = "failed"
    READY = "ready"
    WAITING = "waiting"

    def __str__(self) -> str:
        return str(self.value)
