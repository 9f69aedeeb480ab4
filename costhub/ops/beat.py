"""Celery beat without a leader: any number of beats may run, and each run of a task is put into the queue by one of
them.

Valkey remembers when each task was last put into the queue. A beat that finds a task due claims the run by moving that
moment forward, which only the first to try can do: the others see another moment than they knew, and go by that one. So
nobody holds a lock that could be lost or outlive its holder, a beat that is killed is not missed for a moment, one that
was asleep cannot wake up and send what is long sent, and what came due while no beat ran is made up for.
"""

import logging
from datetime import datetime
from typing import Any, Final, cast

import redis
from celery.beat import Scheduler
from celery.schedules import schedstate

from costhub.lib import clock
from costhub.lib.keyspace import BEAT, JOBS
from costhub.lib.moments import from_ms
from costhub.lib.redis import connect
from costhub.ops.heartbeats import find_pulse

_log = logging.getLogger(__name__)

#: KEYS[1] the hash; ARGV the task, the moment that this beat knew, its own moment. Gives whether the run is ours, the
#: moment that stands there now, and whether one stood there before.
_CLAIM: Final = """
local last = redis.call('HGET', KEYS[1], ARGV[1])
if last and last ~= ARGV[2] then return {0, tonumber(last), 1} end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return {1, tonumber(ARGV[3]), last and 1 or 0}
"""
#: the header of a task's message that says which run it is: the millisecond at which it was claimed
RUN_HEADER: Final = "costhub_run_ms"
#: Valkey is the broker too: while it is away nothing can be sent
_RETRY_SECONDS: Final = 1.0

#: Celery's ScheduleEntry; its stubs call attributes optional that every entry has
Entry = Any


class SharedScheduler(Scheduler):
    """Schedules the app's table together with every other beat on the same Valkey."""

    def __init__(self, app: Any, *arguments: Any, **options: Any) -> None:
        self._store = connect(app.conf.get("costhub_broker") or app.conf.broker_url)
        self._known: dict[str, int] = {}
        self._pulse = find_pulse(app)
        super().__init__(app, *arguments, **options)

    def setup_schedule(self) -> None:
        super().setup_schedule()
        entries: dict[str, Entry] = self.schedule
        for entry in entries.values():
            entry.options = {**entry.options, "headers": {}}
        try:
            self._note_beginning()
            sent = cast(dict[bytes, bytes], self._store.hgetall(BEAT))
        except redis.RedisError:
            return  # what was sent last is learnt with the first claim
        for task, moment in sent.items():
            if (known := self.schedule.get(task.decode())) is not None:
                self._learn(known, int(moment))

    def tick(self, *arguments: Any, **options: Any) -> Any:
        """One turn of the loop: everything that is due is sent."""
        if self._pulse is not None:
            self._pulse.show(works=True)
        return super().tick(*arguments, **options)

    def is_due(self, entry: Entry) -> Any:
        """Due means here: due, and ours to send."""
        state = entry.is_due()
        if not state[0]:
            return state
        try:
            is_ours, sent_ms = self._claim(entry.name)
        except redis.RedisError:
            _log.warning("Valkey is out of reach: nothing is scheduled until it is back")
            return schedstate(is_due=False, next=_RETRY_SECONDS)
        self._learn(entry, sent_ms)
        if not is_ours:
            return entry.is_due()
        entry.options["headers"][RUN_HEADER] = sent_ms
        return state

    def reserve(self, entry: Entry) -> Any:
        following = entry._next_instance(last_run_at=self._moment_of(entry))
        self.schedule[entry.name] = following
        return following

    def _claim(self, name: str) -> tuple[bool, int]:
        known = self._known.get(name, "")
        claimed = self._store.eval(_CLAIM, 1, BEAT, name, known, clock.now_ms())
        is_ours, sent_ms, was_there = cast("list[int]", claimed)
        if not was_there:
            # The first time, or Valkey has lost what it had: nobody knows when which job succeeded, and none is late
            # for that.
            self._note_beginning()
        return is_ours == 1, sent_ms

    def _note_beginning(self) -> None:
        """A job that has never succeeded is as late as its first beat is old."""
        now_ms, pipe = clock.now_ms(), self._store.pipeline(transaction=False)
        for name in self.schedule:
            pipe.hsetnx(JOBS, name, now_ms)
        pipe.execute()

    def _learn(self, entry: Entry, sent_ms: int) -> None:
        self._known[entry.name] = sent_ms
        entry.last_run_at = self._moment_of(entry)

    def _moment_of(self, entry: Entry) -> datetime:
        # A beat whose clock was wrong must not stop the others until its moment has come.
        sent_ms = min(self._known[entry.name], clock.now_ms())
        return cast("datetime", entry.schedule.maybe_make_aware(from_ms(sent_ms)))
