from enum import StrEnum


class DigestEnum(StrEnum):
    DAILY = "daily"
    HOURLY = "hourly"
    NONE = "none"

    def __str__(self) -> str:
        return str(self.value)
