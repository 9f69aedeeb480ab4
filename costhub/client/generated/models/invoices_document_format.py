from enum import StrEnum


class InvoicesDocumentFormat(StrEnum):
    DOCUMENT = "document"
    JSON = "json"

    def __str__(self) -> str:
        return str(self.value)
