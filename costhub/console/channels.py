"""The console's forms of alert channels, on the page of alerts."""

from typing import Any, Final

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from billing.alerts.actions.channels import create_channel, ensure_channels, rotate_secret, update_channel
from billing.alerts.actions.deliveries import queue_test
from billing.alerts.core.kinds import KINDS
from billing.alerts.models import Channel
from billing.choices import AlertKind, ChannelKind, Digest
from costhub.console.acts import Act, switch_act, try_to, try_to_set
from costhub.console.forms import Field, Form
from costhub.console.frame import frame
from costhub.console.pages import show_form
from costhub.console.sign_in import org_page
from costhub.lib import clock
from costhub.lib.errors import InvalidField
from tenants.access import Actor, access_row
from tenants.choices import Permission, Role

CHANNELS: Final = {
    ChannelKind.EMAIL: "Mails to members of a role",
    ChannelKind.WEBHOOK: "A signed webhook",
    ChannelKind.SLACK: "A Slack webhook",
}
DIGESTS: Final = {Digest.NONE: "One by one", Digest.HOURLY: "Together, each hour", Digest.DAILY: "Together, each day"}


@require_http_methods(["GET", "POST"])
@org_page
def new_channel(request: HttpRequest, actor: Actor) -> HttpResponse:
    """The form of a channel, and its answer with a webhook's secret."""
    actor.check(Permission.WRITE_SETTINGS)
    kinds = Field("kind", "How", "select", choices=[(each.value, text) for each, text in CHANNELS.items()])
    form = Form([kinds, *_fields()], {"kinds": list(AlertKind), "digest": "none"})
    if request.method == "POST":
        made = form.submit(
            request,
            actor,
            lambda form: create_channel(actor=actor, kind=form.choice("kind", ChannelKind), **_read(form)),
        )
        if made is not None:
            channel, secret = made
            return _show_secret(request, actor, channel, secret) if secret else _back(actor)
    return show_form(request, actor, "alerts", "Alerts", form, "New channel", submit_label="Create channel")


@require_http_methods(["GET", "POST"])
@org_page
def channel(request: HttpRequest, actor: Actor, channel_id: str) -> HttpResponse:
    """One channel: its form, a test, its secret."""
    actor.check(Permission.WRITE_SETTINGS)
    row = _access(actor, channel_id)
    form = Form(_fields(), _initial(row), is_edit=True)
    if request.method == "POST":
        if form.submit(request, actor, lambda form: _update(actor, row, form)) is not None:
            return _back(actor)
        row.refresh_from_db()
    return show_form(request, actor, "alerts", "Alerts", form, row.name, acts=_acts(actor, row))


@require_POST
@org_page
def switch_channel(request: HttpRequest, actor: Actor, channel_id: str) -> HttpResponse:
    """Switch a channel off, or on again."""
    row = _access(actor, channel_id)
    words = f"{row.name} is switched on.", f"{row.name} is switched off."
    try_to_set(
        request, actor, "is_active", words, lambda is_on: update_channel(actor=actor, channel=row, is_active=is_on)
    )
    return redirect("channel", slug=actor.org.slug, channel_id=str(row.pk))


@require_POST
@org_page
def test_channel(request: HttpRequest, actor: Actor, channel_id: str) -> HttpResponse:
    """Send a test."""
    row = _access(actor, channel_id)
    done = f"A test goes out by {row.name} now: the messages below tell what becomes of it."
    try_to(request, actor, done, lambda: queue_test(actor=actor, channel=row, now=clock.now()))
    return _back(actor)


@require_POST
@org_page
def rotate_channel(request: HttpRequest, actor: Actor, channel_id: str) -> HttpResponse:
    """Give a webhook a new secret, which is shown now."""
    row = _access(actor, channel_id)
    secrets: list[str] = []
    if try_to(request, actor, "", lambda: secrets.append(rotate_secret(actor=actor, channel=row))) and secrets:
        return _show_secret(request, actor, row, secrets[0])
    return redirect("channel", slug=actor.org.slug, channel_id=str(row.pk))


def _access(actor: Actor, channel_id: str) -> Channel:
    ensure_channels(actor.org)
    return access_row(Channel.objects.all(), actor, channel_id)


