"""Celery's workers show that they live (``costhub.stack.pulse``): whoever imports this has them do so, where
``costhub_pulse`` of their app's settings says how their files begin.

By signals of a worker's first process, whose loop brings tasks to the others: one that hangs, or has lost its queue
without noticing, sends none.
"""

from typing import Any

from celery.signals import heartbeat_sent, task_received

from costhub.stack.pulse import Pulse


def find_pulse(app: Any) -> Pulse | None:
    """Where processes of a Celery app show that they live; None where nobody wants to know."""
    path = app.conf.get("costhub_pulse")
    return Pulse(path) if path else None


@heartbeat_sent.connect
def _turn(sender: Any, **_: Any) -> None:
    """The loop turns: every two seconds, while the queue's Valkey answers."""
    if (pulse := find_pulse(sender.eventer.app)) is not None:
        # It belongs to workers, and other processes load this module, too.
        from celery.worker.state import reserved_requests  # noqa: PLC0415

        pulse.show(works=bool(reserved_requests))


@task_received.connect
def _take(sender: Any, **_: Any) -> None:
    """A task has come."""
    if (pulse := find_pulse(sender.app)) is not None:
        pulse.show(works=True)
