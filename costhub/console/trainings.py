"""The console's pages of trainings: asked for by a form, and watched while they run."""

from typing import Any, Final

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods

from billing.spend.core.chart import make_sparkline
from costhub.console.forms import Field, Form
from costhub.console.frame import frame
from costhub.console.pages import show_form
from costhub.console.sign_in import org_page
from costhub.lib.errors import InvalidField
from costhub.stack.model_server import MODEL
from proxy.learning.choices import JobKind, JobState, VersionState
from proxy.learning.jobs import create_training_job, find_seconds_left, find_used
from proxy.learning.models import DatasetVersion, Student, TrainingJob, TunedModel
from tenants.access import Actor, access_named, access_row, find_row
from tenants.choices import Permission
from tenants.models import Project
from tenants.selectors import list_projects

#: versions that are offered: the newest
VERSIONS: Final = 100
UNDER_WAY: Final = frozenset({JobState.WAITING.value, JobState.RUNNING.value})
KINDS: Final = {
    JobKind.HEAD.value: "A student: tells labels apart, answers in milliseconds",
    JobKind.ENCODER.value: "A student with an encoder that learns too: surer, and takes minutes",
    JobKind.LORA.value: "An adapter of a language model: says the answers itself",
}
_FIRST: Final = {"kind": JobKind.HEAD.value, "floor_per_mille": "900", "per_hour": "0.00"}


@require_http_methods(["GET", "POST"])
@org_page
def new_training(request: HttpRequest, actor: Actor) -> HttpResponse:
    """The form of a training."""
    actor.check(Permission.WRITE_SETTINGS)
    form = Form(_fields(actor), {**_FIRST, "version": request.GET.get("version", "")})
    if request.method == "POST":
        made = form.submit(request, actor, lambda form: _create(actor, form))
        if made is not None:
            return redirect("training", slug=actor.org.slug, job_id=str(made.pk))
    lead = (
        "A worker takes it: `costhub gpu-worker`. Its time is in the ledger, and budgets hold ten minutes of it ahead."
        if _versions(actor)
        else "There is no version of a dataset yet: make a dataset, fill it, and freeze a version of it first."
    )
    return show_form(
        request, actor, "learning", "Learning", form, "New training", submit_label="Start training", lead=lead
    )


@require_GET
@org_page
def training(request: HttpRequest, actor: Actor, job_id: str) -> HttpResponse:
    """How far a training is; the part that changes comes anew by itself while it is under way."""
    actor.check(Permission.READ_MONEY)
    jobs = TrainingJob.objects.filter(org=actor.org).select_related("version__dataset")
    job = access_row(jobs, actor, job_id)
    context = {
        **frame(request, actor, "learning"),
        **describe_job(job),
        "can_change": actor.may(Permission.WRITE_SETTINGS),
        "student": Student.objects.filter(org=actor.org, job=job).defer("weights").first(),
        "tuned": TunedModel.objects.filter(org=actor.org, job=job).defer("adapter", "served").first(),
        "project": Project.objects.filter(org=actor.org, pk=job.project_id).first(),
        "address": reverse("training", args=[actor.org.slug, job.pk]),
    }
    part = getattr(request, "htmx", False)
    return render(request, "console/_training.html" if part else "console/training.html", context)


def describe_job(job: TrainingJob) -> dict[str, Any]:
    """A training as the pages show it."""
    losses = [max(0, int(point[1] * 1_000_000)) for point in job.losses]
    return {
        "row": job,
        "used": find_used(job),
        "curve": make_sparkline(losses),
        "first_loss": job.losses[0][1] if job.losses else None,
        "last_loss": job.losses[-1][1] if job.losses else None,
        "seconds_left": find_seconds_left(job) if job.state == JobState.RUNNING.value else None,
        "is_under_way": job.state in UNDER_WAY,
    }


def list_version_choices(actor: Actor) -> list[tuple[str, str]]:
    """The versions of datasets that there are, to choose from, the newest first."""
    return [
        (
            str(each.pk),
            f"{each.dataset.name}, version {each.number}: {len(each.train):,} to learn from, {len(each.labels):,} labels",
        )
        for each in _versions(actor)
    ]


def _versions(actor: Actor) -> list[DatasetVersion]:
    ready = DatasetVersion.objects.filter(org=actor.org, state=VersionState.READY.value)
    return list(ready.select_related("dataset").order_by("-created_at")[:VERSIONS])


def _fields(actor: Actor) -> list[Field]:
    projects = [(str(each.pk), each.name) for each in list_projects(actor).order_by("name")]
    return [
        Field(
            "name", "Name", help="An adapter is called by it, and so has no blanks in it.", is_required=True, most=120
        ),
        Field("kind", "What is trained", "select", choices=list(KINDS.items())),
        Field("version", "Version of a dataset", "select", choices=list_version_choices(actor)),
        Field("project", "Project that pays", "select", choices=projects),
        Field("per_hour", "USD that an hour of the worker costs", is_required=True, most=20),
        Field("most", "USD that it may cost at most", help="Then it ends, and says so.", most=20),
        Field(
            "floor_per_mille",
            "Agreement with the teacher that must be certain, per mille",
            help="What it is less sure of is left to the teacher. 500 to 999.",
            is_required=True,
            most=4,
        ),
        Field(
            "base_model",
            "Adapter: of which model",
            help="One that the worker has, by its name.",
            choices=[(MODEL, MODEL)],
            most=200,
        ),
        Field("rank", "Adapter or encoder: rank", help="Of how much it may learn. 1 to 64; 8.", most=3),
        Field("sequence_tokens", "Adapter: longest example, in tokens", help="Longer ones are left out; 512.", most=6),
        Field("epochs", "How often each example is learned from", help="Empty: as is usual for the kind.", most=6),
        Field("batch_rows", "Examples of a step", help="Empty: as is usual for the kind.", most=6),
        Field("rate_millionths", "Learning rate, millionths", help="Empty: as is usual for the kind.", most=8),
    ]


def _create(actor: Actor, form: Form) -> TrainingJob:
    version = find_row(DatasetVersion.objects.select_related("dataset"), actor, form.text("version"))
    if version is None:
        raise InvalidField("Choose a version of a dataset.", field="version")
    project = access_named(Project.objects.all(), actor, form.text("project"), field="project")
    names = ("rank", "sequence_tokens", "epochs", "batch_rows", "rate_millionths")
    given = {name: form.whole(name) for name in names if form.text(name)}
    return create_training_job(
        actor=actor,
        version=version,
        project=project,
        name=form.text("name"),
        kind=form.choice("kind", JobKind),
        base_model=form.text("base_model"),
        floor_per_mille=form.whole("floor_per_mille"),
        per_hour_nanos=form.money("per_hour"),
        most_nanos=form.money("most") if form.text("most") else None,
        **given,
    )
