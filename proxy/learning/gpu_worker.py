"""The worker that trains: it takes a job, trains it to its end or until it is told to end, and takes the next.

A notice (SIGTERM, SIGINT, the cloud's) ends the present step, makes its state safe and gives the job back. A worker
that dies without one is found out by its lease, and the next goes on from the last checkpoint.
"""

import logging
import os
import socket
from collections.abc import Callable, Sequence
from typing import Final

from django.db import InterfaceError, OperationalError

from costhub.lib import clock
from proxy.learning.checkpoints import Checkpoints, Fenced, Store, StoreFailed, list_jobs
from proxy.learning.choices import JobKind, JobState
from proxy.learning.classifying import Classifying, Embed
from proxy.learning.head import TrainingDiverged
from proxy.learning.interruptions import Interruption
from proxy.learning.leases import (
    Cancelled,
    Lease,
    NotHeld,
    OutOfMoney,
    give_up_job,
    leave_job,
    list_under_way,
    take_job,
)
from proxy.learning.material import RowsWithdrawn, TooLittle
from proxy.learning.training import BEAT_SECONDS, SAVE_SECONDS

_log = logging.getLogger(__name__)

#: how long a worker without a job waits before it looks again
IDLE_SECONDS: Final = 2.0
#: between two jobs it is looked that often what is kept of those that are over
SWEEP_SECONDS: Final = 60.0
#: rows are withdrawn under one job's hands no more often than this
_MOST_RESTARTS: Final = 20


class GpuWorker:
    """One process's work. ``embed`` gives unit vectors. ``kinds`` of jobs are taken: all but a head's need the extra.
    ``on_idle`` is called before each look for a job."""

    def __init__(
        self,
        store: Store,
        embed: Embed,
        interruption: Interruption,
        *,
        name: str = "",
        kinds: Sequence[JobKind] = (JobKind.HEAD,),
        save_seconds: float = SAVE_SECONDS,
        beat_seconds: float = BEAT_SECONDS,
        on_idle: Callable[[], None] = lambda: None,
    ) -> None:
        self._store = store
        self._embed = embed
        self._interruption = interruption
        self._name = name or f"{socket.gethostname()}:{os.getpid()}"
        self._kinds = kinds
        self._save_seconds = save_seconds
        self._beat_seconds = beat_seconds
        self._on_idle = on_idle

    def run(self, *, is_once: bool = False) -> int:
        """Work until it is told to end, or with ``is_once`` until no job is there. Gives the number of jobs that were
        brought to an end."""
        ended, next_sweep = 0, clock.ends_in(0)
        while not self._interruption.is_noticed:
            self._on_idle()
            if clock.monotonic_ns() >= next_sweep:
                self._forget_ended()
                next_sweep = clock.ends_in(SWEEP_SECONDS)
            try:
                lease = take_job(self._name, self._kinds)
            except (InterfaceError, OperationalError):
                if is_once:
                    raise
                _log.warning("the database is away", exc_info=True)
                lease = None
            if lease is not None:
                ended += self.work(lease)
            elif is_once:
                break
            else:
                self._interruption.wait(IDLE_SECONDS)
        return ended

    def work(self, lease: Lease) -> bool:
        """Bring a job to its end, or as far as possible. Says whether it is at its end. Whatever goes wrong with it,
        the worker lives on."""
        try:
            return self._work(lease)
        except Exception as error:  # noqa: BLE001 - the next job has done nothing wrong
            _log.exception("a job failed unforeseen", extra={"job": str(lease.job_id)})
            # What an exception says may be what people said.
            why = f"{type(error).__name__}, of which the log of {self._name} has more."
            try:
                give_up_job(lease, why)
            except (InterfaceError, OperationalError):
                # It ends with its lease.
                _log.exception("a job could not be given back", extra={"job": str(lease.job_id)})
            self._interruption.wait(IDLE_SECONDS)
            return False

    def _forget_ended(self) -> None:
        """Delete what is kept of jobs that ended without a worker, as one that is cancelled while it waits, or whose
        dataset is gone: it is made of what people said."""
        try:
            # Listed first: what is begun after that is on neither list.
            kept = list_jobs(self._store)
            under_way = {str(job_id) for job_id in list_under_way()} if kept else set()
            for job in sorted(set(kept) - under_way):
                Checkpoints(self._store, job, 0).forget()
                _log.info("what was kept of a job that is over is deleted", extra={"job": job})
        except (StoreFailed, InterfaceError, OperationalError) as failed:
            _log.warning("what is kept of jobs that are over could not be deleted", extra={"reason": str(failed)})

    def _work(self, lease: Lease) -> bool:
        checkpoints = Checkpoints(self._store, str(lease.job_id), lease.fence)
        try:
            checkpoints.take_over()
            for _ in range(_MOST_RESTARTS):
                try:
                    state = self._train(lease, checkpoints)
                    break
                except RowsWithdrawn:
                    checkpoints.forget()
                    checkpoints.take_over()
            else:
                raise TooLittle("Consent was withdrawn again and again while the job was running.")
            error = ""
        except Fenced:
            _log.info("another worker has the job", extra={"job": str(lease.job_id)})
            return False
        except StoreFailed as failed:
            # Not the job's fault: it waits for a worker that reaches the store.
            _log.error("checkpoints are out of reach", extra={"reason": str(failed)})
            leave_job(lease, JobState.WAITING, str(failed))
            self._interruption.wait(IDLE_SECONDS)
            return False
        except NotHeld as refused:
            # It goes on from its last checkpoint when a budget takes it.
            leave_job(lease, JobState.WAITING, str(refused))
            return False
        except Cancelled:
            state, error = JobState.CANCELLED, ""
        except (OutOfMoney, TrainingDiverged, TooLittle) as failed:
            state, error = JobState.FAILED, str(failed)
        except MemoryError as failed:
            why = str(failed) or "The worker's memory does not hold this version: make a smaller one."
            state, error = JobState.FAILED, why
        leave_job(lease, state, error)
        if state is JobState.WAITING:
            return False
        try:
            # Nobody needs them any more, and they are made of what people said.
            checkpoints.forget()
        except StoreFailed as failed:
            _log.warning("checkpoints could not be deleted", extra={"reason": str(failed)})
        return True

    def _train(self, lease: Lease, checkpoints: Checkpoints) -> JobState:
        paces = {"save_seconds": self._save_seconds, "beat_seconds": self._beat_seconds}
        if lease.kind is JobKind.LORA:
            from proxy.learning.lora.tuning import tune  # noqa: PLC0415 - it brings PyTorch

            return tune(lease, checkpoints, self._interruption, **paces)
        return Classifying(lease, checkpoints, self._interruption, self._embed, **paces).train()
