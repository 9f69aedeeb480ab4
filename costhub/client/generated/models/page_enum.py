from enum import StrEnum


class PageEnum(StrEnum):
    BREAKDOWN = "breakdown"
    REQUESTS = "requests"

    def __str__(self) -> str:
        return str(self.value)
