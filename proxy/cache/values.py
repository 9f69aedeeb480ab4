"""What a visit to the cache finds."""

from typing import NamedTuple

from proxy.cache.entries import Kept


class Found(NamedTuple):
    """An answer that was there. ``status`` is how the ledger and ``x-costhub-cache`` name it; ``cost`` is what finding
    it came to, in nano-USD."""

    kept: Kept
    status: str
    similarity: str = ""
    cost: int = 0
