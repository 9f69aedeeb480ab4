"""What more in a budget does to its period: what is spent, where that is heading, and where the new limit lies."""

from dataclasses import dataclass
from datetime import date, datetime

from billing.spend.core.forecast import find_crossing
from billing.spend.models import Forecast
from billing.spend.outlook import list_forecasts
from billing.spend.selectors.standings import Standing, list_standings
from costhub.lib import clock
from costhub.lib.money import format_for_people
from tenants.access import Actor
from tenants.choices import BudgetPeriod, BudgetScope, Role
from tenants.models import Budget


@dataclass(frozen=True, slots=True)
class Effect:
    """Money is nano-USD. ``standing`` is the subject's that has used the most of the budget. ``expected`` is what is
    forecast for the month's end, None where nothing is; ``passed_now`` and ``passed_then`` the local days on which the
    limit of now and the one with more are forecast to be passed."""

    standing: Standing
    limit_then: int
    expected: int | None = None
    passed_now: date | None = None
    passed_then: date | None = None


def find_effect(actor: Actor, budget: Budget, amount_nanos: int, now: datetime) -> Effect | None:
    """None for a budget that is switched off. Raises Forbidden if the actor may not see money."""
    rows = [each for each in list_standings(actor, now, budget.scope) if each.budget.id == str(budget.pk)]
    if not rows:
        return None
    standing = rows[0]
    then = standing.limit + amount_nanos
    row = _find_forecast(actor, budget, standing, now)
    if row is None or row.expected is None:
        return Effect(standing, then)
    passed = [find_crossing(row.spent, row.first_day, row.running, limit) for limit in (standing.limit, then)]
    return Effect(standing, then, row.expected, *passed)


def describe_effect(effect: Effect, amount_nanos: int) -> str:
    """In sentences, for whoever decides."""
    standing = effect.standing
    share = standing.spent * 100 // max(standing.limit, 1)
    who = f" by {standing.subject_name}" if standing.is_default and standing.subject else ""
    said = f"{format_for_people(standing.spent)} of {format_for_people(standing.limit)} is spent{who} ({share} %)."
    more, then = format_for_people(amount_nanos), format_for_people(effect.limit_then)
    if effect.expected is None:
        return f"{said} With {more} more the limit is {then}."
    said += f" {format_for_people(effect.expected)} is forecast for the end of the month"
    said += f", past the limit on {_show(effect.passed_now)}." if effect.passed_now else ", within the limit."
    if effect.passed_then:
        return (
            f"{said} With {more} more the limit is {then}, and is forecast to be passed on {_show(effect.passed_then)}."
        )
    return f"{said} With {more} more the limit is {then}, and the forecast stays within it."


def tell_approvers(actor: Actor, budget: Budget, amount_nanos: int) -> str:
    """What more does to a budget's period, for the mail to who decides: they may see money, whoever asks."""
    approver = Actor(actor.org, Role.OWNER, "costhub")
    effect = find_effect(approver, budget, amount_nanos, clock.now())
    return describe_effect(effect, amount_nanos) if effect else ""


def _show(day: date) -> str:
    return f"{day.day} {day:%B}"


def _find_forecast(actor: Actor, budget: Budget, standing: Standing, now: datetime) -> Forecast | None:
    """The one of what a month's budget counts."""
    if budget.period != BudgetPeriod.MONTH or standing.budget.within:
        return None
    subject = "" if budget.scope == BudgetScope.ORGANIZATION else standing.subject
    rows = (row for row in list_forecasts(actor, now) if (row.scope, row.subject) == (budget.scope, subject))
    return next(rows, None)
