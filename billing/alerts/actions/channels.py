"""Channels: by which way people are told. A webhook's secret is shown once, when it is made."""

import base64
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from django.conf import settings
from django.db import IntegrityError, transaction

from billing.alerts.actions.changes import find_newest
from billing.alerts.models import Channel
from billing.choices import KNOWN_KINDS, READERS, TOPICS, AlertKind, ChannelKind, Digest, Topic
from costhub.lib import clock
from costhub.lib.errors import Conflict, InvalidField
from costhub.lib.net import gate_from_settings, parse_url
from costhub.lib.secrets import seal, unseal
from tenants.access import Actor
from tenants.actions.audit import record
from tenants.actions.changes import store_changes
from tenants.actions.values import check_name
from tenants.choices import Permission, Role
from tenants.models import Organization

MAX_CHANNELS: Final = 50
MAX_URL_CHARACTERS: Final = 500
#: for so long after a rotation messages carry the signatures of both secrets
BOTH_SECRETS: Final = timedelta(hours=24)
#: a channel is switched off when so many messages in a row failed, and for so long
MOST_FAILURES: Final = 20
LONGEST_FAILING: Final = timedelta(hours=24)
_SECRET_BYTES: Final = 24
_DAY_MINUTES: Final = 24 * 60
_HIDDEN: Final = frozenset({"failing_since", "secret", "url"})
_MAILS: Final = {Topic.MONEY: "Money mails", Topic.OPERATIONS: "Operations mails"}


def ensure_channels(org: Organization) -> list[Channel]:
    """The organisation's channels. One that never had any gets mails about money to owners and finance, and mails about
    operations to owners and admins."""
    rows = list(Channel.objects.filter(org=org).order_by("created_at", "id"))
    if rows:
        return rows
    made = [
        Channel(
            org=org,
            name=_MAILS[topic],
            kind=ChannelKind.EMAIL.value,
            kinds=[kind.value for kind in AlertKind if TOPICS[kind] is topic],
            roles=[role.value for role in READERS[topic]],
        )
        for topic in Topic
    ]
    # Another job may make them at the same moment: the first one's stay.
    Channel.objects.bulk_create(made, ignore_conflicts=True)
    return list(Channel.objects.filter(org=org).order_by("created_at", "id"))


def create_channel(
    *,
    actor: Actor,
    kind: ChannelKind,
    name: str,
    kinds: Sequence[AlertKind] | None = None,
    roles: Sequence[Role] = (),
    url: str = "",
    digest: Digest = Digest.NONE,
    quiet_from: int | None = None,
    quiet_until: int | None = None,
    gets_calls: bool = False,
    gets_changes: bool = False,
) -> tuple[Channel, str | None]:
    """Create a channel; gives a signed webhook's secret too, this once. Without ``kinds`` it takes all.

    Raises InvalidField or BlockedAddress for a URL that may not be called, Conflict if the name is taken, and
    StaleSession for somebody who signed in a while ago and would have messages go elsewhere.
    """
    actor.check(Permission.WRITE_SETTINGS)
    if kind is not ChannelKind.EMAIL:
        actor.check_fresh()
    if len(ensure_channels(actor.org)) >= MAX_CHANNELS:
        raise Conflict(f"There are {MAX_CHANNELS} channels already: change one of them.")
    channel = Channel(
        org=actor.org,
        kind=kind.value,
        name=check_name(name),
        kinds=_check_kinds(kinds),
        roles=_check_roles(kind, roles),
        digest=_check_digest(kind, digest),
        gets_calls=_check_calls(kind, gets_calls=gets_calls),
        gets_changes=_check_changes(kind, gets_changes=gets_changes),
        changes_told=find_newest(actor.org),
        **_check_quiet(quiet_from, quiet_until),
    )
    _place(actor.org, channel, url)
    secret = _give_secret(actor.org, channel) if kind is ChannelKind.WEBHOOK else None
    try:
        with transaction.atomic():
            channel.save(force_insert=True)
            record(actor, "created", channel, name=channel.name, kind=kind, origin=channel.origin)
    except IntegrityError as error:
        raise _taken() from error
    return channel, secret


