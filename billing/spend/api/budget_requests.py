"""/budget-requests as ``tenants`` has them, with what is known of spend in the mail to who decides."""

from billing.spend.more import tell_approvers
from tenants.api.budget_requests import BudgetRequestViewSet
from tenants.models import Budget


class TellingBudgetRequestViewSet(BudgetRequestViewSet):
    """Requests for more, decided ones included."""

    def describe(self, budget: Budget, amount_nanos: int) -> str:
        """What it does to the budget's period."""
        return tell_approvers(self.actor, budget, amount_nanos)
