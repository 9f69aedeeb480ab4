"""End users: the people on whose behalf an organisation's applications call."""

from django.db import IntegrityError, transaction

from costhub.lib.errors import Conflict
from tenants.access import Actor
from tenants.actions.audit import record
from tenants.actions.changes import apply_changes, publish
from tenants.actions.values import check_identifier, check_name
from tenants.choices import Permission
from tenants.models import EndUser


def create_end_user(*, actor: Actor, external_id: str, name: str = "", is_blocked: bool = False) -> EndUser:
    """Make an end user known by name, or blocked. Calls may name one that was never made known.

    Raises Conflict if the id is taken.
    """
    actor.check(Permission.WRITE_KEYS)
    end_user = EndUser(
        org=actor.org,
        external_id=check_identifier(external_id, "external_id"),
        name=check_name(name) if name else "",
        is_blocked=is_blocked,
    )
    try:
        with transaction.atomic():
            end_user.save(force_insert=True)
            record(actor, "created", end_user, external_id=external_id, is_blocked=is_blocked)
            if is_blocked:
                publish(actor.org, may_stop=True)
    except IntegrityError as error:
        raise Conflict("There is an end user of this id already.", field="external_id") from error
    return end_user


def update_end_user(
    *, actor: Actor, end_user: EndUser, name: str | None = None, is_blocked: bool | None = None
) -> EndUser:
    """Rename an end user, or block or admit their calls."""
    actor.check(Permission.WRITE_KEYS)
    new: dict[str, object] = {}
    if name is not None:
        new["name"] = check_name(name) if name else ""
    if is_blocked is not None:
        new["is_blocked"] = is_blocked
    apply_changes(actor, end_user, new)
    return end_user
