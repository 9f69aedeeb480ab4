from enum import StrEnum


class CreditNotesDocumentFormat(StrEnum):
    DOCUMENT = "document"
    JSON = "json"

    def __str__(self) -> str:
        return str(self.value)
