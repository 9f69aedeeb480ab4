from enum import StrEnum


class CachePurgeKind(StrEnum):
    ALL = "all"
    ENTRY = "entry"
    MODEL = "model"
    SCOPE = "scope"
    TAG = "tag"

    def __str__(self) -> str:
        return str(self.value)
