"""Stores what calls left on the stream of captured calls, where their organisation still consents."""

import logging
from collections import defaultdict
from datetime import timedelta
from typing import Any, Final, cast
from uuid import UUID

import orjson

from costhub.lib import keyspace
from costhub.lib.moments import from_ms
from costhub.lib.redis import client
from proxy.learning.consent import is_covered, list_consents
from proxy.learning.models import CapturedCall
from tenants.access import list_org_ids, org_scope
from tenants.models import CapturePolicy, Organization

_log = logging.getLogger(__name__)

BATCH: Final = 200


def store_captured() -> int:
    """Store one batch. Gives how many were taken from the stream; run twice, or by two, it stores each once."""
    entries = cast("list[tuple[bytes, dict[bytes, bytes]]]", client().xrange(keyspace.CAPTURED, count=BATCH))
    if not entries:
        return 0
    by_org: dict[UUID, list[tuple[dict[str, Any], bytes]]] = defaultdict(list)
    for entry_id, fields in entries:
        try:
            head = orjson.loads(fields[b"h"])
            by_org[UUID(head["org"])].append((head, fields[b"s"]))
        except (KeyError, ValueError):
            _log.error("a captured call cannot be read", extra={"entry": entry_id.decode()})
    known = set(list_org_ids())
    for org_id, calls in by_org.items():
        if org_id in known:
            _store(org_id, calls)
    client().xdel(keyspace.CAPTURED, *(entry_id for entry_id, _ in entries))
    return len(entries)


def _store(org_id: UUID, calls: list[tuple[dict[str, Any], bytes]]) -> None:
    with org_scope(org_id):
        org = Organization.objects.get(pk=org_id)
        consents = list_consents(org)
        days = {policy.model: policy.kept_days for policy in CapturePolicy.objects.filter(org=org)}
        rows = []
        for head, sealed in calls:
            at = from_ms(head["at_ms"])
            if is_covered(consents, head["model"], at):
                kept = timedelta(days=days.get(head["model"], days.get("", 1)))
                rows.append(
                    CapturedCall(
                        id=UUID(head["id"]),
                        org=org,
                        at=at,
                        project_id=UUID(head["project"]),
                        model=head["model"],
                        teacher=head["teacher"],
                        end_user=head["end_user"],
                        sealed=sealed,
                        expires_at=at + kept,
                    )
                )
        CapturedCall.objects.bulk_create(rows, ignore_conflicts=True)
