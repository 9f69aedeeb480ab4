"""Closing: an operator of the installation shuts an organisation, as for abuse, and opens it again.

While it is closed its calls, tokens and people are refused, as if it were not there. Nothing is deleted: what was
called stays accounted for, and opening it brings all of it back. Both stand in the organisation's audit log, with a
reason.
"""

from django.db import transaction

from costhub.lib.errors import Conflict, InvalidField
from tenants.access import org_scope
from tenants.actions.audit import record
from tenants.actions.changes import apply_changes
from tenants.actions.visits import act_as_operator, check_reason
from tenants.models import Organization, User


def set_closed(*, user: User, org: Organization, is_closed: bool, reason: str, confirm: str) -> Organization:
    """Close an organisation, or open it again. ``confirm`` is its short name, for closing.

    Raises Forbidden for who is no operator, or has no second factor, InvalidField without a reason or for another name,
    Conflict where it is so already, or where an owner has had it closed to be erased.
    """
    operator, why = act_as_operator(user, org), check_reason(reason, org)
    if is_closed and confirm.strip() != org.slug:
        raise InvalidField(f"Type {org.slug} to close {org.name}.", field="confirm")
    with org_scope(org.pk), transaction.atomic():
        found = Organization.objects.select_for_update().get(pk=org.pk)
        if found.is_active is not is_closed:
            raise Conflict(f"{found.name} is {'closed' if is_closed else 'open'} already.")
        if found.erasure_asked_at is not None:
            raise Conflict(
                f"An owner of {found.name} has asked for its erasure: what was sealed cannot be opened again."
            )
        record(operator, "closed" if is_closed else "reopened", found, reason=why)
        apply_changes(operator, found, {"is_active": not is_closed})
    return found
