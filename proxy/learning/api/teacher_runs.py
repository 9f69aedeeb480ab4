"""/teacher-runs: prompts that a dataset's teacher answers."""

from typing import ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from proxy.learning.models import Dataset, TeacherRun
from proxy.learning.teacher import cancel_teacher_run, start_teacher_run
from tenants.access import access_row
from tenants.api.base import TenantViewSet
from tenants.api.fields import Answer, Body, Text, Usd
from tenants.choices import Permission


class TeacherRunAnswer(Answer):
    """A run: how many of its prompts were answered, how many got no answer, and what it cost. ``error`` is what it
    waits for, such as money, or why it ended."""

    dataset = serializers.CharField(source="dataset_id")
    cost = Usd(source="cost_nanos")

    class Meta:
        model = TeacherRun
        fields: ClassVar = ["id", "dataset", "state", "error", "total", "answered", "failed", "cost", "created_at"]


class NewTeacherRun(Body):
    """``prompts``: a JSON object with ``messages`` a line. ``api_key``: who calls, and whose budgets hold."""

    dataset = Text(max_length=120)
    prompts = Text(max_length=1_000_000)
    api_key = Text(max_length=100)


class TeacherRunViewSet(TenantViewSet):
    """Runs."""

    queryset = TeacherRun.objects.all()
    serializer_class = TeacherRunAnswer
    read_permission = Permission.READ_MONEY

    def rows(self) -> QuerySet[TeacherRun]:
        """Those of the open organisation."""
        return TeacherRun.objects.filter(org=self.actor.org)

    @extend_schema(request=NewTeacherRun, responses={201: TeacherRunAnswer})
    def create(self, request: Request) -> Response:
        """Have the teacher answer prompts, through the proxy and within the key's budgets."""
        body = self.read(NewTeacherRun)
        dataset = access_row(Dataset.objects.select_related("org"), self.actor, body.pop("dataset"))
        return self.show(start_teacher_run(actor=self.actor, dataset=dataset, **body), 201)

    def destroy(self, request: Request, pk: str) -> Response:
        """Ask no more prompts; what was answered stays."""
        cancel_teacher_run(actor=self.actor, run=self.access(pk))
        return Response(status=204)
