"""/teacher-runs: prompts that a dataset's teacher answers, and answers that a model judges."""

from typing import ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from costhub.lib.errors import InvalidField
from proxy.learning.models import Dataset, TeacherRun
from proxy.learning.teacher import cancel_teacher_run, start_judge_run, start_teacher_run
from tenants.access import access_row
from tenants.api.base import TenantViewSet
from tenants.api.fields import Answer, Body, Text, Usd
from tenants.choices import Permission


class TeacherRunAnswer(Answer):
    """A run: how many of its prompts were answered, how many got no answer, and what it cost. ``judge``: the model that
    judges the dataset's answers in it; empty: the teacher answers prompts. ``error`` is what it waits for, such as
    money, or why it ended."""

    dataset = serializers.CharField(source="dataset_id")
    cost = Usd(source="cost_nanos")
    cap = Usd(source="cap_nanos", allow_null=True)

    class Meta:
        model = TeacherRun
        fields: ClassVar = [
            "id",
            "dataset",
            "judge",
            "state",
            "error",
            "total",
            "answered",
            "failed",
            "cost",
            "cap",
            "created_at",
        ]


class NewTeacherRun(Body):
    """``prompts``: a JSON object with ``messages`` a line, and ``gold`` where what is right is known; or ``judge``: a
    model or route that judges the dataset's answers. ``api_key``: who calls, and whose budgets hold. ``cap``: the most
    that the run may cost, decimal USD."""

    dataset = Text(max_length=120)
    prompts = Text(max_length=1_000_000, required=False)
    judge = Text(max_length=200, required=False)
    api_key = Text(max_length=100)
    cap = Usd(required=False)


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
        """Have the teacher answer prompts, or a model judge its answers, through the proxy and within the key's
        budgets."""
        body = self.read(NewTeacherRun)
        dataset = access_row(Dataset.objects.select_related("org"), self.actor, body.pop("dataset"))
        body["cap_nanos"] = body.pop("cap", None)
        if ("prompts" in body) == ("judge" in body):
            raise InvalidField("Give prompts for the teacher, or a judge of its answers, one of them.", field="prompts")
        if "judge" in body:
            return self.show(start_judge_run(actor=self.actor, dataset=dataset, **body), 201)
        return self.show(start_teacher_run(actor=self.actor, dataset=dataset, **body), 201)

    def destroy(self, request: Request, pk: str) -> Response:
        """Ask no more prompts; what was answered stays."""
        cancel_teacher_run(actor=self.actor, run=self.access(pk))
        return Response(status=204)
