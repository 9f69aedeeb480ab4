"""Rows of the table of kept answers."""

import zlib
from datetime import timedelta

from costhub.lib import clock
from proxy.answers.model import StoredAnswer
from tenants.access import org_scope
from tests.world import Tenant


def keep_answer(tenant: Tenant) -> StoredAnswer:
    """An answer that is kept for a day."""
    with org_scope(tenant.org.pk):
        return StoredAnswer.objects.create(
            org_id=tenant.org.pk,
            project_id=tenant.project.pk,
            end_user="",
            kind="response",
            answer_id=f"resp_{tenant.org.slug}",
            model="small",
            packed=zlib.compress(b"[{},[]]"),
            expires_at=clock.now() + timedelta(days=1),
        )
