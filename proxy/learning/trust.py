"""How far something that was trained is trusted: compared with its teacher on calls, moved step by step by what comes
of it, and no longer trusted than they agree."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Generic, NamedTuple, TypeVar
from uuid import UUID

import orjson
from django.db import transaction
from django.db.models import QuerySet

from costhub.lib.errors import Conflict, InvalidField
from proxy.edges.capture import place_of
from proxy.learning.choices import Stage
from proxy.learning.consent import is_covered, list_consents
from proxy.learning.conversations import Message, NoExample, read_call
from proxy.learning.evaluation import decide_stage
from proxy.learning.models import CapturedCall, Trusted
from proxy.learning.sealing import Unreadable, unseal
from tenants.access import Actor, job_scope
from tenants.actions.audit import record
from tenants.choices import Permission
from tenants.models import Route

Row = TypeVar("Row", bound=Trusted)
Prompt = tuple[Message, ...]

#: outcomes that are remembered, one character each
MOST_RECENT: Final = 1_000
MOST_CALLS: Final = 500
#: who is not asked any more
UNTRUSTED: Final = frozenset({Stage.ROLLED_BACK.value, Stage.WITHDRAWN.value})


class Said(NamedTuple):
    """An answer on paper, and how sure it is; an empty one is none."""

    answer: str
    sureness: float


class _Asked(NamedTuple):
    """What a captured call asked, and what the teacher answered."""

    at: datetime
    prompt: Prompt
    answer: str


@dataclass(frozen=True, slots=True)
class Pupils(Generic[Row]):
    """A kind of what is trained. ``find`` gives its rows with their teachers; ``reads``: whether one would answer such
    a prompt at all; ``is_same``: whether an answer is the teacher's; ``note`` learns from (how sure, whether it was the
    same); ``after_move`` is called when one's stage has changed and is stored after it; ``begin_anew`` forgets what
    calls have taught of one that is put back into the shadow."""

    find: Callable[[], QuerySet[Row]]
    reads: Callable[[Row, Prompt], bool]
    is_same: Callable[[str, str], bool]
    note: Callable[[Row, Sequence[tuple[float, bool]]], None]
    after_move: Callable[[Actor, Row], None]
    begin_anew: Callable[[Row], None] = lambda _: None


def compare(
    pupils: Pupils[Row],
    org_id: UUID,
    row_id: UUID,
    say: Callable[[Row, Sequence[Prompt]], Sequence[Said]],
    *,
    most: int = MOST_CALLS,
) -> int:
    """Have one answer the teacher's newer captured calls, on paper, and move its stage by what comes of it. Gives the
    number of calls. ``say`` may answer fewer than it is asked: the rest has its turn later."""
    with job_scope(org_id) as actor:
        row = _lock(pupils, row_id)
        if row is None or row.stage in UNTRUSTED:
            return 0
        calls, asked = _read_calls(actor, pupils, row, most)
    if not calls:
        return 0
    # A model takes its time, and no transaction waits for it.
    said = say(row, [one.prompt for one in asked]) if asked else ()
    if len(said) < len(asked) and not said:
        return 0
    until = calls[-1].at if len(said) == len(asked) else asked[len(said) - 1].at
    with job_scope(org_id) as actor:
        now = _lock(pupils, row_id)
        if now is None or now.compared_until != row.compared_until or now.stage in UNTRUSTED:
            return 0  # somebody else was faster
        _count(pupils, now, said, asked)
        now.compared_until = until
        _move(actor, pupils, now)
        now.save()
    return len(calls) if len(said) == len(asked) else len(said)


def set_stage(
    pupils: Pupils[Row],
    *,
    actor: Actor,
    row: Row,
    stage: Stage,
    floor_per_mille: int | None = None,
    canary_percent: int | None = None,
    confidence_percent: int | None = None,
) -> Row:
    """Put one somewhere else by hand, such as back into the shadow; its outcomes are counted anew from there.
    ``canary_percent``: the share of the questions that it gets as a canary; ``confidence_percent``: how sure it must be
    of an answer. Raises Conflict for one that is sure of nothing or was withdrawn, and InvalidField for a floor or
    share that cannot be."""
    actor.check(Permission.WRITE_SETTINGS)
    if floor_per_mille is not None and not 500 <= floor_per_mille <= 999:
        raise InvalidField("Give from 500 to 999 of a thousand.", field="floor_per_mille")
    if canary_percent is not None and not 1 <= canary_percent <= 100:
        raise InvalidField("Give from 1 to 100 per cent.", field="canary_percent")
    if confidence_percent is not None and not 1 <= confidence_percent <= 99:
        raise InvalidField("Give from 1 to 99 per cent.", field="confidence_percent")
    with transaction.atomic():
        found = _lock(pupils, row.pk)
        if found is None or Stage.WITHDRAWN.value in {stage.value, found.stage}:
            raise Conflict("What it has learned was withdrawn: nothing of it is left. It is trained again.")
        if stage is Stage.SHADOW:
            # The world is another one.
            pupils.begin_anew(found)
        if confidence_percent is not None:
            found.threshold = confidence_percent / 100
        if stage in (Stage.CANARY, Stage.PROMOTED) and found.threshold > 1:
            raise Conflict("It is sure of no answer: train it on more examples, or with a lower floor.")
        record(actor, "moved", found, stage=(found.stage, stage.value), floor_per_mille=floor_per_mille)
        found.stage, found.reason, found.recent = stage.value, f"By {actor.name}.", ""
        if floor_per_mille is not None:
            found.floor_per_mille = floor_per_mille
        if canary_percent is not None:
            found.canary_percent = canary_percent
        pupils.after_move(actor, found)
        found.save()
    return found


def list_warnings(row: Trusted, route: Route | None, kept: Mapping[str, int]) -> list[str]:
    """Why nobody notices whether it still agrees with its teacher, where that is so. ``route``: the one that asks it
    first, if there is one; ``kept``: the share of each model's calls that is kept."""
    if row.stage in UNTRUSTED:
        return []
    teacher = row.teacher
    names = [teacher, row.route] if row.route else [teacher]
    found = []
    if not any(kept.get(name, kept.get("", 0)) for name in names):
        found.append(
            f"No calls of {' or '.join(names)} are kept, so that it is compared with nothing and {_stays(row)}: consent "
            "to keep calls."
        )
    if route is not None and route.policy["holdout_percent"] == 0 and row.stage != Stage.SHADOW.value:
        found.append(
            f"The route {route.name} holds out no conversations: what it is sure of, its teacher is not asked, and calls "
            "of this route say nothing of how often the two agree. Hold out some per cent."
        )
    return found


