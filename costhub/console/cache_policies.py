"""The console's forms of cache policies; the list of them stands on the page of the cache."""

from typing import Any, Final

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_http_methods, require_POST

from costhub.console.acts import try_to
from costhub.console.forms import Field, Form
from costhub.console.pages import show_form
from costhub.console.policies import mode_field, model_field, removal
from costhub.console.sign_in import org_page
from tenants.access import Actor, access_row
from tenants.actions.cache import create_cache_policy, delete_cache_policy, update_cache_policy
from tenants.choices import CacheMode, CacheSharing, Permission
from tenants.models import CachePolicy
from tenants.selectors import list_cache_policies

SHARING: Final = {
    CacheSharing.END_USER: "One end user's calls",
    CacheSharing.KEY: "One key's calls",
    CacheSharing.PROJECT: "One project's calls",
    CacheSharing.ORGANIZATION: "The whole organisation's calls",
}
_FIRST: Final = {
    "mode": "shadow",
    "semantic": "off",
    "ttl_seconds": "3600",
    "max_temperature": "0.7",
    "max_error_rate": "0.01",
    "sharing": "key",
    "replay_ms": "0",
    "holdout_percent": "2",
}


@require_http_methods(["GET", "POST"])
@org_page
def new_cache_policy(request: HttpRequest, actor: Actor) -> HttpResponse:
    """The form of a cache policy."""
    actor.check(Permission.WRITE_SETTINGS)
    taken = set(list_cache_policies(actor).values_list("model", flat=True))
    form = Form([model_field(actor, taken), *_fields()], _FIRST)
    if request.method == "POST" and form.submit(request, actor, lambda form: _create(actor, form)) is not None:
        return redirect("cache", slug=actor.org.slug)
    return show_form(request, actor, "cache", "Cache", form, "New cache policy", submit_label="Create policy")


@require_http_methods(["GET", "POST"])
@org_page
def cache_policy(request: HttpRequest, actor: Actor, policy_id: str) -> HttpResponse:
    """One policy's form, and its end."""
    actor.check(Permission.WRITE_SETTINGS)
    row = access_row(list_cache_policies(actor), actor, policy_id)
    form = Form(_fields(), _initial(row), is_edit=True)
    if request.method == "POST" and form.submit(request, actor, lambda form: _update(actor, row, form)) is not None:
        return redirect("cache", slug=actor.org.slug)
    name = row.model or "every other model"
    gone = "Calls of it follow the policy of every other model, if there is one, and else are all made."
    acts = [removal(actor, "remove-cache-policy", row.pk, "Remove this policy", gone)]
    return show_form(request, actor, "cache", "Cache", form, f"Cache of {name}", acts=acts)


@require_POST
@org_page
def remove_cache_policy(request: HttpRequest, actor: Actor, policy_id: str) -> HttpResponse:
    """The model has no policy of its own any more."""
    row = access_row(list_cache_policies(actor), actor, policy_id)
    done = f"The cache policy of {row.model or 'every other model'} is removed."
    try_to(request, actor, done, lambda: delete_cache_policy(actor=actor, policy=row))
    return redirect("cache", slug=actor.org.slug)


def _fields() -> list[Field]:
    return [
        mode_field("mode", "Equal calls", "Whether a call that was made before gets the earlier answer."),
        mode_field("semantic", "Like questions", "Whether a question of the same meaning gets the earlier answer."),
        Field(
            "ttl_seconds",
            "Kept for, in seconds",
            help="1 to 2,592,000, which are thirty days.",
            is_required=True,
            most=9,
        ),
        Field(
            "max_temperature",
            "Highest temperature",
            help="Calls that ask for more chance than this are always made. 0 to 2.",
            is_required=True,
            most=8,
        ),
        Field(
            "max_error_rate",
            "Wrong answers at most",
            help="The share of similar questions that may get a wrong answer: 0.01 is one in a hundred. 0 to 0.1.",
            is_required=True,
            most=8,
        ),
        Field(
            "sharing",
            "Shared within",
            "select",
            help="Nobody is given an answer from outside of this circle.",
            choices=[(each.value, text) for each, text in SHARING.items()],
        ),
        Field(
            "marks_prompts",
            "Mark prompts for the provider's own cache",
            "checkbox",
            help="For providers that keep a prompt only up to a mark.",
        ),
        Field(
            "replay_ms", "Pause between the events of a kept stream, ms", help="0 to 1,000.", is_required=True, most=5
        ),
        Field(
            "holdout_percent",
            "Calls held out, %",
            help="Asked all the same, to compare with: what the cache saves is proven by them. 0 to 50.",
            is_required=True,
            most=2,
        ),
    ]


def _initial(row: CachePolicy) -> dict[str, Any]:
    return {
        "mode": row.mode,
        "semantic": row.semantic,
        "ttl_seconds": str(row.ttl_seconds),
        "max_temperature": f"{row.max_temperature.normalize():f}",
        "max_error_rate": f"{row.max_error_rate.normalize():f}",
        "sharing": row.sharing,
        "marks_prompts": row.marks_prompts,
        "replay_ms": str(row.replay_ms),
        "holdout_percent": str(row.holdout_percent),
    }


def _read(form: Form) -> dict[str, Any]:
    return {
        "mode": form.choice("mode", CacheMode),
        "semantic": form.choice("semantic", CacheMode),
        "ttl_seconds": form.whole("ttl_seconds"),
        "max_temperature": form.decimal("max_temperature"),
        "max_error_rate": form.decimal("max_error_rate"),
        "sharing": form.choice("sharing", CacheSharing),
        "marks_prompts": form.flag("marks_prompts"),
        "replay_ms": form.whole("replay_ms"),
        "holdout_percent": form.whole("holdout_percent"),
    }


def _create(actor: Actor, form: Form) -> CachePolicy:
    return create_cache_policy(actor=actor, model=form.text("model"), **_read(form))


def _update(actor: Actor, row: CachePolicy, form: Form) -> CachePolicy:
    return update_cache_policy(actor=actor, policy=row, **_read(form))
