from enum import StrEnum


class DunningEnum(StrEnum):
    NONE = "none"
    READ_ONLY = "read_only"
    REMINDED = "reminded"
    SUSPENDED = "suspended"
    WARNED = "warned"

    def __str__(self) -> str:
        return str(self.value)
