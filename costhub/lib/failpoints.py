"""Named places at which a test may kill the process: one at every await of the money path.

Armed by ``COSTHUB_FAILPOINT=<name>:<n>``: the n-th time that a process reaches the place it dies as by kill -9. Places
that every call passes ask ``ARMED`` first: nowhere armed, they cost no call of a function.
"""

import os
import signal
from itertools import count
from typing import Final

from django.conf import settings

_name, _, _nth = str(settings.FAILPOINT).partition(":")
ARMED: Final = _name
_NTH: Final = int(_nth or 1)
_visits = count(1)

#: every place there is, in the order in which a call passes them
NAMES: Final = (
    "before_reserve",
    "after_reserve",
    "before_upstream",
    "upstream_connected",
    "first_chunk_received",
    "chunk_sent",
    "answer_received",
    "answer_sent",
    "before_settle",
    "settle_sent",
    "settle_answered",
    "batch_held",
    "batch_taken",
    "call_pooled",
    "batch_handed_on",
    "line_answered",
    "line_saved",
    "batch_written",
    "batch_settled",
    "drain_inserted",
    "drain_committed",
    "drain_acknowledged",
    "reap_found",
    "reap_settled",
    "correct_asked",
    "correct_posted",
    "delivery_taken",
    "delivery_sent",
    "rollup_computed",
    "month_carried",
    "month_dropped",
)


def reach(name: str) -> None:
    """Die here if this place is armed and its turn has come."""
    if name == ARMED and next(_visits) == _NTH:
        os.kill(os.getpid(), signal.SIGKILL)
