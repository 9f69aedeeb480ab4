"""Has a teacher answer prompts, or a model judge answers, through the proxy like any caller: priced, held to budgets,
in the ledger.

A run may be interrupted anywhere. Prompts are asked in their order, each with an ``Idempotency-Key`` of its own, and
what was answered is stored with the place that was reached in one transaction: a prompt whose answer was lost on the
way is asked again, and gets the first answer, charged once.
"""

from typing import Any, Final
from uuid import UUID

import orjson
from django.db import transaction

from costhub.lib import clock
from costhub.lib.errors import Conflict, InvalidField
from costhub.lib.moments import to_ms
from costhub.lib.money import MAX_LIMIT_NANOS, Nanos, format_usd
from costhub.lib.net import Gate
from proxy.learning.asking import OVER_CAP, Answered, Later, Never, ask, check_own_key, gate_to_proxy
from proxy.learning.choices import ExampleKind, JobState
from proxy.learning.consent import list_consents
from proxy.learning.conversations import MAX_LINES, Example, Message, NoExample, read_gold, read_messages
from proxy.learning.datasets import gather_calls, may_learn, open_example, open_examples, store_examples
from proxy.learning.judging import ask_verdict, read_verdict
from proxy.learning.models import Dataset, LearnedExample, TeacherRun
from proxy.learning.sealing import KEY, PROMPTS, seal, unseal
from proxy.learning.settling import end_run, read_spent, tag_run
from tenants.access import Actor, job_scope
from tenants.actions.audit import record
from tenants.choices import Permission
from tenants.models import LanguageModel, Route

#: a run holds up the others for so long, and goes on with the next turn of the job
TURN_SECONDS: Final = 60

_OVER_CAP: Final = "The next call might have cost more than is left of the cap."
#: what is asked, and what is right where somebody has written it down
_Prompt = tuple[tuple[Message, ...], str]


def start_teacher_run(
    *, actor: Actor, dataset: Dataset, prompts: str, api_key: str, cap_nanos: Nanos | None = None
) -> TeacherRun:
    """Have the dataset's teacher answer prompts, one JSON object with ``messages`` a line, and ``gold`` where somebody
    has written down what is right; called with ``api_key``, whose budgets and limits hold, for at most ``cap_nanos``.
    The key is sealed, and erased when the run ends.

    Raises InvalidField, which names the line; Conflict while the dataset has another run.
    """
    read = _read_prompts(prompts)
    asked = [[list(message) for message in prompt] for prompt, _ in read]
    spelled = orjson.dumps({"prompts": asked, "gold": [gold for _, gold in read]}).decode()
    return _start(actor, dataset, api_key, cap_nanos, asked=spelled, total=len(read))


def start_judge_run(
    *, actor: Actor, dataset: Dataset, judge: str, api_key: str, cap_nanos: Nanos | None = None
) -> TeacherRun:
    """Have a model judge the dataset's answers that none has judged yet, the newest 5,000; later versions leave out
    what it calls poor. Called, paid and ended as a teacher's run. Raises InvalidField, and Conflict while the dataset
    has another run."""
    kinds = (LanguageModel, Route)
    if not any(kind.objects.filter(org=actor.org, name=judge).exists() for kind in kinds):
        raise InvalidField("Give one of the organisation's models or routes.", field="judge")
    return _start(actor, dataset, api_key, cap_nanos, judge=judge)


def cancel_teacher_run(*, actor: Actor, run: TeacherRun) -> TeacherRun:
    """Ask no more prompts; what was answered stays."""
    actor.check(Permission.WRITE_SETTINGS)
    with transaction.atomic():
        run = TeacherRun.objects.select_for_update().get(pk=run.pk)
        if run.state in {JobState.WAITING.value, JobState.RUNNING.value}:
            end_run(run, JobState.CANCELLED)
            record(actor, "cancelled", run)
    return run


