from enum import StrEnum


class TrainingKind(StrEnum):
    ENCODER = "encoder"
    HEAD = "head"
    LORA = "lora"

    def __str__(self) -> str:
        return str(self.value)
