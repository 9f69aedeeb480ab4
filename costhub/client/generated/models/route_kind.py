from enum import StrEnum


class RouteKind(StrEnum):
    CANARY = "canary"
    CASCADE = "cascade"
    FALLBACKS = "fallbacks"
    FIXED = "fixed"
    ROUTER = "router"
    WEIGHTED = "weighted"

    def __str__(self) -> str:
        return str(self.value)
