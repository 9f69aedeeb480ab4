from enum import StrEnum


class UnitEnum(StrEnum):
    CONCURRENT = "concurrent"
    REQUESTS = "requests"
    TOKENS = "tokens"
    USD = "usd"

    def __str__(self) -> str:
        return str(self.value)
