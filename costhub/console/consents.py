"""The console's forms of consent: whose calls are kept to learn from, how many of them, and for how long."""

from typing import Final

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_http_methods, require_POST

from costhub.console.acts import try_to
from costhub.console.forms import Field, Form, check_confirmed
from costhub.console.pages import show_form
from costhub.console.policies import model_field, removal
from costhub.console.sign_in import org_page
from tenants.access import Actor, access_row
from tenants.actions.capture import create_capture_policy, delete_capture_policy, update_capture_policy
from tenants.choices import Permission
from tenants.models import CapturePolicy
from tenants.models.capture import KEPT_DAYS
from tenants.selectors import list_capture_policies

#: what is typed before a consent is taken back
_WORD: Final = "take back"
_LEAD: Final = (
    "What people say in these calls is kept, sealed with this organisation's key, to learn from and to look at."
    " Only whole answers are; never a call with x-costhub-cache-control: no-store."
)


@require_http_methods(["GET", "POST"])
@org_page
def new_consent(request: HttpRequest, actor: Actor) -> HttpResponse:
    """The form of a consent."""
    actor.check(Permission.WRITE_SETTINGS)
    taken = set(list_capture_policies(actor).values_list("model", flat=True))
    form = Form([model_field(actor, taken), *_fields()], {"per_mille": "100", "kept_days": str(KEPT_DAYS)})

    def create(form: Form) -> CapturePolicy:
        return create_capture_policy(
            actor=actor,
            model=form.text("model"),
            per_mille=form.whole("per_mille"),
            kept_days=form.whole("kept_days"),
        )

    if request.method == "POST" and form.submit(request, actor, create) is not None:
        return redirect("learning", slug=actor.org.slug)
    return show_form(
        request, actor, "learning", "Learning", form, "Consent to keep calls", submit_label="Consent", lead=_LEAD
    )


@require_http_methods(["GET", "POST"])
@org_page
def consent(request: HttpRequest, actor: Actor, consent_id: str) -> HttpResponse:
    """One consent's form, and its end."""
    actor.check(Permission.WRITE_SETTINGS)
    row = access_row(list_capture_policies(actor), actor, consent_id)
    form = Form(_fields(), {"per_mille": str(row.per_mille), "kept_days": str(row.kept_days)}, is_edit=True)

    def update(form: Form) -> CapturePolicy:
        return update_capture_policy(
            actor=actor, policy=row, per_mille=form.whole("per_mille"), kept_days=form.whole("kept_days")
        )

    if request.method == "POST" and form.submit(request, actor, update) is not None:
        return redirect("learning", slug=actor.org.slug)
    gone = (
        "Nothing more is kept. What was kept under it is erased, examples of datasets too, and what has learned from"
        " them is withdrawn and trained again without them."
    )
    acts = [removal(actor, "take-back-consent", row.pk, "Take this consent back", gone, confirm=_WORD)]
    title = f"Consent for {row.model or 'every other model and route'}"
    return show_form(request, actor, "learning", "Learning", form, title, acts=acts, lead=_LEAD)


@require_POST
@org_page
def take_back_consent(request: HttpRequest, actor: Actor, consent_id: str) -> HttpResponse:
    """There is no such consent any more, once that was confirmed."""
    row = access_row(list_capture_policies(actor), actor, consent_id)

    def act() -> None:
        check_confirmed(request, _WORD)
        delete_capture_policy(actor=actor, policy=row)

    name = row.model or "every other model and route"
    done = f"The consent for {name} is taken back: what was kept is erased within a minute."
    if try_to(request, actor, done, act):
        return redirect("learning", slug=actor.org.slug)
    return redirect("consent", slug=actor.org.slug, consent_id=str(row.pk))


def _fields() -> list[Field]:
    return [
        Field(
            "per_mille",
            "How many of a thousand calls are kept",
            help="They are drawn by chance. 0 to 1,000; 0 ends the keeping, and what was kept stays as long as it may.",
            is_required=True,
            most=5,
        ),
        Field(
            "kept_days",
            "For how many days",
            help="Then they are deleted; examples of datasets stay. 1 to 365.",
            is_required=True,
            most=4,
        ),
    ]