def continue_run(org_id: UUID, run_id: UUID, gate: Gate | None = None, seconds: float = TURN_SECONDS) -> bool:
    """Ask the next prompts of a run, or about the next answers, for so many seconds. Says whether there is more to
    do."""
    if not _prepare(org_id, run_id):
        return False
    with job_scope(org_id) as actor:
        run = _open(actor, run_id)
        if run is None:
            return False
        asked = orjson.loads(unseal(actor.org, f"{PROMPTS} {run.pk}", bytes(run.prompts)))
        if isinstance(asked, list):
            # A run from before there was anything but prompts.
            asked = {"prompts": asked, "gold": [""] * len(asked)}
        key = unseal(actor.org, f"{KEY} {run.pk}", bytes(run.api_key or b""))
        model, headers = run.judge or run.dataset.teacher, tag_run(run)
        # What tries cost whose answers nobody heard is known to the ledger alone.
        spent = (
            run.cost_nanos if run.cap_nanos is None else max(run.cost_nanos, read_spent(actor, run_id, run.created_at))
        )
    gate = gate or gate_to_proxy()
    ends = clock.ends_in(seconds)
    number = run.answered + run.failed
    while number < run.total and clock.monotonic_ns() < ends:
        if run.cap_nanos is not None:
            if spent >= run.cap_nanos:
                return _end(org_id, run_id, JobState.DONE, _OVER_CAP)
            headers = {**headers, "x-costhub-max-cost": format_usd(run.cap_nanos - spent)}
        messages = _read_messages(org_id, asked, number)
        try:
            answered = (
                ask(gate, key, model, messages, idempotency_key=f"teacher-run-{run_id}-{number}", headers=headers)
                if messages is not None
                else None
            )
        except Later as error:
            if error.code == OVER_CAP:
                return _end(org_id, run_id, JobState.DONE, _OVER_CAP)
            return _note(org_id, run_id, str(error))
        except Never as error:
            return _end(org_id, run_id, JobState.FAILED, str(error))
        if not _keep(org_id, run_id, number, asked, answered):
            return False
        spent += answered.cost if answered is not None else 0
        number += 1
    return number < run.total


def _start(
    actor: Actor,
    dataset: Dataset,
    api_key: str,
    cap_nanos: Nanos | None,
    *,
    asked: str = "",
    total: int = 0,
    judge: str = "",
) -> TeacherRun:
    actor.check(Permission.WRITE_SETTINGS)
    check_own_key(actor, api_key)
    if cap_nanos is not None and not 0 < cap_nanos <= MAX_LIMIT_NANOS:
        most = format_usd(MAX_LIMIT_NANOS)
        raise InvalidField(f"Give a cap above zero and at most {most}.", field="cap")
    with transaction.atomic():
        Dataset.objects.select_for_update().get(pk=dataset.pk)
        under_way = TeacherRun.objects.filter(
            org=actor.org, dataset=dataset, state__in=[JobState.WAITING.value, JobState.RUNNING.value]
        )
        if under_way.exists():
            raise Conflict("This dataset has a run already: wait for it, or cancel it.")
        run = TeacherRun(org=actor.org, dataset=dataset, total=total, judge=judge, cap_nanos=cap_nanos, is_tagged=True)
        run.prompts = seal(actor.org, f"{PROMPTS} {run.pk}", asked) if asked else b""
        run.api_key = seal(actor.org, f"{KEY} {run.pk}", api_key)
        run.save(force_insert=True)
        record(actor, "started", run, dataset=dataset.name, prompts=total, judge=judge, cap_nanos=cap_nanos)
    return run


def _prepare(org_id: UUID, run_id: UUID) -> bool:
    """A judge's run is told which answers there are when it begins, those of calls among them. Says whether there is a
    run to go on with."""
    with job_scope(org_id) as actor:
        run = _open(actor, run_id)
        if run is None or bytes(run.prompts):
            return run is not None
        dataset_id = run.dataset_id
    gather_calls(org_id, dataset_id)
    with job_scope(org_id) as actor:
        run = _open(actor, run_id)
        if run is None:
            return False
        rows, _ = open_examples(actor, run.dataset)
        ids = [str(row.pk) for row in rows if not row.verdict][:MAX_LINES]
        run.prompts = seal(actor.org, f"{PROMPTS} {run.pk}", orjson.dumps({"examples": ids}).decode())
        run.total = len(ids)
        run.save(update_fields=["prompts", "total"])
        if not ids:
            run.error = "There is no answer that was not judged before."
            run.save(update_fields=["error"])
            end_run(run, JobState.DONE)
        return bool(ids)


