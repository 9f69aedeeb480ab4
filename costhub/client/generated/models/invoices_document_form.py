from enum import StrEnum


class InvoicesDocumentForm(StrEnum):
    CSV = "csv"
    PDF = "pdf"
    XML = "xml"

    def __str__(self) -> str:
        return str(self.value)
