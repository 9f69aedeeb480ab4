"""/audit-log: who changed what."""

from typing import Any, ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from tenants.api.base import TenantViewSet
from tenants.api.fields import Answer, Body, Text
from tenants.api.paging import PARAMETERS
from tenants.choices import Permission
from tenants.models import AuditEntry
from tenants.selectors import list_audit_entries


class AuditAnswer(Answer):
    """One change. ``changes`` holds new values, or [old, new] pairs."""

    changes = serializers.DictField()

    class Meta:
        model = AuditEntry
        fields: ClassVar = ["id", "created_at", "actor", "action", "target_kind", "target_id", "changes"]


class AuditFilters(Body):
    """Which changes."""

    actor = Text(required=False)
    action = Text(required=False)
    target_id = Text(required=False)


class AuditViewSet(TenantViewSet):
    """The audit log, read only."""

    queryset = AuditEntry.objects.all()
    serializer_class = AuditAnswer
    read_permission = Permission.READ_MONEY
    known_parameters = PARAMETERS | {"actor", "action", "target_id"}

    def rows(self) -> QuerySet[AuditEntry]:
        """Those of the open organisation."""
        return list_audit_entries(self.actor)

    def filter_rows(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        """Those of one actor, action or target, if asked."""
        return rows.filter(**self.read_query(AuditFilters))

    @extend_schema(parameters=[AuditFilters])
    def list(self, request: Request) -> Response:
        """A page of changes, newest first."""
        return super().list(request)
