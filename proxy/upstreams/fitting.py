"""Which of a plan's candidates can be asked what the call asks: formats differ in what they can say."""

from proxy.errors import InvalidRequest
from proxy.upstreams.refused_habits import RefusedHabits
from proxy.upstreams.vendors import vendor_of
from proxy.values.plan import Candidate, Plan
from proxy.values.request import Wire


def fit(plan: Plan, learned: RefusedHabits) -> Plan:
    """The plan without those who cannot be asked.

    Raises InvalidRequest where that is the first one: with ``param`` naming the field that its upstream does not know.
    """
    request = plan.request
    if request.original is None:
        for candidate in plan.candidates:
            if not vendor_of(candidate.upstream.kind).is_at_home(request):
                break
        else:
            return plan
    fitting = []
    for candidate in plan.candidates:
        error = _find_misfit(plan, candidate, learned)
        if error is None:
            fitting.append(candidate)
        elif not fitting and candidate is plan.first:
            raise error
    return plan if len(fitting) == len(plan.candidates) else plan._replace(candidates=tuple(fitting))


def wire_of(plan: Plan) -> Wire:
    """The form in which the first candidate's answer comes, which nothing that is learned changes."""
    upstream, model = plan.first.upstream, plan.first.model.upstream_model
    vendor = vendor_of(upstream.kind)
    return vendor.choose_wire(plan.request, vendor.find_habits(upstream, model, frozenset()))


def _find_misfit(plan: Plan, candidate: Candidate, learned: RefusedHabits) -> InvalidRequest | None:
    request, upstream, model = plan.request, candidate.upstream, candidate.model.upstream_model
    vendor = vendor_of(upstream.kind)
    habits = vendor.find_habits(upstream, model, learned.of(upstream.id, model))
    wire = vendor.choose_wire(request, habits)
    if vendor.find_path(request.operation, wire) is None:
        return InvalidRequest(
            f"The upstream {upstream.name} of the model {candidate.model.name} has no {request.operation.value}.",
            param="model",
            code="unsupported_operation",
        )
    fields = vendor.find_unsaid(request, wire).fields
    if not fields or habits.drop_unknown:
        return None
    return InvalidRequest(
        f"The upstream {upstream.name} of the model {candidate.model.name} does not know {fields[0]}: leave it out, or"
        " have an admin set the upstream's habit drop_unknown, by which such fields are left out.",
        param=fields[0],
        code="unsupported_field",
    )
