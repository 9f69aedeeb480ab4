"""The console's page of learning: students and what they save, trainings, datasets, and whether a change would pay."""

from datetime import timedelta
from typing import Any, Final

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from billing.routes.distilled import read_distilled
from costhub.console.acts import try_to
from costhub.console.calculator import begin_calculation, calculate
from costhub.console.frame import frame
from costhub.console.lists import read_search, search_rows
from costhub.console.sign_in import org_page
from costhub.console.students import DAYS, describe_student
from costhub.console.trainings import UNDER_WAY, describe_job
from costhub.lib import clock
from costhub.lib.errors import InvalidField
from proxy.learning.jobs import cancel_training_job
from proxy.learning.models import Dataset, DatasetVersion, ProviderTuning, Student, TrainingJob, TunedModel
from proxy.learning.provider_tuning import cancel_provider_tuning
from tenants.access import Actor, access_row
from tenants.choices import Permission
from tenants.selectors import list_capture_policies

#: of each kind, the newest
SHOWN: Final = 20


@require_GET
@org_page
def learning(request: HttpRequest, actor: Actor) -> HttpResponse:
    """The page; with ``q``, of each kind the newest that have it in a name."""
    actor.check(Permission.READ_MONEY)
    org, now, search, error = actor.org, clock.now(), "", ""
    try:
        search = read_search(request.GET.dict())
    except InvalidField as refused:
        error = refused.message
    calculation = calculate(request, actor) if request.GET.keys() - {"q"} else begin_calculation(actor)

    def find(rows: QuerySet[Any], *fields: str) -> QuerySet[Any]:
        return search_rows(rows.filter(org=org), search, fields)

    students = list(
        find(
            Student.objects.select_related("job__version__dataset"), "name", "route", "job__version__dataset__teacher"
        ).order_by("-created_at")[:SHOWN]
    )
    tuned_models = list(
        find(TunedModel.objects.defer("adapter", "served"), "name", "base_model", "model", "route").order_by(
            "-created_at"
        )[:SHOWN]
    )
    is_any = any(each.route for each in [*students, *tuned_models])
    served = read_distilled(actor, now - timedelta(days=DAYS), now) if is_any else {}
    versions = DatasetVersion.objects.select_related("dataset")
    found: dict[str, list[Any]] = {
        "students": [
            {**describe_student(actor, student), "served": served.get(student.route) if student.route else None}
            for student in students
        ],
        "jobs": [
            describe_job(job)
            for job in find(TrainingJob.objects.all(), "name", "base_model", "state").order_by("-created_at")[:SHOWN]
        ],
        "tunings": list(
            find(ProviderTuning.objects.all(), "name", "base_model", "state").order_by("-created_at")[:SHOWN]
        ),
        "tuned_models": [{"row": each, "served": served.get(each.route)} for each in tuned_models],
        "consents": list(search_rows(list_capture_policies(actor), search, ["model"]).order_by("model")),
        "versions": list(find(versions, "dataset__name", "dataset__teacher").order_by("-created_at")[:SHOWN]),
        "datasets": list(find(Dataset.objects.all(), "name", "teacher").order_by("name")),
    }
    error = error or calculation["error"]
    context = {
        **frame(request, actor, "learning"),
        "days": DAYS,
        "can_change": actor.may(Permission.WRITE_SETTINGS),
        "under_way": UNDER_WAY,
        "search": search,
        "is_nothing": bool(search) and not any(found.values()),
        **found,
        **calculation,
        "error": error,
    }
    return render(request, "console/learning.html", context, status=400 if error else 200)


@require_GET
@org_page
def reckon(request: HttpRequest, actor: Actor) -> HttpResponse:
    """The calculator alone: a part of the page, which comes after it, since it looks at every call of four weeks."""
    actor.check(Permission.READ_MONEY)
    if not getattr(request, "htmx", False):
        return redirect(f"{reverse('learning', args=[actor.org.slug])}?{request.GET.urlencode()}#roi")
    calculation = calculate(request, actor)
    return render(request, "console/_roi.html", {**frame(request, actor, "learning"), **calculation})


@require_POST
@org_page
def cancel_training(request: HttpRequest, actor: Actor, job_id: str) -> HttpResponse:
    """Cancel a training of ours or of a provider's."""
    if request.POST.get("provider"):
        tuning = access_row(ProviderTuning.objects.filter(org=actor.org), actor, job_id)
        try_to(
            request, actor, f"{tuning.name} is cancelled.", lambda: cancel_provider_tuning(actor=actor, tuning=tuning)
        )
    else:
        job = access_row(TrainingJob.objects.filter(org=actor.org), actor, job_id)
        try_to(request, actor, f"{job.name} is cancelled.", lambda: cancel_training_job(actor=actor, job=job))
    return redirect("learning", slug=actor.org.slug)
