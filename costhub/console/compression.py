"""The console's page of compression: what it may do, and what it saved, attributed and proven."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from billing.routes.prompts import Proposal, list_prompt_uses, preview
from billing.routes.selectors import read_compression_report
from costhub.console.frame import frame, list_ranges, read_span
from costhub.console.lists import check_parameters
from costhub.console.sign_in import org_page
from costhub.lib import clock
from costhub.lib.errors import AppError, InvalidField
from tenants.access import Actor, access_row
from tenants.actions.compression import update_compression_policy
from tenants.actions.system_prompts import (
    MOST_CHARACTERS,
    approve_system_prompt,
    propose_system_prompt,
    retire_system_prompt,
)
from tenants.choices import Mode, Permission
from tenants.selectors import list_compression_policies, list_system_prompts


@require_GET
@org_page
def compression(request: HttpRequest, actor: Actor) -> HttpResponse:
    """The page."""
    return _show(request, actor)


@require_POST
@org_page
def change_compression(request: HttpRequest, actor: Actor, policy_id: str) -> HttpResponse:
    """The buttons beside a policy: another mode."""
    policy = access_row(list_compression_policies(actor), actor, policy_id)
    mode = request.POST.get("mode", "")
    try:
        if mode not in set(Mode):
            raise InvalidField(f"Give one of {', '.join(Mode)}.", field="mode")
        update_compression_policy(actor=actor, policy=policy, mode=Mode(mode))
    except AppError as error:
        return _show(request, actor, error=error.message, status=error.http_status)
    return redirect("compression", slug=actor.org.slug)


@require_POST
@org_page
def shorten_prompt(request: HttpRequest, actor: Actor) -> HttpResponse:
    """The form of system prompts: shorter words as a proposal to look at and to change, then kept as a version."""
    original, shorter = _text(request, "original"), _text(request, "shorter")
    try:
        actor.check(Permission.WRITE_SETTINGS)
        if request.POST.get("keep"):
            propose_system_prompt(actor=actor, original=original, shorter=shorter)
            return redirect("compression", slug=actor.org.slug)
        if not original.strip() or len(original) > MOST_CHARACTERS:
            raise InvalidField(f"Paste a text of 1 to {MOST_CHARACTERS} characters.", field="original")
    except AppError as error:
        return _show(request, actor, original=original, error=error.message, status=error.http_status)
    return _show(request, actor, original=original, proposal=preview(original))


@require_POST
@org_page
def decide_prompt(request: HttpRequest, actor: Actor, prompt_id: str) -> HttpResponse:
    """The buttons beside a version: send it from now on, or no more."""
    prompt = access_row(list_system_prompts(actor), actor, prompt_id)
    decide = {"approve": approve_system_prompt, "retire": retire_system_prompt}.get(request.POST.get("decision", ""))
    try:
        if decide is None:
            raise InvalidField("Give approve or retire.", field="decision")
        decide(actor=actor, prompt=prompt)
    except AppError as error:
        return _show(request, actor, error=error.message, status=error.http_status)
    return redirect("compression", slug=actor.org.slug)


def _text(request: HttpRequest, field: str) -> str:
    """A text as it was typed: forms send lines with a carriage return, which calls do not have."""
    return request.POST.get(field, "").replace("\r\n", "\n")


def _show(
    request: HttpRequest,
    actor: Actor,
    *,
    original: str = "",
    proposal: Proposal | None = None,
    error: str = "",
    status: int = 200,
) -> HttpResponse:
    actor.check(Permission.READ_MONEY)
    # Forms of other addresses are answered by this page, too.
    path = reverse("compression", args=[actor.org.slug])
    now, params = clock.now(), request.GET.dict()
    try:
        check_parameters(params, ["range", "from", "to"])
        span = read_span(params, now, actor)
    except InvalidField as found:
        error, status, params = found.message, max(status, 400), {}
        span = read_span(params, now, actor)
    report = read_compression_report(actor, span.start, span.end)
    context = {
        **frame(request, actor, "compression"),
        "error": error,
        "ranges": list_ranges(path, span, params),
        "report": report,
        "proven": report.effect.times(report.compressed.calls) if report.effect else None,
        "policies": list(list_compression_policies(actor).order_by("model")),
        "prompts": list_prompt_uses(actor, span.start, span.end),
        "original": original,
        "proposal": proposal,
        "modes": [mode.value for mode in Mode],
        "can_change": actor.may(Permission.WRITE_SETTINGS),
    }
    return render(request, "console/compression.html", context, status=status)
