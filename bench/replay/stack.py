"""The bench's own seat inside the running stack: its settings, its database and Valkey, and how to wait until all is
still."""

import json
import os
from pathlib import Path
from time import perf_counter, sleep
from typing import TYPE_CHECKING, Final

import django

if TYPE_CHECKING:
    from tenants.models import Organization

STILL_SECONDS: Final = 180.0
_PAUSE: Final = 0.5


def join_stack(data: Path, mail_port: int) -> None:
    """Take on the stack's environment, so that this process may run its jobs and read its rows."""
    os.environ |= json.loads((data / "environment.json").read_text()) | {
        "DJANGO_SETTINGS_MODULE": "costhub.settings",
        "COSTHUB_ALLOWED_NETWORKS": "127.0.0.0/8",
        "COSTHUB_SMTP_URL": f"smtp://127.0.0.1:{mail_port}",
        "COSTHUB_MAIL_FROM": "CostHub <costhub@bench.example>",
        "COSTHUB_LOG_LEVEL": "ERROR",
    }
    django.setup()


def wait_still(org: "Organization") -> float:
    """Return when every event is in the ledger, every counter was looked at and every message is out. Gives the
    seconds.

    Raises TimeoutError with what is left.
    """
    from billing.alerts.models import Delivery  # noqa: PLC0415 - the settings read where the stack is
    from costhub.lib import keyspace  # noqa: PLC0415
    from costhub.lib.redis import client  # noqa: PLC0415
    from tenants.access import org_scope  # noqa: PLC0415

    shard, began, still = org.shard, perf_counter(), 0
    while still < 4:
        left = {
            "events": client().xlen(keyspace.ledger_key(shard)),
            "holds": client().zcard(keyspace.leases_key(shard)),
            "counters": client().scard(keyspace.moved_key(shard)) + client().scard(keyspace.looked_at_key(shard)),
        }
        with org_scope(org.pk):
            left["messages"] = Delivery.objects.filter(org=org, state__in=["queued", "sending"]).count()
        still = 0 if any(left.values()) else still + 1
        if perf_counter() - began > STILL_SECONDS:
            raise TimeoutError(f"not still after {STILL_SECONDS:.0f} s: {left}")
        sleep(_PAUSE)
    return perf_counter() - began
