"""The console's page of a student: against its teacher, against who has learned nothing, and by label."""

from dataclasses import asdict
from datetime import timedelta
from typing import Any, Final, NamedTuple

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from billing.routes.distilled import read_distilled
from costhub.console.acts import try_to
from costhub.console.frame import frame
from costhub.console.sign_in import org_page
from costhub.lib import clock
from proxy.learning.choices import Stage
from proxy.learning.deployment import deploy_student, retire_student
from proxy.learning.distilled_routes import look_around
from proxy.learning.evaluation import bound
from proxy.learning.models import Student
from proxy.learning.students import list_warnings, read_economy, set_stage
from tenants.access import Actor, access_row
from tenants.choices import Permission

#: over which it is told what a served one did
DAYS: Final = 28
#: of its labels, those with the most examples
LABELS: Final = 200
_STAGES: Final = (Stage.SHADOW, Stage.CANARY, Stage.PROMOTED)


class Told(NamedTuple):
    """A share of answers for people: so many of so many, in per cent, and between what it lies in 95 of 100 cases."""

    found: int
    of: int
    share: str
    interval: str


class Line(NamedTuple):
    """Who answers, how often as the teacher, how often rightly, and what a success costs in nano-USD."""

    who: str
    agrees: Told | None
    is_right: Told | None
    cost: Any = None


@require_GET
@org_page
def student(request: HttpRequest, actor: Actor, student_id: str) -> HttpResponse:
    """The page."""
    actor.check(Permission.READ_MONEY)
    row = _access(actor, student_id)
    now = clock.now()
    served = read_distilled(actor, now - timedelta(days=DAYS), now) if row.route else {}
    described = {**describe_student(actor, row), "served": served.get(row.route)}
    context = {
        **frame(request, actor, "learning"),
        "student": described,
        "days": DAYS,
        "can_change": actor.may(Permission.WRITE_SETTINGS),
        "lines": _compare(row.evaluation, described),
        "labels": _list_labels(row.evaluation),
        "label_count": len(row.evaluation.get("by_label", {})),
        "has_gold": bool(row.evaluation.get("gold")),
    }
    return render(request, "console/student.html", context)


@require_POST
@org_page
def change_student(request: HttpRequest, actor: Actor, student_id: str) -> HttpResponse:
    """The buttons beside a student: another stage, served or not."""
    row = _access(actor, student_id)
    stage = request.POST.get("stage", "")
    if stage in set(Stage):
        moved = Stage(stage)
        done = f"{row.name} is {moved.replace('_', ' ')} now."
        try_to(request, actor, done, lambda: set_stage(actor=actor, student=row, stage=moved))
    elif request.POST.get("serve"):
        done = f"{row.name} has a route now, which follows its stage."
        try_to(request, actor, done, lambda: deploy_student(actor=actor, student=row))
    else:
        done = f"{row.name} answers no calls any more."
        try_to(request, actor, done, lambda: retire_student(actor=actor, student=row))
    return redirect("student", slug=actor.org.slug, student_id=str(row.pk))


def describe_student(actor: Actor, row: Student) -> dict[str, Any]:
    """A student as the pages show it."""
    evaluation, economy = row.evaluation, read_economy(actor, row)
    return {
        "row": row,
        "warnings": list_warnings(row, look_around(actor)),
        "teacher": row.job.version.dataset.teacher,
        "evaluation": evaluation,
        "answered": tell(evaluation.get("answered")),
        "right": tell(evaluation.get("right")),
        "base": tell(evaluation.get("base")),
        "gold": {name: tell(share) for name, share in (evaluation.get("gold") or {}).items()},
        "since": _bound(row.agreed, row.answered),
        "plain": evaluation.get("without_encoder"),
        "economy": economy,
        "per_success": economy.per_success,
        "stages": [stage.value for stage in _STAGES if stage.value != row.stage]
        if row.stage != Stage.WITHDRAWN.value
        else [],
    }


def tell(share: Any) -> Told | None:
    """A share of an evaluation; None where there is none."""
    if not share or not share["of"]:
        return None
    low, high = (f"{share[end] * 100:.1f}" for end in ("low", "high"))
    return Told(share["found"], share["of"], f"{share['found'] / share['of'] * 100:.1f} %", f"{low} to {high} %")


def _bound(found: int, of: int) -> Told | None:
    return tell(asdict(bound(found, of))) if of else None


def _compare(evaluation: dict[str, Any], described: dict[str, Any]) -> list[Line]:
    """Each who could answer. Where the student is not sure its teacher is asked, who says what it says."""
    if "answered" not in evaluation:
        return []
    answered, right, gold = evaluation["answered"], evaluation["right"], described["gold"]
    wrong = answered["found"] - right["found"]
    teacher_call = described["economy"].teacher_call_nanos
    lines = [
        Line("The student, asked everything", tell(evaluation["agreement"]), gold.get("student")),
        Line("The student, where it is sure", described["right"], gold.get("sure")),
        Line(
            "The student where it is sure, else its teacher",
            _bound(answered["of"] - wrong, answered["of"]),
            gold.get("together"),
            described["per_success"],
        ),
        Line("The teacher", None, gold.get("teacher"), {"nanos": teacher_call} if teacher_call is not None else None),
        Line("Who says what the nearest example had", tell(evaluation["near"]), gold.get("near")),
        Line("Who always says the commonest label", described["base"], gold.get("base")),
    ]
    if described["plain"]:
        lines.insert(1, Line("The same without its own encoder", tell(described["plain"]["agreement"]), None))
    return lines


def _list_labels(evaluation: dict[str, Any]) -> list[tuple[str, Told | None, Told | None, Told | None]]:
    """Labels with how often the student says them where its teacher does, how often the nearest example does, and how
    often the student is the teacher's where it is sure."""
    # Of students that were made before more than agreement was counted by label there is nothing to show.
    found = {label: counts for label, counts in evaluation.get("by_label", {}).items() if isinstance(counts, dict)}
    ordered = sorted(found, key=lambda label: (-found[label]["of"], label))[:LABELS]
    return [
        (
            label,
            _bound(found[label]["agreed"], found[label]["of"]),
            _bound(found[label]["near"], found[label]["of"]),
            _bound(found[label]["right"], found[label]["answered"]),
        )
        for label in ordered
    ]


def _access(actor: Actor, student_id: str) -> Student:
    students = Student.objects.filter(org=actor.org).select_related("job__version__dataset")
    return access_row(students, actor, student_id)
