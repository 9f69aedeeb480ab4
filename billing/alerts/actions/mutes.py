"""Who wants no mails of a kind. The link in every mail needs no sign-in: it is signed."""

from collections.abc import Iterable
from typing import Final

from django.core import signing

from billing.alerts.models import Mute
from billing.choices import AlertKind
from costhub.lib.errors import NotFound
from tenants.access import Actor

_SALT: Final = "costhub.unsubscribe"


def set_muted(*, actor: Actor, user_id: int, kinds: Iterable[AlertKind], is_muted: bool) -> None:
    """Stop mails of some kinds to a member, or let them come again."""
    wanted = list(kinds)
    if is_muted:
        Mute.objects.bulk_create(
            (Mute(org=actor.org, user_id=user_id, kind=kind.value) for kind in wanted), ignore_conflicts=True
        )
    else:
        Mute.objects.filter(org=actor.org, user=user_id, kind__in=[kind.value for kind in wanted]).delete()


def make_mute_token(org_id: str, user_id: int, kind: AlertKind | None) -> str:
    """What the link to stop mails of a kind carries; without a kind, of all kinds."""
    return signing.dumps([org_id, user_id, kind.value if kind else ""], salt=_SALT)


def read_mute_token(token: str) -> tuple[str, int, list[AlertKind]]:
    """(organisation, user, kinds) of a link. Raises NotFound for one that we did not make."""
    try:
        org_id, user_id, kind = signing.loads(token, salt=_SALT)
        return str(org_id), int(user_id), [AlertKind(kind)] if kind else list(AlertKind)
    except (signing.BadSignature, ValueError, TypeError) as error:
        raise NotFound("This link is not complete: open it from the mail again.") from error