def warn_unserved(row: Trusted) -> str:
    """What is said of one that has to be served to be compared, and is not."""
    return f"It is not served, so that it is compared with nothing and {_stays(row)}: serve it."


def _stays(row: Trusted) -> str:
    return "does not leave the shadow" if row.stage == Stage.SHADOW.value else "is never rolled back"


def _lock(pupils: Pupils[Row], row_id: UUID) -> Row | None:
    return pupils.find().select_for_update(of=("self",)).filter(pk=row_id).first()


def _read_calls(actor: Actor, pupils: Pupils[Row], row: Row, most: int) -> tuple[list[CapturedCall], list[_Asked]]:
    """The teacher's next calls, and those of them that can be asked."""
    teacher = row.teacher
    consents = list_consents(actor.org)
    newer = CapturedCall.objects.filter(org=actor.org, teacher=teacher, at__gt=row.compared_until)
    calls = list(newer.order_by("at", "pk")[:most])
    asked: list[_Asked] = []
    for call in calls:
        if not is_covered(consents, call.model, call.at):
            continue
        try:
            said: dict[str, Any] = orjson.loads(unseal(actor.org, place_of(str(call.pk)), bytes(call.sealed)))
            prompt, text = read_call({"messages": said["messages"]}, said["answer"].encode(), said["content_type"])
        except (NoExample, Unreadable):
            continue
        if pupils.reads(row, prompt):
            asked.append(_Asked(call.at, prompt, text))
    return calls, asked


def _count(pupils: Pupils[Row], row: Row, said: Sequence[Said], asked: Sequence[_Asked]) -> None:
    is_same = [pupils.is_same(one.answer, other.answer) for one, other in zip(said, asked, strict=False)]
    outcomes = [
        ("1" if same else "0") if one.sureness >= row.threshold else "-"
        for one, same in zip(said, is_same, strict=True)
    ]
    row.compared += len(outcomes)
    row.answered += sum(outcome != "-" for outcome in outcomes)
    row.agreed += outcomes.count("1")
    row.recent = (row.recent + "".join(outcomes))[-MOST_RECENT:]
    pupils.note(row, [(one.sureness, same) for one, same in zip(said, is_same, strict=True)])


def _move(actor: Actor, pupils: Pupils[Row], row: Row) -> None:
    stage, why = decide_stage(Stage(row.stage), row.recent, row.floor_per_mille / 1_000)
    if stage.value == row.stage:
        return
    record(actor, "moved", row, stage=(row.stage, stage.value), reason=why)
    row.stage, row.reason = stage.value, why
    # A canary answers for itself: what came before is not counted again.
    row.recent = ""
    pupils.after_move(actor, row)
