from enum import StrEnum


class StageEnum(StrEnum):
    CANARY = "canary"
    PROMOTED = "promoted"
    ROLLED_BACK = "rolled_back"
    SHADOW = "shadow"
    WITHDRAWN = "withdrawn"

    def __str__(self) -> str:
        return str(self.value)
