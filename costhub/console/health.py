"""The operators' page of health: when each job last succeeded, what waits, and what somebody should look at."""

import logging
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET
from redis.exceptions import RedisError

from costhub.console.staff import staff_page
from costhub.ops.backlog import Backlog, count_queued, read_backlog
from costhub.ops.jobs import JobAge, read_ages
from costhub.ops.watch import Trouble, find_troubles
from tenants.models import User

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Health:
    """What Valkey knows of the installation's own work."""

    jobs: list[JobAge]
    backlog: Backlog
    queued: int
    troubles: list[Trouble]


@require_GET
@staff_page
def health(request: HttpRequest, user: User) -> HttpResponse:
    """Jobs, queues and troubles as they are now."""
    found: Health | None = None
    try:
        found = Health(read_ages(), read_backlog(), count_queued(), find_troubles())
    except RedisError:
        _log.warning("health_cannot_be_read")
    context: dict[str, Any] = {"health": found}
    return render(request, "console/health.html", context, status=200 if found else 503)
