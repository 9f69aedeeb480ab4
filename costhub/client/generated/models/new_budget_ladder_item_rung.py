from enum import StrEnum


class NewBudgetLadderItemRung(StrEnum):
    BLOCK = "block"
    CACHE_ONLY = "cache_only"
    CHEAPER_MODEL = "cheaper_model"
    COMPRESS = "compress"
    ROUTE = "route"
    SHORTER_OUTPUT = "shorter_output"
    SLOWER_LANE = "slower_lane"

    def __str__(self) -> str:
        return str(self.value)
