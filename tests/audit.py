"""The audit log, in the order in which it was written."""

from typing import Any

from django.db import connection

from tenants.access import org_scope
from tenants.models import AuditEntry, Organization


def read_audit(org: Organization, **wanted: Any) -> list[AuditEntry]:
    """An organisation's entries, oldest first, by the numbers that the database gives them at the commit: a test that
    is rolled back never gets there, so that it asks for them here. Where a test's clock stands, moments are all one."""
    with org_scope(org.pk):
        with connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS chain IMMEDIATE; SET CONSTRAINTS chain DEFERRED")
        return list(AuditEntry.objects.filter(org=org, **wanted).order_by("number"))
