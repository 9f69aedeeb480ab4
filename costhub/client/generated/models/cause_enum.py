from enum import StrEnum


class CauseEnum(StrEnum):
    BATCH = "batch"
    CACHE = "cache"
    COMPRESSION = "compression"
    FAILURES = "failures"
    INPUT_TOKENS = "input_tokens"
    MODEL_MIX = "model_mix"
    OTHER = "other"
    OUTPUT_TOKENS = "output_tokens"
    PRICE = "price"
    PROVIDER_CACHE = "provider_cache"
    RETRIES = "retries"
    ROUTING = "routing"
    TOKENIZER = "tokenizer"
    VOLUME = "volume"

    def __str__(self) -> str:
        return str(self.value)
