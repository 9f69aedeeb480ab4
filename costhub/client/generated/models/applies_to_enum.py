from enum import StrEnum


class AppliesToEnum(StrEnum):
    CALL = "call"
    TOKENS_ABOVE = "tokens_above"

    def __str__(self) -> str:
        return str(self.value)
