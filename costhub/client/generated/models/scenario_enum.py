from enum import StrEnum


class ScenarioEnum(StrEnum):
    BATCH = "batch"
    CACHE = "cache"
    FINE_TUNE = "fine_tune"
    ROUTE = "route"
    SELF_HOST = "self_host"

    def __str__(self) -> str:
        return str(self.value)
