from enum import StrEnum


class UpstreamStateAnswerStateEnum(StrEnum):
    COOLING_DOWN = "cooling_down"
    DOWN = "down"
    OFF = "off"
    QUIET = "quiet"
    SLOW = "slow"
    WORKS = "works"

    def __str__(self) -> str:
        return str(self.value)
