"""/training-jobs and /students: what learns, and what has been learned."""

from typing import Any, ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from proxy.learning.api.around import UNSHOWN_OF_VERSIONS, LooksAround
from proxy.learning.choices import JobKind, Stage
from proxy.learning.deployment import deploy_student, retire_student
from proxy.learning.jobs import cancel_training_job, create_training_job, find_seconds_left, find_used
from proxy.learning.models import DatasetVersion, Student, TrainingJob
from proxy.learning.students import list_warnings, read_economy, set_stage
from tenants.access import access_named, access_row
from tenants.api.base import TenantViewSet
from tenants.api.fields import Answer, Body, Choice, Text, Usd, Whole
from tenants.choices import Permission
from tenants.models import Project


class TrainingJobAnswer(Answer):
    """A job. ``losses``: pairs of a step and the mean loss before it. ``spent`` is what is charged, ``used`` that with
    the present worker's time. ``seconds_left`` is null while nobody knows."""

    version = serializers.CharField(source="version_id")
    project = serializers.CharField(source="project_id")
    per_hour = Usd(source="per_hour_nanos")
    most = Usd(source="most_nanos", allow_null=True)
    spent = Usd(source="spent_nanos")
    used = serializers.SerializerMethodField()
    losses = serializers.ListField(child=serializers.ListField(child=serializers.FloatField()))
    seconds_left = serializers.SerializerMethodField()

    class Meta:
        model = TrainingJob
        fields: ClassVar = [
            "id",
            "version",
            "project",
            "name",
            "kind",
            "base_model",
            "rank",
            "sequence_tokens",
            "epochs",
            "batch_rows",
            "rate_millionths",
            "seed",
            "floor_per_mille",
            "per_hour",
            "most",
            "state",
            "error",
            "worker",
            "fence",
            "spent",
            "used",
            "step",
            "steps",
            "tokens",
            "losses",
            "seconds_left",
            "ended_at",
            "created_at",
        ]

    @extend_schema_field(Usd())
    def get_used(self, job: TrainingJob) -> str:
        """Until the worker was last heard of."""
        return Usd().to_representation(find_used(job))

    def get_seconds_left(self, job: TrainingJob) -> int | None:
        """At the present worker's pace."""
        return find_seconds_left(job)


class NewTrainingJob(Body):
    """What a job is made of. ``kind`` head trains a classifier of questions, encoder one with an encoder of its own
    under it, which learns so much as its ``rank`` allows; lora an adapter of ``base_model``, of this ``rank``, on any
    answers of at most ``sequence_tokens`` with their questions. ``per_hour``: USD that an hour of the worker costs the
    project; ``most``: USD that the whole job may."""

    version = Text(max_length=100)
    project = Text(max_length=200)
    name = Text(max_length=120)
    kind = Choice(JobKind, required=False)
    base_model = Text(required=False, max_length=200)
    rank = Whole(required=False)
    sequence_tokens = Whole(required=False)
    epochs = Whole(required=False)
    batch_rows = Whole(required=False)
    rate_millionths = Whole(required=False)
    seed = Whole(required=False)
    floor_per_mille = Whole(required=False)
    per_hour = Usd(required=False)
    most = Usd(required=False)


class TrainingJobViewSet(TenantViewSet):
    """Jobs."""

    queryset = TrainingJob.objects.all()
    serializer_class = TrainingJobAnswer
    read_permission = Permission.READ_MONEY

    def rows(self) -> QuerySet[TrainingJob]:
        """Those of the open organisation."""
        return TrainingJob.objects.filter(org=self.actor.org)

    @extend_schema(request=NewTrainingJob, responses={201: TrainingJobAnswer})
    def create(self, request: Request) -> Response:
        """Have a student trained on a version whose answers are labels, or an adapter of a language model."""
        body = self.read(NewTrainingJob)
        version = access_row(DatasetVersion.objects.all(), self.actor, body.pop("version"))
        project = access_named(Project.objects.all(), self.actor, body.pop("project"), field="project")
        money = {f"{name}_nanos": body.pop(name) for name in ("per_hour", "most") if name in body}
        return self.show(create_training_job(actor=self.actor, version=version, project=project, **body, **money), 201)

    def destroy(self, request: Request, pk: str) -> Response:
        """Cancel it; what was used is charged."""
        cancel_training_job(actor=self.actor, job=self.access(pk))
        return Response(status=204)


