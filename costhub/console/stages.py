"""How far a learned model is trusted with its route's calls: the buttons and the field that pages of such models
share."""

from collections.abc import Callable
from typing import Final

from django.http import HttpRequest

from costhub.console.acts import Act, try_to
from costhub.console.forms import Field
from costhub.lib.errors import InvalidField
from proxy.learning.choices import Stage
from tenants.access import Actor

#: what each stage means
STAGES: Final = {
    Stage.SHADOW: "It is only compared with its teacher, which answers every call of its route.",
    Stage.CANARY: "It answers its share of the calls of its route, where it is sure.",
    Stage.PROMOTED: "It answers all calls of its route where it is sure, but for those that prove what it saves.",
    Stage.ROLLED_BACK: "Its route asks its teacher alone.",
}


def make_stage_acts(address: str, present: str) -> list[Act]:
    """A button for each stage but the present one."""
    return [
        Act(f"Make it {stage.replace('_', ' ')}", address, "Move", text, hidden=[("stage", stage.value)])
        for stage, text in STAGES.items()
        if stage.value != present
    ]


def make_retire_act(address: str, label: str, text: str) -> Act:
    """The button that takes the route away from a model."""
    return Act(label, address, "Retire", text, tone="bad", hidden=[("retire", "yes")])


def change_stage(
    request: HttpRequest,
    actor: Actor,
    name: str,
    *,
    move: Callable[[Stage], object],
    retire: Callable[[], object],
    retired: str,
) -> None:
    """Do what one of these buttons asks for, for the model of a name, and say on the next page how it went: ``retired``
    says what a model does no longer. Raises as ``try_to`` does."""
    stage = request.POST.get("stage", "")

    def act() -> None:
        if request.POST.get("retire"):
            retire()
        elif stage in set(STAGES):
            move(Stage(stage))
        else:
            raise InvalidField(f"Give one of {', '.join(STAGES)}.", field="stage")

    done = f"{name} is {stage.replace('_', ' ')} now." if stage else f"{name} {retired}."
    try_to(request, actor, done, act)


def make_route_field(condition: str) -> Field:
    """The field for the route that asks a model first: ``condition`` says what a model must be for that."""
    return Field(
        "route",
        "Route that asks it first",
        help="Calls of this name go to it as far as it is trusted, and to its teacher where it is not sure. "
        + condition,
        most=200,
    )
