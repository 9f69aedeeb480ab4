"""The console's page of learning: students and what they save, trainings, datasets, and whether a change would pay."""

from collections.abc import Mapping
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
from costhub.console.frame import frame, make_link
from costhub.console.lists import read_page, read_search, search_rows
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

#: of each kind so many on a page
SHOWN: Final = 20
_NEWEST: Final = "-created"
SORTS: Final = {_NEWEST: "Newest", "created": "Oldest", "name": "A to Z", "-name": "Z to A"}
#: what has pages of its own, by what ``show`` calls it
_KINDS: Final = ("students", "jobs", "tunings", "tuned_models", "consents", "versions", "datasets")
#: parameters that the calculator does not read
_OF_LISTS: Final = frozenset({"q", "sort", "show", "page"})


@require_GET
@org_page
def learning(request: HttpRequest, actor: Actor) -> HttpResponse:
    """The page; with ``q``, of each kind those that have it in a name, with ``show`` one kind alone, page by page."""
    actor.check(Permission.READ_MONEY)
    org, now, params, error = actor.org, clock.now(), request.GET.dict(), ""
    try:
        search, sort, show, page = _read_list(params)
    except InvalidField as refused:
        search, sort, show, page, error = "", _NEWEST, "", 1, refused.message
        params = {}
    calculation = calculate(request, actor) if request.GET.keys() - _OF_LISTS else begin_calculation(actor)
    pages: dict[str, tuple[str, str]] = {}

    def find(kind: str, rows: QuerySet[Any], *fields: str, name: str = "name") -> list[Any]:
        """The page's rows of a kind: of the kind that is shown the page's, of each other one the first."""
        if show not in {"", kind}:
            return []
        at = {"name": name}.get(sort.removeprefix("-"), "created_at")
        order = [f"-{at}" if sort.startswith("-") else at, "pk"]
        first = (page - 1) * SHOWN
        found = list(search_rows(rows.filter(org=org), search, fields).order_by(*order)[first : first + SHOWN + 1])
        previous = make_link(request, params, show=kind, page=str(page - 1)) if page > 1 else ""
        more = make_link(request, params, show=kind, page=str(page + 1)) if len(found) > SHOWN else ""
        pages[kind] = (previous, more)
        return found[:SHOWN]

    students = find(
        "students",
        Student.objects.select_related("job__version__dataset"),
        *("name", "route", "job__version__dataset__teacher"),
    )
    tuned_models = find(
        "tuned_models", TunedModel.objects.defer("adapter", "served"), "name", "base_model", "model", "route"
    )
    is_any = any(each.route for each in [*students, *tuned_models])
    served = read_distilled(actor, now - timedelta(days=DAYS), now) if is_any else {}
    versions = DatasetVersion.objects.select_related("dataset")
    found: dict[str, list[Any]] = {
        "students": [
            {**describe_student(actor, student), "served": served.get(student.route) if student.route else None}
            for student in students
        ],
        "jobs": [describe_job(job) for job in find("jobs", TrainingJob.objects.all(), "name", "base_model", "state")],
        "tunings": find("tunings", ProviderTuning.objects.all(), "name", "base_model", "state"),
        "tuned_models": [{"row": each, "served": served.get(each.route)} for each in tuned_models],
        "consents": find("consents", list_capture_policies(actor), "model", name="model"),
        "versions": find("versions", versions, "dataset__name", "dataset__teacher", name="dataset__name"),
        "datasets": find("datasets", Dataset.objects.all(), "name", "teacher"),
    }
    error = error or calculation["error"]
    context = {
        **frame(request, actor, "learning"),
        "days": DAYS,
        "can_change": actor.may(Permission.WRITE_SETTINGS),
        "under_way": UNDER_WAY,
        "search": search,
        "show": show,
        "narrowed": bool(search or show),
        "is_nothing": bool(search or show) and not any(found.values()),
        "dataset_count": Dataset.objects.filter(org=org).count(),
        "sorts": [
            (label, make_link(request, params, sort=name, page=""), name == sort) for name, label in SORTS.items()
        ],
        "sort": sort,
        "pages": pages,
        **found,
        **calculation,
        "error": error,
    }
    return render(request, "console/learning.html", context, status=400 if error else 200)


def _read_list(params: Mapping[str, str]) -> tuple[str, str, str, int]:
    """What is searched for, by what is sorted, which kind alone is shown, and its page."""
    sort, show = params.get("sort") or _NEWEST, params.get("show", "")
    if sort not in SORTS:
        raise InvalidField(f"sort: give one of {', '.join(SORTS)}.", field="sort")
    if show and show not in _KINDS:
        raise InvalidField(f"show: give one of {', '.join(_KINDS)}.", field="show")
    return read_search(params), sort, show, read_page(params.get("page", "")) if show else 1


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
