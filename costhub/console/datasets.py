"""The console's pages of datasets: made, filled by hand, frozen as versions, taken out, removed."""

from typing import Any, Final

from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from costhub.console.acts import Act, try_to
from costhub.console.forms import Field, Form, check_confirmed
from costhub.console.pages import show_form
from costhub.console.policies import removal
from costhub.console.sign_in import org_page, works_when_read_only
from costhub.console.teacher_runs import list_runs
from costhub.lib.errors import InvalidField
from proxy.learning.datasets import (
    create_dataset,
    delete_dataset,
    export_version,
    import_lines,
    list_scripts,
    list_version_warnings,
    request_version,
)
from proxy.learning.models import Dataset, DatasetVersion, LearnedExample
from tenants.access import Actor, access_row
from tenants.choices import Permission
from tenants.selectors import list_models

VERSIONS: Final = 20
#: of examples that are added at once
MOST_CHARACTERS: Final = 500_000
_LINE: Final = (
    '{"messages": [{"role": "user", "content": "What is this?"}, {"role": "assistant", "content": "An invoice."}]}'
)


@require_http_methods(["GET", "POST"])
@org_page
def new_dataset(request: HttpRequest, actor: Actor) -> HttpResponse:
    """The form of a dataset."""
    actor.check(Permission.WRITE_SETTINGS)
    models = [(row.name, row.name) for row in list_models(actor).order_by("name")]
    fields = [
        Field("name", "Name", is_required=True, most=120),
        Field("teacher", "Whose answers are learned", "select", choices=models),
        Field(
            "held_out_percent",
            "Per cent that is held out",
            help="A student is judged by what it did not learn from. 1 to 90.",
            is_required=True,
            most=3,
        ),
        Field(
            "near_per_mille",
            "From which similarity two questions count as one, per mille",
            help="500 to 1,000, which compares texts alone.",
            is_required=True,
            most=5,
        ),
        Field(
            "drops_outvoted",
            "Leave out labels that similar questions contradict",
            "checkbox",
            help="Wrong or poisoned ones. Answers that are no labels stay.",
        ),
        Field(
            "takes_out_names",
            "Take out names and postal addresses",
            "checkbox",
            help="A model finds most of them, and now and then a word that is none. Mail addresses, telephone numbers "
            "and cards are taken out in any case.",
        ),
        Field(
            "region",
            "Country of telephone numbers without a code",
            help="Its two letters, so that the numbers are found and taken out.",
            placeholder="US",
            most=2,
        ),
    ]
    form = Form(
        fields, {"held_out_percent": "20", "near_per_mille": "970", "drops_outvoted": True, "takes_out_names": True}
    )
    if request.method == "POST":
        made = form.submit(request, actor, lambda form: _create(actor, form))
        if made is not None:
            return redirect("dataset", slug=actor.org.slug, dataset_id=str(made.pk))
    lead = "" if models else "There is no model yet whose answers could be learned: make one first."
    return show_form(
        request, actor, "learning", "Learning", form, "New dataset", submit_label="Create dataset", lead=lead
    )


@require_http_methods(["GET", "POST"])
@org_page
def dataset(request: HttpRequest, actor: Actor, dataset_id: str) -> HttpResponse:
    """A dataset: what is in it, its versions, and the form by which examples are added."""
    actor.check(Permission.READ_MONEY)
    row = _access(actor, dataset_id)
    form = None
    if actor.may(Permission.WRITE_SETTINGS):
        form = Form(
            [
                Field(
                    "lines",
                    "Add examples",
                    "textarea",
                    help='OpenAI\'s fine-tuning JSONL, a line each; a line may have "gold" next to its messages: the right '
                    "answer. Personal data is taken out first.",
                    is_required=True,
                    placeholder=_LINE,
                    most=MOST_CHARACTERS,
                )
            ]
        )
        if request.method == "POST" and form.submit(request, actor, lambda form: _add(actor, row, form)) is not None:
            return redirect("dataset", slug=actor.org.slug, dataset_id=str(row.pk))
    elif request.method == "POST":
        actor.check(Permission.WRITE_SETTINGS)
    examples = LearnedExample.objects.filter(org=actor.org, dataset=row)
    more: dict[str, Any] = {
        "dataset": row,
        "kinds": list(examples.values("kind").annotate(total=Count("pk")).order_by("kind")),
        "withdrawn": examples.filter(sealed__isnull=True).count(),
        "versions": [
            {
                "row": version,
                "left_out": sorted(version.lineage.get("dropped", {}).items()),
                "scripts": list_scripts(version),
                "scrubbed": sorted(version.lineage.get("scrubbed", {}).items()),
                "warnings": list_version_warnings(version),
            }
            for version in DatasetVersion.objects.filter(org=actor.org, dataset=row).order_by("-number")[:VERSIONS]
        ],
        "verdicts": list(
            examples.exclude(verdict="").values("verdict").annotate(total=Count("pk")).order_by("verdict")
        ),
        "runs": list_runs(actor, row),
        "can_change": form is not None,
        "acts": _acts(actor, row) if form else [],
        "submit_label": "Add examples",
    }
    return show_form(request, actor, "learning", "Learning", form, row.name, template="console/dataset.html", **more)


