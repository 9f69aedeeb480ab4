from enum import StrEnum


class WalletAccount(StrEnum):
    CASH = "cash"
    CREDITS = "credits"
    PROMOTIONS = "promotions"
    USAGE = "usage"

    def __str__(self) -> str:
        return str(self.value)
