"""An answer as the cache keeps it, and whether it may be given again. Pure."""

import zlib
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import orjson

from proxy.values.answer import MOST_KEPT_BYTES
from proxy.values.attempt import Usage
from tenants.choices import PurgeKind
from tenants.snapshots import CachePurgeSnapshot

#: larger answers are not kept: few are asked for twice, and each would push out hundreds of others
MAX_ENTRY_BYTES: Final = MOST_KEPT_BYTES
#: what is shorter does not become shorter
_COMPRESS_FROM: Final = 600
#: an entry that was kept after now is from before a clock was set back, or from one that is ahead
_CLOCKS_DIFFER_MS: Final = 60_000
#: what an entry takes in memory beside its body
_OVERHEAD_BYTES: Final = 1_200


class Kept(NamedTuple):
    """One answer. ``id`` is the request that brought it; ``body`` is what the upstream said, whole: JSON, or the events
    of a stream without its end mark."""

    id: str
    stored_ms: int
    model: str
    scope: str
    tags: tuple[str, ...]
    content_type: str
    response_model: str
    finish_reason: str
    service_tier: str
    usage: Usage
    certainty: str
    body: bytes

    @property
    def bytes(self) -> int:
        """What it takes in memory, about."""
        return len(self.body) + _OVERHEAD_BYTES


def pack(kept: Kept) -> bytes:
    """As Valkey and PostgreSQL keep it: a line of JSON, then the body, compressed where that makes it shorter."""
    body, is_packed = kept.body, False
    if len(body) >= _COMPRESS_FROM:
        body, is_packed = zlib.compress(body, 1), True
    head = kept._replace(body=b"", usage=Usage())._asdict()
    del head["body"], head["usage"]
    return orjson.dumps(head | {"usage": kept.usage.to_row(), "zip": is_packed}) + b"\n" + body


def unpack(raw: bytes) -> Kept | None:
    """What ``pack`` made; None for anything else: what was damaged is not there."""
    head, _, body = raw.partition(b"\n")
    try:
        fields = orjson.loads(head)
        usage = Usage(**fields.pop("usage"))
        if fields.pop("zip"):
            unpacked = zlib.decompressobj()
            body = unpacked.decompress(body, MAX_ENTRY_BYTES)
            if not unpacked.eof:
                return None
        return Kept(**(fields | {"tags": tuple(fields["tags"])}), usage=usage, body=body)
    except (ValueError, TypeError, KeyError, AttributeError, zlib.error):
        return None


def is_usable(kept: Kept, purges: Sequence[CachePurgeSnapshot], now_ms: int, max_age_ms: int) -> bool:
    """Whether an answer may be given at this moment: not too old, not from the future, and not given up."""
    age = now_ms - kept.stored_ms
    if not -_CLOCKS_DIFFER_MS < age <= max_age_ms:
        return False
    return not any(kept.stored_ms < purge.before_ms and _is_meant(purge, kept) for purge in purges)


def show_tags(tags: Mapping[str, str]) -> tuple[str, ...]:
    """Tags as entries and purges spell them."""
    return tuple(f"{name}={value}" for name, value in sorted(tags.items()))


def _is_meant(purge: CachePurgeSnapshot, kept: Kept) -> bool:
    match purge.kind:
        case PurgeKind.ALL.value:
            return True
        case PurgeKind.MODEL.value:
            return kept.model == purge.subject
        case PurgeKind.TAG.value:
            return purge.subject in kept.tags
        case PurgeKind.SCOPE.value:
            return kept.scope == purge.subject
        case _:
            return kept.id == purge.subject
