from enum import StrEnum


class CreditNotesDocumentForm(StrEnum):
    CSV = "csv"
    PDF = "pdf"
    XML = "xml"

    def __str__(self) -> str:
        return str(self.value)
