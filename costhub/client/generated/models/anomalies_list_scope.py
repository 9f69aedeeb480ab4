from enum import StrEnum


class AnomaliesListScope(StrEnum):
    KEY = "key"
    MODEL = "model"
    ORGANIZATION = "organization"
    PROJECT = "project"

    def __str__(self) -> str:
        return str(self.value)
