"""What came of weighing a change, in sentences."""

from fractions import Fraction

from billing.spend.core.roi import Outcome, Verdict
from costhub.lib.money import format_for_people


def describe_outcome(outcome: Outcome, *, has_traffic: bool) -> str:
    """The verdict and why; that a change never pays is said first."""
    once = format_for_people(outcome.once)
    saving = format_for_people(abs(outcome.saving))
    if outcome.break_even_days is None:
        return f"Never pays: {_why_never(outcome, once, saving, has_traffic)}"
    days = format_days(outcome.break_even_days)
    if outcome.verdict is Verdict.TOO_LATE:
        return (
            f"Does not pay within {outcome.horizon_days:,} days: it saves {saving} a day, so {once} would come back "
            f"after {days}."
        )
    if not outcome.once:
        return f"Pays from the first day: it saves {saving} a day and costs nothing once."
    return f"Pays for itself after {days}: it saves {saving} a day and costs {once} once."


def format_days(days: Fraction) -> str:
    """Days for people, to a tenth; from a hundred on whole ones."""
    shown = f"{round(days):,}" if days >= 100 else format_decimal(days, 1)
    return f"{shown} day" if shown == "1.0" else f"{shown} days"


def format_decimal(number: Fraction, places: int) -> str:
    """A number of at least zero with so many decimal places, rounded half to even."""
    whole, rest = divmod(round(number * 10**places), 10**places)
    return f"{whole}.{rest:0{places}d}"


def _why_never(outcome: Outcome, once: str, saving: str, has_traffic: bool) -> str:
    if not has_traffic:
        cost = f", and it costs {saving} a day" if outcome.saving else ""
        why = f"there are no calls that it could save anything on{cost}"
    elif outcome.saving:
        why = f"it costs {saving} a day more than now"
    else:
        why = "it saves nothing"
    return f"{why}, and {once} once on top." if outcome.once else f"{why}."
