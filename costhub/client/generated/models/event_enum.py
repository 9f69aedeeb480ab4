from enum import StrEnum


class EventEnum(StrEnum):
    ANSWERED = "answered"
    CHANGED = "changed"
    OPENED = "opened"
    RECOVERED = "recovered"
    TEST = "test"
    UNANSWERED = "unanswered"

    def __str__(self) -> str:
        return str(self.value)
