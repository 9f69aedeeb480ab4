"""What a tuned model is worth: how often it says what its teacher says, what that costs, and when its training has come
back."""

from typing import Final, NamedTuple

from django.db.models import Sum

from costhub.lib import clock
from proxy.core.pricing import cost
from proxy.learning.choices import NEVER
from proxy.learning.evaluation import Share, bound, price_success
from proxy.learning.models import TeacherRun, TunedModel
from proxy.learning.students import COST_DAYS, Economy, TeacherCalls, add_up_teacher
from proxy.values.attempt import Usage
from tenants.access import Actor
from tenants.selectors import load_org_snapshot

_MILLION: Final = 1_000_000


class Agreement(NamedTuple):
    """Of the held-out answers, those that it gives to the letter, with the adapter and without; None where nothing is
    known."""

    tuned: Share | None
    base: Share | None


def read_agreement(tuned: TunedModel) -> Agreement:
    """How well it does on what was held out, with the intervals of that."""
    return Agreement(*(_bound(tuned.evaluation.get(what)) for what in ("tuned", "base")))


def read_economy(actor: Actor, tuned: TunedModel) -> Economy:
    """What a tuned model saves where it is asked first, at the teacher's cost of a call over the last four weeks, from
    the ledger, and at its own price of as many tokens. By the calls that it was compared on since it is known how sure
    it must be; before, by what was held out, as if it answered all of it. Inside an open organisation."""
    version = tuned.job.version
    teacher = add_up_teacher(actor, version.dataset.teacher, tuned.route)
    a_call = teacher.nanos // teacher.calls if teacher.calls else None
    own = _price_call(actor, tuned, teacher)
    asked, answered, right = _count(tuned)
    share = answered * _MILLION // asked if asked else 0
    runs = TeacherRun.objects.filter(org=actor.org, dataset_id=version.dataset_id, created_at__lt=version.created_at)
    bought = int(runs.aggregate(total=Sum("cost_nanos"))["total"] or 0)
    spent = tuned.job.spent_nanos + bought
    saved = (a_call or 0) * share - (own or 0) * _MILLION
    break_even = -(-spent * _MILLION // saved) if own is not None and saved > 0 else None
    success = price_success(asked, answered, right, own / a_call) if own is not None and a_call else None
    a_day = teacher.calls * _MILLION // COST_DAYS
    return Economy(a_call, share, spent, bought, break_even, a_day, success, own)


def _bound(said: dict[str, int] | None) -> Share | None:
    return bound(said["same"], said["of"]) if said and said.get("of") else None


def _count(tuned: TunedModel) -> tuple[int, int, int]:
    """Questions, those that it answered, and as the teacher did."""
    if tuned.threshold < NEVER and tuned.compared > tuned.unsure:
        return tuned.compared - tuned.unsure, tuned.answered, tuned.agreed
    said = tuned.evaluation.get("tuned") or {}
    return said.get("of", 0), said.get("of", 0), said.get("same", 0)


def _price_call(actor: Actor, tuned: TunedModel, teacher: TeacherCalls) -> int | None:
    """Its price of as many tokens as a call of the teacher's has."""
    org = load_org_snapshot(str(actor.org.pk)) if tuned.model else None
    model = org.models.get(tuned.model) if org is not None else None
    price = model.find_price(clock.now_ms()) if model is not None else None
    if price is None or not teacher.calls:
        return None
    usage = Usage(input=teacher.input_tokens // teacher.calls, output=teacher.output_tokens // teacher.calls)
    return int(cost(usage, price))
