from enum import StrEnum


class InvoiceKind(StrEnum):
    CREDIT_NOTE = "credit_note"
    DEBIT_NOTE = "debit_note"
    INVOICE = "invoice"
    PREPAYMENT = "prepayment"

    def __str__(self) -> str:
        return str(self.value)
