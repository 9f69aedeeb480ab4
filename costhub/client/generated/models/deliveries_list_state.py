from enum import StrEnum


class DeliveriesListState(StrEnum):
    DROPPED = "dropped"
    FAILED = "failed"
    QUEUED = "queued"
    SENDING = "sending"
    SENT = "sent"

    def __str__(self) -> str:
        return str(self.value)
