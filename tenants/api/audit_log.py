"""/audit-log: who changed what."""

from typing import Any, ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from tenants.actions.audit import AuditChain, verify_audit_chain
from tenants.api.base import TenantViewSet
from tenants.api.fields import Answer, Body, Text
from tenants.api.paging import PARAMETERS
from tenants.choices import Permission
from tenants.models import AuditEntry
from tenants.selectors import list_audit_entries


class AuditAnswer(Answer):
    """One change. ``changes`` holds new values, or [old, new] pairs; ``hash`` covers it and all that is before it."""

    changes = serializers.DictField()
    hash = serializers.SerializerMethodField()

    def get_hash(self, entry: AuditEntry) -> str | None:
        """In hexadecimal. None until the change is committed."""
        return None if entry.hash is None else bytes(entry.hash).hex()

    class Meta:
        model = AuditEntry
        fields: ClassVar = [
            "id",
            "created_at",
            "actor",
            "action",
            "target_kind",
            "target_id",
            "changes",
            "number",
            "hash",
        ]


class ChainAnswer(serializers.Serializer[AuditChain]):
    """What was found of an organisation's audit log: how far it reaches, and whether its hashes are those of what it
    says. Who writes down ``entries`` and ``hash`` can tell later whether its end was cut off."""

    entries = serializers.IntegerField()
    hash = serializers.CharField(allow_blank=True)
    first_broken = serializers.IntegerField(allow_null=True)


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

    @extend_schema(responses={200: ChainAnswer}, parameters=[])
    @action(detail=False, pagination_class=None)
    def chain(self, request: Request) -> Response:
        """Counts the chain of hashes anew, entry by entry."""
        self.actor.check(Permission.READ_MONEY)
        return Response(ChainAnswer(verify_audit_chain(self.actor.org.pk)).data)

    @extend_schema(parameters=[AuditFilters])
    def list(self, request: Request) -> Response:
        """A page of changes, newest first."""
        return super().list(request)
