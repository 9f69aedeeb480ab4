from enum import StrEnum


class DatasetVersionsExportRetrieveFormat(StrEnum):
    JSON = "json"
    JSONL = "jsonl"

    def __str__(self) -> str:
        return str(self.value)
