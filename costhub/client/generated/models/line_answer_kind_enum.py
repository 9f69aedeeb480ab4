from enum import StrEnum


class LineAnswerKindEnum(StrEnum):
    COUPON = "coupon"
    CREDIT = "credit"
    DEBIT = "debit"
    FEE = "fee"
    INCLUDED = "included"
    LATE_USAGE = "late_usage"
    MARKUP = "markup"
    MINIMUM = "minimum"
    RERATED = "rerated"
    SAVINGS = "savings"
    USAGE = "usage"

    def __str__(self) -> str:
        return str(self.value)
