from enum import StrEnum


class TokenizerEnum(StrEnum):
    BYTES = "bytes"
    CL100K_BASE = "cl100k_base"
    LLAMA3 = "llama3"
    O200K_BASE = "o200k_base"
    QWEN3 = "qwen3"

    def __str__(self) -> str:
        return str(self.value)
