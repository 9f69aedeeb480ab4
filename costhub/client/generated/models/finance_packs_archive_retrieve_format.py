from enum import StrEnum


class FinancePacksArchiveRetrieveFormat(StrEnum):
    DOCUMENT = "document"
    JSON = "json"

    def __str__(self) -> str:
        return str(self.value)
