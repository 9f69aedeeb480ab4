"""The emergency stop: calls of an organisation, a project or a key are refused until somebody resumes them."""

from tenants.access import Actor
from tenants.actions.changes import apply_changes
from tenants.choices import Permission
from tenants.models import ApiKey, Organization, Project


def set_stopped(*, actor: Actor, target: Organization | Project | ApiKey, is_stopped: bool) -> None:
    """Stop or resume. Every proxy knows within a second; calls that are under way come to their end."""
    actor.check(Permission.WRITE_MONEY)
    apply_changes(actor, target, {"is_stopped": is_stopped})
