from enum import StrEnum


class SystemPromptAnswerStateEnum(StrEnum):
    APPROVED = "approved"
    PROPOSED = "proposed"
    RETIRED = "retired"

    def __str__(self) -> str:
        return str(self.value)
