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
_SNAPSHOTS: Final = 11
_COUNTER: Final = re.compile(r"[^:]*:budget:(?P<budget>[0-9a-f-]{36})\.\d+:(?P<start>-?\d+):(?P<subject>.*)", re.DOTALL)
_MARK: Final = re.compile(r".*?:budget:[^:]*:-?\d+:")

#: organisation id -> version of what the hot path knows of it
VERSIONS: Final = "costhub:versions"
#: organisation id -> the last of its versions that may have stopped calls: nobody makes do with an older one
STOPS: Final = "costhub:stops"
#: pub/sub channel: "<organisation id> <version>", then ``MAY_STOP`` where that is so, then the digests of keys that
#: changed themselves, in hexadecimal, or ``ALL_KEYS`` where that is not known
CHANGES: Final = "costhub:changes"
MAY_STOP: Final = "!"
ALL_KEYS: Final = "*"
#: before every key of Celery's: its queue lives in the same database
CELERY_PREFIX: Final = "celery:"
#: before every key of Django's cache: how often somebody asked for a mail or gave a code
PAGES_PREFIX: Final = "costhub:pages"
#: Celery's lists of what no worker has taken yet: what people wait for, what takes its time, and
#: batches, whose calls may take minutes
QUICK_QUEUE: Final = "celery"
SLOW_QUEUE: Final = "slow"
BATCH_QUEUE: Final = "batches"
QUEUES: Final = tuple(f"{CELERY_PREFIX}{name}" for name in (QUICK_QUEUE, SLOW_QUEUE, BATCH_QUEUE))
#: task -> millisecond at which a beat last put it into the queue
BEAT: Final = "costhub:beat"
#: task -> millisecond at which it last succeeded
JOBS: Final = "costhub:jobs"
#: shard -> what its last recount showed, for operators
FIGURES: Final = "costhub:figures"
#: trouble -> millisecond at which operators were last told of it
ALARMS: Final = "costhub:alarms"
#: who this installation is to its store of files: in no copy of its database
INSTALLATION: Final = "costhub:installation"
#: stream: calls that are kept to learn from, sealed, until a job has stored them; what nobody fetches is cut off
CAPTURED: Final = "costhub:captured"

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


def keys_of_hold(shard: int, hold_id: str) -> tuple[str, str]:
    """``closed_key`` and ``hold_key``: every script that reserves or settles wants both."""
    where = tag(shard)
    return f"{where}:closed:{hold_id}", f"{where}:hold:{hold_id}"


def drawn_key(shard: int, hold_id: str) -> str:
    """The lines of a batch that have taken their share out of its hold: a bit each."""
    return f"{tag(shard)}:drawn:{hold_id}"


def closed_key(shard: int, hold_id: str) -> str:
    """What became of a hold that may still be spoken of: ``given up``, ``late``, or ``reaped`` and the amount."""
    return f"{tag(shard)}:closed:{hold_id}"


def told_key(shard: int, call_id: str) -> str:
    """Stream: what a response in the background has said so far, by the id that its caller was given."""
    return f"{tag(shard)}:told:{call_id}"


@cache
def told_until_key(shard: int) -> str:
    """Sorted set: response in the background -> millisecond until which what it said is kept."""
    return f"{tag(shard)}:told-until"


@cache
def told_sizes_key(shard: int) -> str:
    """Hash: response in the background -> bytes that what it said takes; under the empty name those of all."""
    return f"{tag(shard)}:told-sizes"


@cache
def leases_key(shard: int) -> str:
    """Sorted set: hold id -> millisecond at which its lease ends."""
    return f"{tag(shard)}:leases"


@cache
def ledger_key(shard: int) -> str:
    """The stream of ledger events that PostgreSQL has not confirmed."""
    return f"{tag(shard)}:ledger"


@cache
def epoch_key(shard: int) -> str:
    """Present while the shard's counters are known to agree with the ledger. Lost data loses it too."""
    return f"{tag(shard)}:epoch"


def oldest_version_key(shard: int, org_id: str) -> str:
    """The oldest version of an organisation that its calls may be planned by: older plans know of a budget too few."""
    return f"{tag(shard)}:since:{org_id}"


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


def sign_ins_key(kind: str, what: str) -> str:
    """How often somebody has tried to sign in: by ``pair`` of account and address, ``address``, or ``account``."""
    return f"costhub:sign-ins:{kind}:{what}"


def management_answer_key(owner: str, digest: str) -> str:
    """The first answer of the management API to an Idempotency-Key; ``owner`` is an organisation or platform token."""
    return f"costhub:answer:{owner}:{digest}"


def management_calls_key(owner: str, caller: str) -> str:
    """How often a credential has called the management API in its minute; ``owner`` as above, ``caller`` its name."""
    return f"costhub:calls:{owner}:{hashlib.blake2b(caller.encode(), digest_size=12).hexdigest()}"


def written_key(asker: str) -> str:
    """Whether somebody has written lately, so that a replica may not show it yet; by a digest of token or session."""
    return f"costhub:wrote:{asker}"


def form_key(mark: str) -> str:
    """Whether a form of the console was sent already, by the mark that it carries."""
    return f"costhub:form:{mark}"


def status_page_key(page_id: str) -> str:
    """What a public page of upstreams says."""
    return f"costhub:status:{page_id}"


def status_turn_key(page_id: str) -> str:
    """Whether somebody is making it anew."""
    return f"costhub:status-turn:{page_id}"


def cooling_key(place_id: str) -> str:
    """There while a proxy leaves an upstream, or one of its endpoints, alone because it failed."""
    return f"costhub:cooling:{place_id}"


def summary_key(org_id: str, message_id: str) -> str:
    """The mark that a summary was mailed to a member."""
    return f"costhub:summary:{org_id}:{message_id}"


def cached_key(digest: bytes) -> str:
    """A kept answer, by the digest of the call that it answers, in which the organisation is."""
    return f"costhub:cache:{{{digest.hex()}}}"


def flight_key(digest: bytes) -> str:
    """Who asks the upstream for the answer to this call at the moment, and whether others wait for it."""
    return f"costhub:flight:{{{digest.hex()}}}"
