"""How many budgets and rate limits an organisation may have: every call's plan looks at all of them."""

from typing import Final

from costhub.lib.errors import Conflict
from tenants.access import Actor
from tenants.models import Budget, Organization, RateLimit
from tenants.selectors import keep_in_force

#: budgets and rate limits together
MAX_LIMITS: Final = 500


def lock_limits(actor: Actor) -> None:
    """Until the transaction ends, let nobody else change the organisation's limits: what each of two changes may alone,
    both together may exceed."""
    Organization.objects.select_for_update().get(pk=actor.org.pk)


def check_room(actor: Actor) -> None:
    """Raise Conflict where one more budget or rate limit is too many. Those of dead keys do not count. The
    caller has them locked."""
    budgets = keep_in_force(Budget.objects.filter(org=actor.org), actor.org)
    rate_limits = keep_in_force(RateLimit.objects.filter(org=actor.org), actor.org)
    found = budgets.count() + rate_limits.count()
    if found >= MAX_LIMITS:
        raise Conflict(
            f"An organisation has at most {MAX_LIMITS} active budgets and rate limits together, and this one has {found}:"
            " switch some off first, or make one the default of each subject of its scope."
        )
