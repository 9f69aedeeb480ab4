from enum import StrEnum


class CollectionEnum(StrEnum):
    MANUAL = "manual"
    STRIPE = "stripe"

    def __str__(self) -> str:
        return str(self.value)