class EconomyAnswer(serializers.Serializer[Any]):
    """What one that was trained saves: what a call of its teacher's costs (null: there was none in four weeks), what a
    call costs that asks it (null: it has no price; a student's is nothing), the share of calls that it answers, what it
    cost, of that ``bought`` the teacher's answers that were asked for its dataset, and the calls from which on that has
    come back (null: never). ``per_success``: what an answer as the teacher's costs where it is asked first, with 95 %
    limits."""

    teacher_call = Usd(source="teacher_call_nanos", allow_null=True)
    own_call = Usd(source="own_call_nanos", allow_null=True)
    answered_millionths = serializers.IntegerField()
    spent = Usd(source="spent_nanos")
    bought = Usd(source="bought_nanos")
    break_even_calls = serializers.IntegerField(allow_null=True)
    calls_a_day_millionths = serializers.IntegerField()
    per_success = Usd(source="per_success.nanos", allow_null=True)
    per_success_low = Usd(source="per_success.low", allow_null=True)
    per_success_high = Usd(source="per_success.high", allow_null=True)


class StudentAnswer(Answer):
    """A student, its evaluation on what was held out, and what came of comparing it with the teacher since."""

    job = serializers.CharField(source="job_id")
    labels = serializers.ListField(child=serializers.CharField())
    evaluation = serializers.DictField()
    economy = serializers.SerializerMethodField()
    warnings = serializers.SerializerMethodField()

    class Meta:
        model = Student
        fields: ClassVar = [
            "id",
            "job",
            "name",
            "labels",
            "sha256",
            "threshold",
            "floor_per_mille",
            "stage",
            "reason",
            "canary_percent",
            "route",
            "evaluation",
            "compared",
            "answered",
            "agreed",
            "economy",
            "warnings",
            "created_at",
        ]

    @extend_schema_field(EconomyAnswer)
    def get_economy(self, student: Student) -> Any:
        """From the ledger."""
        return EconomyAnswer(read_economy(self.context["view"].actor, student)).data

    def get_warnings(self, student: Student) -> list[str]:
        """Why nobody notices whether it still agrees with its teacher; empty where somebody does."""
        return list_warnings(student, self.context["view"].around)


class StudentChanges(Body):
    """Where a student is put, and what it must reach there."""

    stage = Choice(Stage)
    floor_per_mille = Whole(required=False)
    canary_percent = Whole(required=False)


class StudentViewSet(LooksAround, TenantViewSet):
    """Students."""

    queryset = Student.objects.all()
    serializer_class = StudentAnswer
    read_permission = Permission.READ_MONEY

    def rows(self) -> QuerySet[Student]:
        """Those of the open organisation."""
        rows = Student.objects.filter(org=self.actor.org).select_related("job__version__dataset")
        return rows.defer("recent", *(f"job__version__{name}" for name in UNSHOWN_OF_VERSIONS))

    @extend_schema(request=StudentChanges, responses=StudentAnswer)
    def partial_update(self, request: Request, pk: str) -> Response:
        """Put a student into the shadow, the canary or earnest by hand, or out of it."""
        return self.show(set_stage(actor=self.actor, student=self.access(pk), **self.read(StudentChanges)))


class NewDeployment(Body):
    """How a student is served. Without ``route`` its name is the teacher's with ``-distilled``; ``holdout_percent`` of
    the conversations go to the teacher all the same, and say how often the two agree."""

    route = Text(required=False, max_length=200)
    holdout_percent = Whole(required=False)


class DeploymentView(LooksAround):
    """/students/{id}/deployment."""

    @extend_schema(request=NewDeployment, responses=StudentAnswer)
    def put(self, request: Request, pk: str) -> Response:
        """Serve a student by a route, which asks the teacher where it is not sure."""
        student = deploy_student(actor=self.actor, student=self._access(pk), **self.read(NewDeployment))
        return self._show(student)

    @extend_schema(request=None, responses={200: StudentAnswer})
    def delete(self, request: Request, pk: str) -> Response:
        """Serve it no longer: its route is deleted."""
        return self._show(retire_student(actor=self.actor, student=self._access(pk)))

    def _access(self, pk: str) -> Student:
        students = Student.objects.filter(org=self.actor.org).select_related("job__version__dataset")
        return access_row(students, self.actor, pk)

    def _show(self, student: Student) -> Response:
        return Response(StudentAnswer(student, context={"view": self}).data)
