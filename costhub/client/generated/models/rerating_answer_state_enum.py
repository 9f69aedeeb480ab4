from enum import StrEnum


class ReratingAnswerStateEnum(StrEnum):
    APPLIED = "applied"
    APPROVED = "approved"
    COUNTING = "counting"
    POSTING = "posting"
    PREVIEWED = "previewed"
    STALE = "stale"

    def __str__(self) -> str:
        return str(self.value)
