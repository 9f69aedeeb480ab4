from enum import StrEnum


class PriceAdjustmentKind(StrEnum):
    DISCOUNT = "discount"
    MARKUP = "markup"

    def __str__(self) -> str:
        return str(self.value)