def _read_messages(org_id: UUID, asked: dict[str, Any], number: int) -> list[dict[str, str]] | None:
    """What is asked next; None where its example is gone, or may not be learned from any more."""
    if "prompts" in asked:
        return [{"role": role, "content": content} for role, content in asked["prompts"][number]]
    with job_scope(org_id) as actor:
        row = LearnedExample.objects.filter(org=actor.org, pk=asked["examples"][number], sealed__isnull=False).first()
        if row is None or not may_learn(list_consents(actor.org), row):
            return None
        return ask_verdict(open_example(actor, row))


def _open(actor: Actor, run_id: UUID) -> TeacherRun | None:
    under_way = [JobState.WAITING.value, JobState.RUNNING.value]
    rows = TeacherRun.objects.filter(org=actor.org, pk=run_id, state__in=under_way)
    run = rows.select_for_update(of=("self",)).select_related("dataset", "dataset__org").first()
    if run is not None and run.state == JobState.WAITING.value:
        run.state = JobState.RUNNING.value
        run.save(update_fields=["state"])
    return run


def _keep(org_id: UUID, run_id: UUID, number: int, asked: dict[str, Any], answered: Answered | None) -> bool:
    """Store what came, and that this place was reached. Says whether the run goes on."""
    with job_scope(org_id) as actor:
        run = _open(actor, run_id)
        if run is None or run.answered + run.failed != number:
            # Cancelled, or somebody else goes on with it.
            return False
        if answered is not None:
            # An answer that nothing can be learned from was paid for, too.
            run.cost_nanos += answered.cost
        if answered is not None and answered.text and _store(run, number, asked, answered.text):
            run.answered += 1
        else:
            run.failed += 1
        run.error = ""
        if run.answered + run.failed == run.total:
            end_run(run, JobState.DONE)
        run.save(update_fields=["answered", "failed", "cost_nanos", "error"])
    return True


def _store(run: TeacherRun, number: int, asked: dict[str, Any], text: str) -> bool:
    """An example of what a teacher said, or what a judge said of one. Says whether there is anything to store."""
    if "prompts" in asked:
        prompt = tuple(Message(*message) for message in asked["prompts"][number])
        example = Example(str(run.pk), to_ms(clock.now()), prompt, text, asked["gold"][number])
        store_examples(run.dataset, ExampleKind.TEACHER, [(example, number, "")])
        return True
    verdict = read_verdict(text)
    if verdict is None:
        return False
    rows = LearnedExample.objects.filter(org=run.org, pk=asked["examples"][number], sealed__isnull=False)
    return rows.update(verdict=verdict.value) == 1


def _note(org_id: UUID, run_id: UUID, why: str) -> bool:
    with job_scope(org_id) as actor:
        if (run := _open(actor, run_id)) is not None:
            run.error = why
            run.save(update_fields=["error"])
    return True


def _end(org_id: UUID, run_id: UUID, state: JobState, why: str) -> bool:
    with job_scope(org_id) as actor:
        if (run := _open(actor, run_id)) is not None:
            run.error = why
            run.save(update_fields=["error"])
            end_run(run, state)
    return False


def _read_prompts(text: str) -> list[_Prompt]:
    lines = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    if not lines or len(lines) > MAX_LINES:
        raise InvalidField(f'Give from 1 to {MAX_LINES:,} lines such as {{"messages": [...]}}.', field="prompts")
    read = []
    for number, line in lines:
        try:
            body: Any = orjson.loads(line)
            prompt = read_messages(body.get("messages") if isinstance(body, dict) else None)
        except orjson.JSONDecodeError as error:
            raise InvalidField(f"Line {number} is not JSON: {error}.", field="prompts") from error
        except NoExample as error:
            raise InvalidField(f"Line {number}: {error}", field="prompts") from error
        if prompt[-1].role != "user":
            raise InvalidField(f"Line {number}: the last message must be a user's.", field="prompts")
        read.append((prompt, read_gold(body, number, "prompts")))
    return read
