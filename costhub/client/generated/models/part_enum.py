from enum import StrEnum


class PartEnum(StrEnum):
    ERRORS = "errors"
    INPUT = "input"
    OUTPUT = "output"

    def __str__(self) -> str:
        return str(self.value)
