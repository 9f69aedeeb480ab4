"""What forms of policies share: of which models and routes one may be, and how it is used."""

from typing import Final

from django.urls import reverse

from costhub.console.acts import Act
from costhub.console.forms import Field
from tenants.access import Actor
from tenants.choices import Mode
from tenants.selectors import list_models, list_routes

MODES: Final = {
    Mode.OFF: "Off",
    Mode.SHADOW: "Shadow: only the ledger says what it would have done",
    Mode.ON: "On",
}


def model_field(actor: Actor, taken: set[str]) -> Field:
    """Of which model or route a policy is; those of ``taken`` have one already."""
    names = [
        *((row.name, row.name) for row in list_models(actor).order_by("name")),
        *((row.name, f"{row.name} (route)") for row in list_routes(actor).order_by("name")),
    ]
    everything = ("", "Every one without a policy of its own")
    free = [(value, label) for value, label in [everything, *names] if value not in taken]
    return Field("model", "Model or route", "select", choices=free)


def mode_field(name: str, label: str, help_text: str = "") -> Field:
    """Whether it is used. The modes of the cache have the same names."""
    return Field(name, label, "select", help=help_text, choices=[(each.value, text) for each, text in MODES.items()])


def removal(actor: Actor, address: str, row_id: object, label: str, help_text: str, confirm: str = "") -> Act:
    """The button that removes what a form is about."""
    return Act(label, reverse(address, args=[actor.org.slug, row_id]), "Remove", help_text, confirm=confirm, tone="bad")
