from enum import StrEnum


class DeliveryAnswerStateEnum(StrEnum):
    DROPPED = "dropped"
    FAILED = "failed"
    QUEUED = "queued"
    SENDING = "sending"
    SENT = "sent"

    def __str__(self) -> str:
        return str(self.value)
