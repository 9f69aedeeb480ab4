from enum import StrEnum


class StickyEnum(StrEnum):
    CONVERSATION = "conversation"
    REQUEST = "request"

    def __str__(self) -> str:
        return str(self.value)
