"""Who may take an organisation's data along, and have it erased."""

from costhub.lib.errors import Forbidden
from tenants.access import Actor


def check_owner(actor: Actor) -> None:
    """Raise Forbidden for who does not own the whole organisation, and StaleSession for who signed in a while ago."""
    if not actor.rights.is_owner:
        raise Forbidden(f"Only an owner of {actor.org.name} may do this.")
    actor.check_fresh()
