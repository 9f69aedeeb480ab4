"""What operators should be told of: jobs that are late, a ledger that lags, a queue that nobody empties.

Each trouble is told once when it begins, once an hour while it lasts, and once when it is over. What was told stands in
the Valkey of Celery's queue, so that two workers that look at the same moment tell it once, and that whoever looks can
tell, whichever master of a cluster is away.
"""

import logging
from dataclasses import dataclass
from smtplib import SMTPException
from typing import Final, cast

from django.conf import settings

from costhub.lib import clock, keyspace
from costhub.lib.redis import broker
from costhub.ops.backlog import count_queued, read_backlog
from costhub.ops.jobs import read_ages
from costhub.stack.backup import state as archive
from tenants.actions.operators import tell_operators

_log = logging.getLogger(__name__)

AGAIN_AFTER_MS: Final = 3_600_000
LAG_SECONDS: Final = 60
#: beat adds about three messages a second, and a worker that keeps up leaves none of them lying
QUEUED: Final = 200

#: what a stack's archive keeps, and where to look when it does not
ARCHIVED: Final = {
    archive.LOG: ("PostgreSQL's write-ahead log", "logs/archive.log says why."),
    archive.BASE: ("A base backup", "Run `costhub backup`, and look at what should run it daily."),
}

#: KEYS[1] the hash; ARGV the trouble, now, the moment before which a telling is too old. Gives 1 to who may tell it,
#: and what stood there
_CLAIM: Final = """
local told = redis.call('HGET', KEYS[1], ARGV[1])
if told and tonumber(told) > tonumber(ARGV[3]) then return {0, told} end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return {1, told or ''}
"""


#: what cannot be seen while another trouble lasts, and so is not over: events wait in the shards that are away
_HIDDEN_BY: Final = {"ledger lag": "valkey shards"}


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that is not well. ``name`` is the same for as long as it lasts."""

    name: str
    sentence: str


def find_troubles() -> list[Trouble]:
    """Everything that is not well now. Raises RedisError."""
    ages = archive.read_ages(settings.ARCHIVE_STATE)
    troubles = [
        Trouble(
            f"job {age.job.name}",
            f"The job {age.job.name} last succeeded {age.seconds:.0f} s ago: {age.job.late_after_seconds:.0f} s at most "
            "are usual. The workers' logs say why.",
        )
        for age in read_ages()
        if age.is_late
    ]
    troubles += [
        Trouble(
            f"backup {kept}",
            f"{told} has not been kept for {seconds:.0f} s: {archive.LATE_AFTER[kept]:.0f} s at most are usual. {advice}",
        )
        for kept, (told, advice) in ARCHIVED.items()
        if (seconds := ages.get(kept, 0.0)) > archive.LATE_AFTER[kept]
    ]
    backlog = read_backlog()
    if backlog.lag_seconds > LAG_SECONDS:
        troubles.append(
            Trouble(
                "ledger lag",
                f"The oldest of {backlog.events} ledger events has waited {backlog.lag_seconds:.0f} s for PostgreSQL. "
                "Nothing is lost; what people see of their spend is that old.",
            )
        )
    if backlog.away:
        troubles.append(
            Trouble(
                "valkey shards",
                f"No Valkey answers for {len(backlog.away)} of {keyspace.SHARDS} shards: calls of their organisations "
                "are refused.",
            )
        )
    queued = count_queued()
    if queued > QUEUED:
        troubles.append(Trouble("queue", f"{queued} tasks wait in Celery's queue: workers are too few, or stuck."))
    return troubles


def tell_troubles(troubles: list[Trouble]) -> int:
    """Tell operators what is new, what has lasted another hour, and what is over. Gives the number of messages."""
    told = sum(_tell_trouble(trouble) for trouble in troubles)
    names = {trouble.name for trouble in troubles}
    lasting = names | {name for name, hidden_by in _HIDDEN_BY.items() if hidden_by in names}
    before = cast("list[bytes]", broker().hkeys(keyspace.ALARMS))
    return told + sum(_tell_end(name) for name in sorted(known.decode() for known in before) if name not in lasting)


def _tell_trouble(trouble: Trouble) -> bool:
    now_ms = clock.now_ms()
    may_tell, before = cast(
        "tuple[int, bytes]",
        broker().eval(_CLAIM, 1, keyspace.ALARMS, trouble.name, now_ms, now_ms - AGAIN_AFTER_MS),
    )
    if may_tell != 1:
        return False
    _log.warning("something is not well", extra={"trouble": trouble.name, "sentence": trouble.sentence})
    try:
        tell_operators(f"CostHub: {trouble.name}", trouble.sentence)
    except (OSError, SMTPException):
        # Nobody heard it: the next round tells it again, as if this one had not been.
        _log.warning("operators could not be told", exc_info=True)
        if before:
            broker().hset(keyspace.ALARMS, trouble.name, before)
        else:
            broker().hdel(keyspace.ALARMS, trouble.name)
        return False
    return True


def _tell_end(name: str) -> bool:
    began = cast("bytes | None", broker().hget(keyspace.ALARMS, name))
    if broker().hdel(keyspace.ALARMS, name) != 1:
        return False  # another worker tells it
    _log.warning("something is well again", extra={"trouble": name})
    try:
        tell_operators(f"CostHub: {name} is over", f"The problem «{name}» is over.")
    except (OSError, SMTPException):
        _log.warning("operators could not be told", exc_info=True)
        broker().hsetnx(keyspace.ALARMS, name, began or 0)
        return False
    return True
