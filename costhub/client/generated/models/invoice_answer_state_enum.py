from enum import StrEnum


class InvoiceAnswerStateEnum(StrEnum):
    DRAFT = "draft"
    GRACE = "grace"
    ISSUED = "issued"
    PAID = "paid"
    UNCOLLECTIBLE = "uncollectible"
    VOID = "void"

    def __str__(self) -> str:
        return str(self.value)
