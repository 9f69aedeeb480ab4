"""The console's forms of consent: whose calls are kept to learn from, how many of them, for how long, and an end user's
word against it."""

from typing import Final

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_http_methods, require_POST

from costhub.console.acts import try_to
from costhub.console.forms import Field, Form, check_confirmed
from costhub.console.pages import show_form
from costhub.console.policies import model_field, removal
from costhub.console.sign_in import org_page, works_when_read_only
from proxy.learning.consent import Erased
from proxy.learning.unlearning import forget_end_user
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
_END_USER_LEAD: Final = (
    "All that was kept of one end user's calls is erased at once, examples of datasets too, and what has learned from"
    " them is withdrawn and trained again without them. There is no way back. Calls of theirs that come later are kept"
    " as before: have them sent with x-costhub-cache-control: no-store."
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


@require_http_methods(["GET", "POST"])
@org_page
@works_when_read_only
def withdraw_end_user(request: HttpRequest, actor: Actor) -> HttpResponse:
    """The form by which one end user's calls are forgotten. Whose they are is typed: that confirms it."""
    actor.check(Permission.WRITE_SETTINGS)
    help_text = "Your application's name for them, as calls send it, exactly."
    form = Form([Field("end_user", "End user", help=help_text, is_required=True, most=200)])
    if request.method == "POST":
        erased = form.submit(request, actor, lambda form: forget_end_user(actor=actor, end_user=form.text("end_user")))
        if erased is not None:
            _say_erased(request, form.text("end_user"), erased)
            return redirect("learning", slug=actor.org.slug)
    title = "Take back an end user's consent"
    return show_form(
        request, actor, "learning", "Learning", form, title, submit_label="Erase what was kept", lead=_END_USER_LEAD
    )


def _say_erased(request: HttpRequest, end_user: str, erased: Erased) -> None:
    if erased == Erased(0, 0):
        nothing = f"Nothing was kept of calls of {end_user}: look whether that is what your application calls them."
        messages.warning(request, nothing, extra_tags="warn")
        return
    calls = f"{erased.calls:,} kept call{'' if erased.calls == 1 else 's'}"
    examples = f"{erased.examples:,} example{'' if erased.examples == 1 else 's'} of datasets"
    messages.success(request, f"Of {end_user} {calls} and {examples} are erased.", extra_tags="good")


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