def _fields() -> list[Field]:
    return [
        Field("name", "Name", is_required=True, most=120),
        Field("url", "URL", "url", help="Of a webhook.", most=500),
        Field(
            "roles", "Whose members", "checks", help="Of mails.", choices=[(role.value, role.value) for role in Role]
        ),
        Field("kinds", "Alerts", "checks", choices=[(kind.value, KINDS[kind].title) for kind in KINDS]),
        Field("digest", "When", "select", choices=[(each.value, text) for each, text in DIGESTS.items()]),
        Field("quiet_from", "Quiet from", "time", help="What is critical is told all the same."),
        Field("quiet_until", "Quiet until", "time"),
        Field(
            "gets_calls",
            "Tell it of calls with deadlines, and of responses in the background, when they are out",
            "checkbox",
            help="Of a webhook.",
        ),
        Field(
            "gets_changes",
            "Tell it of every change that the audit log has: keys, members, budgets, invoices and the rest",
            "checkbox",
            help="Of a webhook.",
        ),
    ]


def _initial(row: Channel) -> dict[str, Any]:
    return {
        "name": row.name,
        "url": row.url,
        "roles": list(row.roles),
        "kinds": list(row.kinds),
        "digest": row.digest,
        "quiet_from": _show_minute(row.quiet_from),
        "quiet_until": _show_minute(row.quiet_until),
        "gets_calls": row.gets_calls,
        "gets_changes": row.gets_changes,
    }


def _read(form: Form) -> dict[str, Any]:
    return {
        "name": form.text("name"),
        "url": form.text("url"),
        "roles": _members(form, "roles", Role),
        "kinds": _members(form, "kinds", AlertKind),
        "digest": form.choice("digest", Digest),
        "quiet_from": _read_minute(form, "quiet_from"),
        "quiet_until": _read_minute(form, "quiet_until"),
        "gets_calls": form.flag("gets_calls"),
        "gets_changes": form.flag("gets_changes"),
    }


def _update(actor: Actor, row: Channel, form: Form) -> Channel:
    changes = _read(form)
    if changes["url"] == row.url:
        del changes["url"]  # Slack's is shown without its path, and stays what it is
    return update_channel(actor=actor, channel=row, **changes)


def _members(form: Form, name: str, kind: Any) -> list[Any]:
    if unknown := [each for each in form.many(name) if each not in set(kind)]:
        raise InvalidField(f"There is no {unknown[0][:40]!r}; there are: {', '.join(kind)}.", field=name)
    return [kind(each) for each in form.many(name)]


def _read_minute(form: Form, name: str) -> int | None:
    text = form.text(name)
    if not text:
        return None
    hours, separator, minutes = text.partition(":")
    is_time = separator and all(part.isascii() and part.isdigit() and len(part) == 2 for part in (hours, minutes[:2]))
    if not is_time or int(hours) > 23 or int(minutes[:2]) > 59:
        raise InvalidField("Give a time of day such as 22:00.", field=name)
    return int(hours) * 60 + int(minutes[:2])


def _show_minute(minute: int | None) -> str:
    return "" if minute is None else f"{minute // 60:02d}:{minute % 60:02d}"


def _acts(actor: Actor, row: Channel) -> list[Act]:
    def address(name: str) -> str:
        return reverse(name, args=[actor.org.slug, row.pk])

    acts = [
        Act("Test it", address("test-channel"), "Send a test", "The messages on the page of alerts tell how it went.")
    ]
    if row.kind == ChannelKind.WEBHOOK:
        help_text = "The new one is shown once; for a day messages are signed with both."
        acts.append(Act("Give it a new secret", address("rotate-channel"), "Rotate", help_text))
    on = row.disabled_reason or "It is off."
    acts.append(switch_act(address("switch-channel"), "Nothing is sent by it any more.", on, is_on=row.is_active))
    return acts


def _back(actor: Actor) -> HttpResponse:
    return redirect(f"{reverse('alerts', args=[actor.org.slug])}#channels-title")


def _show_secret(request: HttpRequest, actor: Actor, row: Channel, secret: str) -> HttpResponse:
    context = {**frame(request, actor, "alerts"), "channel": row, "secret": secret}
    return render(request, "console/channel_secret.html", context)
