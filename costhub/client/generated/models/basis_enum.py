from enum import StrEnum


class BasisEnum(StrEnum):
    ALLOCATION = "allocation"
    USAGE = "usage"

    def __str__(self) -> str:
        return str(self.value)
