from enum import StrEnum


class TunedModelsExportRetrieveWeights(StrEnum):
    ADAPTER = "adapter"
    MERGED = "merged"

    def __str__(self) -> str:
        return str(self.value)