@require_POST
@org_page
def freeze_dataset(request: HttpRequest, actor: Actor, dataset_id: str) -> HttpResponse:
    """Have a version made of what there is."""
    row = _access(actor, dataset_id)
    done = "A version is being made: it stands below in a moment."
    try_to(request, actor, done, lambda: request_version(actor=actor, dataset=row))
    return redirect("dataset", slug=actor.org.slug, dataset_id=str(row.pk))


@require_POST
@org_page
@works_when_read_only
def take_out_version(request: HttpRequest, actor: Actor, version_id: str) -> HttpResponse:
    """A version as a file: what is learned from, or what is held out. By a button, since the audit log tells of it."""
    part = request.POST.get("part", "train")
    version = access_row(DatasetVersion.objects.filter(org=actor.org).select_related("dataset"), actor, version_id)
    files: list[bytes] = []

    def act() -> None:
        if part not in {"train", "held_out"}:
            raise InvalidField("Give train or held_out.", field="part")
        files.append(export_version(actor=actor, version=version, held_out=part == "held_out"))

    if not try_to(request, actor, "", act):
        return redirect("dataset", slug=actor.org.slug, dataset_id=str(version.dataset_id))
    response = HttpResponse(files[0], content_type="application/jsonl; charset=utf-8")
    name = f"dataset-{version.dataset_id}-{version.number}-{part}.jsonl"
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


@require_POST
@org_page
def remove_dataset(request: HttpRequest, actor: Actor, dataset_id: str) -> HttpResponse:
    """It goes, with all that was made of it, once it was named."""
    row = _access(actor, dataset_id)

    def act() -> None:
        check_confirmed(request, row.name)
        delete_dataset(actor=actor, dataset=row)

    if try_to(request, actor, f"The dataset {row.name} is removed.", act):
        return redirect("learning", slug=actor.org.slug)
    return redirect("dataset", slug=actor.org.slug, dataset_id=str(row.pk))


def _access(actor: Actor, dataset_id: str) -> Dataset:
    return access_row(Dataset.objects.filter(org=actor.org), actor, dataset_id)


def _create(actor: Actor, form: Form) -> Dataset:
    return create_dataset(
        actor=actor,
        name=form.text("name"),
        teacher=form.text("teacher"),
        held_out_percent=form.whole("held_out_percent"),
        near_per_mille=form.whole("near_per_mille"),
        drops_outvoted=form.flag("drops_outvoted"),
        takes_out_names=form.flag("takes_out_names"),
        region=form.text("region").upper(),
    )


def _add(actor: Actor, row: Dataset, form: Form) -> int:
    return import_lines(actor=actor, dataset=row, lines=form.text("lines").replace("\r\n", "\n"))


def _acts(actor: Actor, row: Dataset) -> list[Act]:
    freeze = Act(
        "Make a version",
        reverse("freeze-dataset", args=[actor.org.slug, row.pk]),
        "Make a version",
        "Freezes what there is now, with calls that were kept since: that is what is trained on.",
    )
    gone = "Its examples, versions, trainings and students go with it, for good."
    return [freeze, removal(actor, "remove-dataset", row.pk, "Remove this dataset", gone, confirm=row.name)]
