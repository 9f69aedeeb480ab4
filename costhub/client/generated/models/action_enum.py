from enum import StrEnum


class ActionEnum(StrEnum):
    BLOCK = "block"
    DEGRADE = "degrade"
    WARN = "warn"

    def __str__(self) -> str:
        return str(self.value)
