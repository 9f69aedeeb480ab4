from enum import StrEnum


class DatasetVersionsExportRetrievePart(StrEnum):
    HELD_OUT = "held_out"
    TRAIN = "train"

    def __str__(self) -> str:
        return str(self.value)
