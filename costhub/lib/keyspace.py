"""The name of every key that this product writes to Valkey.

All of an organisation's counters, holds and ledger events carry the hash tag of its shard, so that one script may
touch them together on a cluster too. An organisation never moves to another shard.
"""

import base64
import hashlib
import re
import zlib
from functools import cache
from typing import Final

SHARDS: Final = 16
#: the form of snapshots, counted up with every field that comes or goes: during an upgrade two releases share a Valkey
_SNAPSHOTS: Final = 3
_COUNTER: Final = re.compile(r"[^:]*:budget:(?P<budget>[0-9a-f-]{36})\.\d+:(?P<start>-?\d+):(?P<subject>.*)", re.DOTALL)
_MARK: Final = re.compile(r".*?:budget:[^:]*:-?\d+:")

#: organisation id -> version of what the hot path knows of it
VERSIONS: Final = "costhub:versions"
#: pub/sub channel: "<organisation id> <version>", then the digests of keys that changed themselves, in hexadecimal, or
#: ``ALL_KEYS`` where that is not known
CHANGES: Final = "costhub:changes"
ALL_KEYS: Final = "*"
#: before every key of Celery's: its queue lives in the same database
CELERY_PREFIX: Final = "celery:"
#: Celery's lists of what no worker has taken yet: what people wait for, and what takes its time
QUICK_QUEUE: Final = "celery"
SLOW_QUEUE: Final = "slow"
QUEUES: Final = tuple(f"{CELERY_PREFIX}{name}" for name in (QUICK_QUEUE, SLOW_QUEUE))
#: task -> millisecond at which a beat last put it into the queue
BEAT: Final = "costhub:beat"
#: task -> millisecond at which it last succeeded
JOBS: Final = "costhub:jobs"
#: shard -> what its last recount showed, for operators
FIGURES: Final = "costhub:figures"
#: trouble -> millisecond at which operators were last told of it
ALARMS: Final = "costhub:alarms"

#: how long a spent period's counter is kept, for late corrections
COUNTER_KEPT_MS: Final = 8 * 86_400_000


def shard_of(org_id: str) -> int:
    """The shard that a new organisation is given, stored on its row."""
    return zlib.crc32(org_id.encode()) % SHARDS


@cache
def tag(shard: int) -> str:
    """The hash tag of a shard."""
    return f"{{s{shard:02d}}}"


def counter_key(shard: int, budget_id: str, subject: str, period_start_ms: int) -> str:
    """A budget's counter in one period: a hash with ``s`` (settled) and ``h`` (held), in nano-USD.

    Under the empty subject of a budget that is the default of many stands a mark instead: whoever has spent in the
    period has a counter, and one that is not there is a true zero.
    """
    return f"{tag(shard)}:budget:{budget_id}:{period_start_ms}:{subject}"


def rate_key(
    shard: int, org_id: str, scope: str, window_ms: int, subject: str, *, within: str = "", is_shadow: bool
) -> str:
    """What happened within a window of one subject: ``:calls`` and ``:total`` follow. ``within`` is the id of the
    project or key whose calls alone are in it.

    A digest, because every call sends, logs and keeps the names of all of its windows: spelled out they are 130 bytes
    each, and subjects are the names of people.
    """
    what = "\0".join((org_id, scope, str(window_ms), "shadow" if is_shadow else "limit", within, subject))
    digest = hashlib.blake2b(what.encode(), digest_size=15).digest()
    return f"{tag(shard)}:rate:{base64.urlsafe_b64encode(digest).decode()}"


def mark_key(counter: str) -> str:
    """The mark of a counter's budget and period, see ``counter_key``."""
    found = _MARK.match(counter)
    assert found is not None, "every counter's name begins like this"
    return found[0]


def read_counter(counter: str) -> tuple[str, int, str] | None:
    """(budget's id, start of the period in ms, subject) of a counter; None for what is no counter's name."""
    found = _COUNTER.fullmatch(counter)
    return (found["budget"], int(found["start"]), found["subject"]) if found else None


def moved_key(shard: int) -> str:
    """Set: the counters whose settled amount has changed since somebody looked at them. The scripts that settle make
    this name from their stream's."""
    return f"{tag(shard)}:moved"


def looked_at_key(shard: int) -> str:
    """The same set while somebody looks at what is in it."""
    return f"{tag(shard)}:looked-at"


def hold_key(shard: int, hold_id: str) -> str:
    """A hold: a hash with its amount, its counters and what the reaper needs to write its row."""
    return f"{tag(shard)}:hold:{hold_id}"


def closed_key(shard: int, hold_id: str) -> str:
    """What became of a hold that may still be spoken of: ``given up``, ``late``, or ``reaped`` and the amount."""
    return f"{tag(shard)}:closed:{hold_id}"


def leases_key(shard: int) -> str:
    """Sorted set: hold id -> millisecond at which its lease ends."""
    return f"{tag(shard)}:leases"


def ledger_key(shard: int) -> str:
    """The stream of ledger events that PostgreSQL has not confirmed."""
    return f"{tag(shard)}:ledger"


def epoch_key(shard: int) -> str:
    """Present while the shard's counters are known to agree with the ledger. Lost data loses it too."""
    return f"{tag(shard)}:epoch"


def idempotency_key(shard: int, key_id: str, digest: str) -> str:
    """The first answer to an Idempotency-Key of one API key."""
    return f"{tag(shard)}:idem:{key_id}:{digest}"


def key_snapshot_key(digest: bytes) -> str:
    """A KeySnapshot, by the HMAC of the key."""
    return f"costhub:key:{_SNAPSHOTS}:{digest.hex()}"


def org_snapshot_key(org_id: str) -> str:
    """An OrgSnapshot."""
    return f"costhub:org:{_SNAPSHOTS}:{org_id}"


def corrected_key(shard: int, request_id: str) -> str:
    """The mark that an estimated row has had its correction."""
    return f"{tag(shard)}:corrected:{request_id}"


def management_answer_key(owner: str, digest: str) -> str:
    """The first answer of the management API to an Idempotency-Key; ``owner`` is an organisation or platform token."""
    return f"costhub:answer:{owner}:{digest}"