def update_channel(*, actor: Actor, channel: Channel, **changes: Any) -> Channel:
    """Change a channel; ``changes`` are ``create_channel``'s arguments but ``kind``, and ``is_active``. Raises the
    same, and InvalidField for another origin: its secret was given to the old one."""
    actor.check(Permission.WRITE_SETTINGS)
    if "url" in changes:
        actor.check_fresh()
    kind = ChannelKind(channel.kind)
    new: dict[str, Any] = {}
    if "name" in changes:
        new["name"] = check_name(changes["name"])
    if "kinds" in changes:
        # What another release has added is nobody's choice here.
        unknown = [kind for kind in channel.kinds if kind not in KNOWN_KINDS]
        new["kinds"] = [*_check_kinds(changes["kinds"]), *unknown]
    if "roles" in changes:
        new["roles"] = _check_roles(kind, changes["roles"])
    if "digest" in changes:
        new["digest"] = _check_digest(kind, changes["digest"])
    if "gets_calls" in changes:
        new["gets_calls"] = _check_calls(kind, gets_calls=changes["gets_calls"])
    if "gets_changes" in changes:
        new["gets_changes"] = _check_changes(kind, gets_changes=changes["gets_changes"])
    if (new.get("gets_changes") and not channel.gets_changes) or (changes.get("is_active") and not channel.is_active):
        # Of what was changed meanwhile nobody wanted to hear.
        Channel.objects.filter(org=actor.org, pk=channel.pk).update(changes_told=find_newest(actor.org))
    if "quiet_from" in changes or "quiet_until" in changes:
        new |= _check_quiet(
            changes.get("quiet_from", channel.quiet_from), changes.get("quiet_until", channel.quiet_until)
        )
    if "url" in changes:
        moved = Channel(pk=channel.pk, org=actor.org, kind=channel.kind)
        _place(actor.org, moved, changes["url"])
        new |= {"url": moved.url, "origin": moved.origin}
        if kind is ChannelKind.SLACK:
            new["secret"] = moved.secret
        elif moved.origin != channel.origin:
            raise InvalidField("Another server needs another secret: create a channel for it.", field="url")
    if "is_active" in changes:
        new |= {"is_active": changes["is_active"], "failures": 0, "failing_since": None, "disabled_reason": ""}
    try:
        store_changes(actor, channel, new, hidden=_HIDDEN)
    except IntegrityError as error:
        raise _taken() from error
    return channel


def rotate_secret(*, actor: Actor, channel: Channel) -> str:
    """Give a signed webhook a new secret; the old one signs too for a day. Raises InvalidField for any other
    channel, and StaleSession."""
    actor.check(Permission.WRITE_SETTINGS)
    actor.check_fresh()
    if channel.kind != ChannelKind.WEBHOOK:
        raise InvalidField("Only a signed webhook has a secret.", field="kind")
    channel.former_secret, channel.former_secret_until = channel.secret, clock.now() + BOTH_SECRETS
    secret = _give_secret(actor.org, channel)
    with transaction.atomic():
        channel.save(update_fields=["secret", "former_secret", "former_secret_until"])
        record(actor, "rotated", channel, name=channel.name)
    return secret


def reveal_secrets(org: Organization, channel: Channel, now: datetime) -> list[str]:
    """The secrets that sign a webhook's messages now, the newest first; of Slack its whole URL. For the one call that
    needs them."""
    sealed = [channel.secret]
    if channel.former_secret_until is not None and channel.former_secret_until > now:
        sealed.append(channel.former_secret)
    return [
        unseal(
            settings.MASTER_KEYS, bytes(org.data_key), org_id=str(org.pk), origin=_bound_to(channel), sealed=bytes(each)
        )
        for each in sealed
        if each is not None
    ]


def note_success(channel: Channel) -> None:
    """A message arrived."""
    if channel.failures:
        Channel.objects.filter(org=channel.org_id, pk=channel.pk).update(failures=0, failing_since=None)


