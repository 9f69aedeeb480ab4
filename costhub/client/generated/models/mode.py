from enum import StrEnum


class Mode(StrEnum):
    OFF = "off"
    ON = "on"
    SHADOW = "shadow"

    def __str__(self) -> str:
        return str(self.value)
