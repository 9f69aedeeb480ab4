from enum import StrEnum


class FindingEnum(StrEnum):
    AGREES = "agrees"
    EXTRA_TOKENS = "extra_tokens"
    MISSING_CALLS = "missing_calls"
    MISSING_TOKENS = "missing_tokens"
    NOT_ON_THE_BILL = "not_on_the_bill"
    UNEXPLAINED = "unexplained"
    UNPRICED = "unpriced"
    WRONG_PRICE = "wrong_price"

    def __str__(self) -> str:
        return str(self.value)
