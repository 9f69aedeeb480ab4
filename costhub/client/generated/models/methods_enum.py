from enum import StrEnum


class MethodsEnum(StrEnum):
    EXTRACT = "extract"
    FILLER = "filler"
    LOSSLESS = "lossless"
    PERPLEXITY = "perplexity"
    PRUNE = "prune"
    SYSTEM_PROMPT = "system_prompt"

    def __str__(self) -> str:
        return str(self.value)
