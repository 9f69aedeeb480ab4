from enum import StrEnum


class VerdictEnum(StrEnum):
    NEVER = "never"
    PAYS = "pays"
    TOO_LATE = "too_late"

    def __str__(self) -> str:
        return str(self.value)
