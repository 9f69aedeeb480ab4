"""The fields of routes' forms, kind by kind, and what is made of them.

Targets stand in slots, each a model with its weight, or with the calls that it is for. Conditions are typed in words
(``team=search, tokens>=100``), or as the API takes them where words would not do.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from costhub.console.forms import Field, Form
from costhub.console.policies import mode_field
from costhub.lib.errors import InvalidField
from costhub.lib.money import format_usd
from tenants.access import Actor
from tenants.actions.route_policies import HARD_FROM, MOST_ROUTED, MOST_RUNGS, MOST_TARGETS, SETTINGS
from tenants.choices import Mode, RouteKind, Sticky
from tenants.models import Route
from tenants.selectors import list_models

#: what each kind does, for people
KINDS: Final = {
    RouteKind.FIXED: "The first model whose condition holds",
    RouteKind.FALLBACKS: "The first model that answers",
    RouteKind.WEIGHTED: "Models by their parts of the calls",
    RouteKind.CANARY: "A part of the calls to a second model",
    RouteKind.ROUTER: "Easy calls to the cheap model, harder ones to dearer models",
    RouteKind.CASCADE: "The cheapest first, the next one where its answer is not sure",
}
#: of a kind's targets, the fewest and the most slots
_SLOTS: Final = {
    RouteKind.FIXED: (1, MOST_TARGETS),
    RouteKind.FALLBACKS: (2, MOST_TARGETS),
    RouteKind.WEIGHTED: (2, MOST_TARGETS),
    RouteKind.CANARY: (2, 2),
    RouteKind.ROUTER: (2, MOST_ROUTED),
    RouteKind.CASCADE: (2, MOST_RUNGS),
}
_MORE_SLOTS: Final = 2
_WHEN_HELP: Final = (
    "For which calls it is there, with commas between: team=search, end_user:mia, tokens>=100, tokens<=2000, tools,"
    " no-tools, degraded, not-degraded. Empty is every call."
)
_WHEN_WRONG: Final = (
    "Give conditions such as team=search, end_user:mia, tokens>=100, tokens<=2000, tools, no-tools, degraded or"
    " not-degraded, with commas between."
)
_FLAGS: Final[Mapping[str, tuple[str, bool]]] = {
    "tools": ("has_tools", True),
    "no-tools": ("has_tools", False),
    "degraded": ("is_degraded", True),
    "not-degraded": ("is_degraded", False),
}
_LENGTH: Final = re.compile(r"tokens\s*(>=|<=)\s*([0-9]{1,9})")
_PLACE: Final = re.compile(r"Target ([0-9]+):")
#: settings that hold a whole number: their labels, what they are at first, and what to know of them
_NUMBERS: Final[Mapping[str, tuple[str, str, str]]] = {
    "holdout_percent": (
        "Per cent of the conversations that are held out",
        "2",
        "They go to the model of before, so that what the route saves can be proven. 0 to 99.",
    ),
    "share_percent": ("Per cent of the calls for the second model", "10", "1 to 99."),
    "explore_percent": ("Per cent of the calls sent against its advice, to learn", "3", "0 to 50."),
    "confidence_percent": (
        "Confidence from which on an answer is given, per cent",
        "80",
        "1 to 100. Lower is cheaper; higher asks the next rung more often. A worth of answers decides in its place.",
    ),
    "latency_cap_ms": ("Longest time for all rungs, ms", "0", "0 is no cap; at most 600,000."),
    "agreement_samples": (
        "Times that a rung is asked again, to see whether it agrees",
        "0",
        "Where its upstream does not say how sure an answer is. 0 to 5.",
    ),
    "compare_percent": (
        "Per cent of the calls of which the other model is asked, too",
        "0",
        "It costs what the other model costs, and callers do not wait for it. 0 to 50.",
    ),
    "pack_window_ms": (
        "Short questions wait for each other, ms",
        "0",
        "Those that come within so long are asked in one call; 0: each is asked alone. At most 1,000.",
    ),
    "pack_most": ("Questions in one call at most", "8", "2 to 32."),
    "deadline_seconds": (
        "Calls may wait, seconds",
        "0",
        "They are taken with 202 and answered within so long, at half price where the upstream runs batches. 0: none"
        " waits; 60 to 86,400.",
    ),
}
#: of these what a slider goes over
_SLIDERS: Final[Mapping[str, tuple[int, int]]] = {"confidence_percent": (1, 100)}
_MONEY: Final[Mapping[str, tuple[str, str]]] = {
    "answer_worth": ("What one more right answer is worth, USD", "Then the expected cost decides. 0: nothing is said."),
    "compare_monthly_limit": ("What comparisons may cost in a month, USD", ""),
}


def route_fields(actor: Actor, kind: RouteKind, slots: int, row: Route | None = None) -> list[Field]:
    """What a route of a kind is made of, but for its name."""
    known = SETTINGS[kind]
    models = _choose_models(actor, row)
    fields = [Field("kind", "Kind", "hidden"), mode_field("mode", "The route decides")]
    for place in range(1, slots + 1):
        fields += _slot(kind, place, models)
    fields.append(
        Field(
            "baseline",
            "The model without the route",
            "select",
            help="Calls go there while it is off or in shadow, and savings are counted from its cost.",
            choices=[("", "The most expensive target"), *models],
        )
    )
    if "sticky" in known:
        kept = [
            (Sticky.CONVERSATION.value, "A whole conversation"),
            (Sticky.REQUEST.value, "Nothing, each call chooses again"),
        ]
        fields.append(Field("sticky", "What stays with one choice", "select", choices=kept))
    if "hard_from" in known:
        fields.append(
            Field(
                "hard_from",
                "Calls are hard from",
                "select",
                help="Between two targets. Three or four have a class each: simple, medium, complex, very complex.",
                choices=[(each, each) for each in HARD_FROM],
            )
        )
    for name, (label, _, help_text) in _NUMBERS.items():
        if name in _SLIDERS and name in known:
            fields.append(Field(name, label, "range", help=help_text, most=9, bounds=_SLIDERS[name]))
        elif name == "holdout_percent" or name in known:
            fields.append(Field(name, label, help=help_text, is_required=True, most=9))
    for name, (label, help_text) in _MONEY.items():
        if name in known:
            fields.append(Field(name, label, help=help_text, placeholder="10.00", is_required=True, most=40))
    if "is_learning" in known:
        fields.append(Field("is_learning", "Learn from what becomes of calls", "checkbox"))
    if "stopped_tasks" in known:
        fields.append(
            Field(
                "stopped_tasks", "Tasks that do not use what was learned", "textarea", help="A line each.", most=20_000
            )
        )
    return fields


def count_slots(kind: RouteKind, filled: int) -> int:
    """How many targets a form has room for: two more than there are, within what the kind takes."""
    fewest, most = _SLOTS[kind]
    return min(most, max(fewest, filled) + _MORE_SLOTS)


def first_values(kind: RouteKind) -> dict[str, Any]:
    """What stands in the form of a new route."""
    return {
        "kind": kind.value,
        "mode": Mode.SHADOW.value,
        "sticky": Sticky.CONVERSATION.value,
        "hard_from": HARD_FROM[0],
        **{name: first for name, (_, first, _) in _NUMBERS.items()},
        **dict.fromkeys(_MONEY, "0.00"),
    }


def values_of(row: Route, kind: RouteKind) -> dict[str, Any]:
    """What stands in the form of a route that is there, for the kind that it is to be."""
    policy = row.policy
    values = first_values(kind) | {"mode": row.mode, "baseline": policy["baseline"]}
    for place, target in enumerate(policy["targets"], 1):
        values[f"model_{place}"] = target["model"]
        values[f"weight_{place}"] = str(target.get("weight", ""))
        values[f"when_{place}"] = write_condition(target.get("when", {}))
    values |= {name: str(policy[name]) for name in _NUMBERS if name in policy}
    values |= {name: _plain_usd(policy[name]) for name in _MONEY if name in policy}
    values |= {name: policy[name] for name in ("sticky", "hard_from", "is_learning") if name in policy}
    values["stopped_tasks"] = "\n".join(policy.get("stopped_tasks", ()))
    return values


def read_route(form: Form, kind: RouteKind, slots: int) -> dict[str, Any]:
    """The route that a form describes, as ``create_route`` and ``update_route`` take it. Raises InvalidField."""
    known = SETTINGS[kind] | {"holdout_percent"}
    found: dict[str, Any] = {
        "kind": kind,
        "mode": form.choice("mode", Mode),
        "targets": _read_targets(form, kind, slots),
        "baseline": form.text("baseline"),
        **{name: form.whole(name) for name in _NUMBERS if name in known},
        **{name: form.money(name) for name in _MONEY if name in known},
        **{name: form.text(name) for name in ("sticky", "hard_from") if name in known},
    }
    if len(found["targets"]) > 2:
        # Three or more have a class each: what stands there is for two.
        found.pop("hard_from", None)
    if "is_learning" in known:
        found["is_learning"] = form.flag("is_learning")
    if "stopped_tasks" in known:
        lines = form.text("stopped_tasks").splitlines()
        found["stopped_tasks"] = [line.strip() for line in lines if line.strip()]
    return found


def find_slot(error: InvalidField, form: Form) -> InvalidField:
    """The error beside the slot that it is about: actions speak of targets by their number among those given."""
    if error.field != "targets":
        return error
    given = [name for name in form.values if name.startswith("model_") and form.text(name)]
    found = _PLACE.match(error.message)
    place = int(found[1]) if found else 1
    return InvalidField(error.message, field=given[place - 1] if place <= len(given) else "model_1")


def write_condition(when: Mapping[str, Any]) -> str:
    """A condition in words; as the API takes it, where reading the words would give something else."""
    words = [f"{name}={value}" for name, value in when.get("tags", {}).items()]
    words += [f"end_user:{name}" for name in when.get("end_users", ())]
    words += [f"tokens>={when['min_tokens']}"] if "min_tokens" in when else []
    words += [f"tokens<={when['max_tokens']}"] if "max_tokens" in when else []
    words += [word for word, (name, value) in _FLAGS.items() if when.get(name) is value]
    text = ", ".join(words)
    try:
        if read_condition(text) == dict(when):
            return text
    except InvalidField:
        pass
    return orjson.dumps(when).decode()


def read_condition(text: str) -> dict[str, Any]:
    """A condition that was typed, empty for every call. Raises InvalidField."""
    if text.startswith("{"):
        return _read_json(text)
    when: dict[str, Any] = {}
    for word in (part.strip() for part in text.split(",")):
        if not word:
            continue
        name, equals, value = (part.strip() for part in word.partition("="))
        if word in _FLAGS:
            flag, is_so = _FLAGS[word]
            when[flag] = is_so
        elif word.startswith("end_user:"):
            when.setdefault("end_users", []).append(word.removeprefix("end_user:").strip())
        elif length := _LENGTH.fullmatch(word):
            when["min_tokens" if length[1] == ">=" else "max_tokens"] = int(length[2])
        elif equals and name and value and not name.startswith("tokens"):
            when.setdefault("tags", {})[name] = value
        else:
            raise InvalidField(_WHEN_WRONG)
    return when


def _read_json(text: str) -> dict[str, Any]:
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise InvalidField(_WHEN_WRONG) from error
    if not isinstance(found, dict):
        raise InvalidField(_WHEN_WRONG)
    return found


def _read_targets(form: Form, kind: RouteKind, slots: int) -> list[dict[str, Any]]:
    targets: list[dict[str, Any]] = []
    for place in range(1, slots + 1):
        model = form.text(f"model_{place}")
        others = [name for name in (f"weight_{place}", f"when_{place}") if name in form.values and form.text(name)]
        if not model:
            if others:
                raise InvalidField("Choose the model that this is about, or empty it.", field=f"model_{place}")
            continue
        target: dict[str, Any] = {"model": model}
        if kind is RouteKind.WEIGHTED:
            target["weight"] = form.whole(f"weight_{place}")
        if f"when_{place}" in others:
            try:
                target["when"] = read_condition(form.text(f"when_{place}"))
            except InvalidField as error:
                raise InvalidField(error.message, field=f"when_{place}") from error
        targets.append(target)
    return targets


def _choose_models(actor: Actor, row: Route | None) -> list[tuple[str, str]]:
    """The models that a target may be. Those of a route that is there stay, whatever became of them: a form that left
    one out would take it from the route unsaid."""
    names = [model.name for model in list_models(actor).filter(is_active=True).order_by("name")]
    policy: Mapping[str, Any] = row.policy if row is not None else {"targets": (), "baseline": ""}
    mine = dict.fromkeys([*(target["model"] for target in policy["targets"]), policy["baseline"]])
    gone = [name for name in mine if name and name not in names]
    return [(name, name) for name in names] + [(name, f"{name} (switched off)") for name in gone]


def _slot(kind: RouteKind, place: int, models: Sequence[tuple[str, str]]) -> list[Field]:
    fewest, _ = _SLOTS[kind]
    choices = [("", "None" if place > fewest else "Choose a model"), *models]
    label = {RouteKind.CASCADE: "Rung", RouteKind.FALLBACKS: "Asked"}.get(kind, "Target")
    fields = [Field(f"model_{place}", f"{label} {place}", "select", choices=choices)]
    if kind is RouteKind.WEIGHTED:
        fields.append(Field(f"weight_{place}", f"Its parts of the calls, target {place}", placeholder="1", most=9))
    if kind is not RouteKind.CASCADE:
        help_text = _WHEN_HELP if place == 1 else ""
        fields.append(Field(f"when_{place}", f"For which calls, target {place}", help=help_text, most=2_000))
    return fields


def _plain_usd(nanos: int) -> str:
    whole, _, rest = format_usd(nanos).partition(".")
    return f"{whole}.{rest.rstrip('0').ljust(2, '0')}"
