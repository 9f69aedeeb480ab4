from enum import StrEnum


class TunedModelsExportRetrieveFormat(StrEnum):
    JSON = "json"
    TAR = "tar"

    def __str__(self) -> str:
        return str(self.value)
