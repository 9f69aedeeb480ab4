"""The console's pages of runs: prompts that a dataset's teacher answers, and answers that a model judges."""

from typing import Any, Final

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from costhub.console.acts import try_to
from costhub.console.forms import Field, Form
from costhub.console.frame import frame
from costhub.console.pages import show_form
from costhub.console.sign_in import org_page
from costhub.console.trainings import UNDER_WAY
from proxy.learning.models import Dataset, TeacherRun
from proxy.learning.teacher import cancel_teacher_run, start_judge_run, start_teacher_run
from tenants.access import Actor, access_row
from tenants.choices import Permission
from tenants.selectors import list_models

#: of a dataset, the newest
SHOWN: Final = 10
#: of prompts that are given at once
MOST_CHARACTERS: Final = 500_000
_LINE: Final = '{"messages": [{"role": "user", "content": "What is this?"}]}'
_TEACHER: Final = ""


@require_http_methods(["GET", "POST"])
@org_page
def new_run(request: HttpRequest, actor: Actor, dataset_id: str) -> HttpResponse:
    """The form of a run."""
    actor.check(Permission.WRITE_SETTINGS)
    row = access_row(Dataset.objects.filter(org=actor.org).select_related("org"), actor, dataset_id)
    judges = [(each.name, f"{each.name} judges its answers") for each in list_models(actor).order_by("name")]
    fields = [
        Field("judge", "Who is asked", "select", choices=[(_TEACHER, f"{row.teacher} answers prompts"), *judges]),
        Field(
            "prompts",
            "Prompts",
            "textarea",
            help="A JSON object a line, with messages, and with gold where what is right is known. A judge needs none: "
            "it is shown the answers that none has judged yet.",
            placeholder=_LINE,
            most=MOST_CHARACTERS,
        ),
        Field(
            "api_key",
            "API key that calls",
            "password",
            help="Its budgets and limits hold. It is sealed, and erased when the run ends.",
            is_required=True,
            most=100,
        ),
        Field("cap", "USD that it may cost at most", help="Empty: only budgets end it.", most=20),
    ]
    form = Form(fields, {})

    def start(form: Form) -> TeacherRun:
        cap, key = form.money("cap") if form.text("cap") else None, form.text("api_key").strip()
        if judge := form.text("judge"):
            return start_judge_run(actor=actor, dataset=row, judge=judge, api_key=key, cap_nanos=cap)
        prompts = form.text("prompts").replace("\r\n", "\n")
        return start_teacher_run(actor=actor, dataset=row, prompts=prompts, api_key=key, cap_nanos=cap)

    back = reverse("dataset", args=[actor.org.slug, row.pk])
    if request.method == "POST" and form.submit(request, actor, start) is not None:
        return redirect(back)
    return show_form(request, actor, "learning", row.name, form, "New run", submit_label="Start it", back=back)


@require_GET
@org_page
def runs(request: HttpRequest, actor: Actor, dataset_id: str) -> HttpResponse:
    """The runs of a dataset alone: a part of its page, which comes anew by itself while one is under way."""
    actor.check(Permission.READ_MONEY)
    row = access_row(Dataset.objects.filter(org=actor.org), actor, dataset_id)
    if not getattr(request, "htmx", False):
        return redirect("dataset", slug=actor.org.slug, dataset_id=str(row.pk))
    can_change = actor.may(Permission.WRITE_SETTINGS)
    context = {"dataset": row, "runs": list_runs(actor, row), "can_change": can_change}
    return render(request, "console/_runs.html", {**frame(request, actor, "learning"), **context})


@require_POST
@org_page
def cancel_run(request: HttpRequest, actor: Actor, run_id: str) -> HttpResponse:
    """Nothing more is asked."""
    rows: QuerySet[TeacherRun] = TeacherRun.objects.filter(org=actor.org)
    run = access_row(rows, actor, run_id)
    done = "The run is cancelled: what was answered stays."
    try_to(request, actor, done, lambda: cancel_teacher_run(actor=actor, run=run))
    return redirect("dataset", slug=actor.org.slug, dataset_id=str(run.dataset_id))


def list_runs(actor: Actor, dataset: Dataset) -> dict[str, Any]:
    """The newest, and whether one of them is under way."""
    rows = list(TeacherRun.objects.filter(org=actor.org, dataset=dataset).order_by("-created_at")[:SHOWN])
    shown = [{"row": row, "done": row.answered + row.failed, "is_under_way": row.state in UNDER_WAY} for row in rows]
    return {"rows": shown, "is_any_under_way": any(each["is_under_way"] for each in shown)}