def note_failure(channel: Channel, now: datetime, why: str, *, is_gone: bool) -> bool:
    """A message did not arrive. Says whether the channel was switched off for it: at once where its receiver says that
    it is gone for good, else after many failures in a row over a long time."""
    fresh = Channel.objects.select_for_update().get(org=channel.org_id, pk=channel.pk)
    fresh.failures += 1
    fresh.failing_since = fresh.failing_since or now
    is_off = is_gone or (fresh.failures >= MOST_FAILURES and now - fresh.failing_since >= LONGEST_FAILING)
    if is_off and fresh.is_active:
        fresh.is_active, fresh.disabled_reason = False, why[:300]
    fresh.save(update_fields=["failures", "failing_since", "is_active", "disabled_reason"])
    return is_off


def _give_secret(org: Organization, channel: Channel) -> str:
    secret = "whsec_" + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()
    channel.secret = _seal(org, channel, secret)
    return secret


def _seal(org: Organization, channel: Channel, text: str) -> bytes:
    return seal(settings.MASTER_KEYS, bytes(org.data_key), org_id=str(org.pk), origin=_bound_to(channel), text=text)


def _bound_to(channel: Channel) -> str:
    return f"webhook:{channel.pk}:{channel.origin}"


def _place(org: Organization, channel: Channel, url: str) -> None:
    """Give a channel its URL. Slack's is a secret as a whole: it is sealed, and shown without its path."""
    if channel.kind == ChannelKind.EMAIL:
        if url:
            raise InvalidField("Mails go to members: leave the URL out.", field="url")
        return
    if not url or len(url) > MAX_URL_CHARACTERS:
        raise InvalidField(f"Give the URL of a webhook, of at most {MAX_URL_CHARACTERS} characters.", field="url")
    target = parse_url(url)
    # Whenever it is called its host is vetted anew; but the form is where people want to hear of it.
    gate_from_settings().pin_now(target, field="url")
    channel.url, channel.origin = url, target.origin
    if channel.kind == ChannelKind.SLACK:
        channel.url = f"{target.origin}/…"
        channel.secret = _seal(org, channel, url)


def _check_kinds(kinds: Sequence[AlertKind] | None) -> list[str]:
    wanted = list(AlertKind) if kinds is None else list(dict.fromkeys(kinds))
    if not wanted:
        raise InvalidField(f"Give some of: {', '.join(AlertKind)}.", field="kinds")
    return [kind.value for kind in wanted]


def _check_roles(kind: ChannelKind, roles: Sequence[Role]) -> list[str]:
    if kind is not ChannelKind.EMAIL:
        if roles:
            raise InvalidField("Only mails go to roles: leave them out.", field="roles")
        return []
    if not roles:
        raise InvalidField(f"Give whose members get the mails, some of: {', '.join(Role)}.", field="roles")
    return [role.value for role in dict.fromkeys(roles)]


def _check_digest(kind: ChannelKind, digest: Digest) -> str:
    if kind is not ChannelKind.EMAIL and digest is not Digest.NONE:
        raise InvalidField("Webhooks are called for each alert: leave the digest out.", field="digest")
    return digest.value


def _check_calls(kind: ChannelKind, *, gets_calls: bool) -> bool:
    if gets_calls and kind is not ChannelKind.WEBHOOK:
        raise InvalidField("Only a signed webhook can be sent calls with deadlines: leave it out.", field="gets_calls")
    return gets_calls


def _check_changes(kind: ChannelKind, *, gets_changes: bool) -> bool:
    if gets_changes and kind is not ChannelKind.WEBHOOK:
        raise InvalidField("Only a signed webhook can be sent changes: leave it out.", field="gets_changes")
    return gets_changes


def _check_quiet(start: int | None, end: int | None) -> dict[str, int | None]:
    if (start is None) != (end is None):
        raise InvalidField("Give both, quiet_from and quiet_until, or neither.", field="quiet_from")
    for name, minute in (("quiet_from", start), ("quiet_until", end)):
        if minute is not None and not 0 <= minute < _DAY_MINUTES:
            raise InvalidField("Give a time of day such as 22:00.", field=name)
    if start is not None and start == end:
        raise InvalidField("Quiet hours that end when they begin are none: leave both out.", field="quiet_until")
    return {"quiet_from": start, "quiet_until": end}


def _taken() -> Conflict:
    return Conflict("There is a channel of this name already.", field="name")
