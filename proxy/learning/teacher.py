"""Has a teacher answer prompts, through the proxy like any caller: priced, held to budgets, in the ledger.

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
from costhub.lib.net import Gate
from proxy.learning.asking import Answered, Later, Never, ask, check_own_key, gate_to_proxy
from proxy.learning.choices import ExampleKind, JobState
from proxy.learning.conversations import MAX_LINES, Example, Message, NoExample, read_messages
from proxy.learning.datasets import store_examples
from proxy.learning.models import Dataset, TeacherRun
from proxy.learning.sealing import KEY, PROMPTS, seal, unseal
from proxy.learning.settling import end_run, tag_run
from tenants.access import Actor, job_scope
from tenants.actions.audit import record
from tenants.choices import Permission

#: a run holds up the others for so long, and goes on with the next turn of the job
TURN_SECONDS: Final = 60


def start_teacher_run(*, actor: Actor, dataset: Dataset, prompts: str, api_key: str) -> TeacherRun:
    """Have the dataset's teacher answer prompts, one JSON object with ``messages`` a line, called with ``api_key``,
    whose budgets and limits hold. The key is sealed, and erased when the run ends.

    Raises InvalidField, which names the line; Conflict while the dataset has another run.
    """
    actor.check(Permission.WRITE_SETTINGS)
    check_own_key(actor, api_key)
    read = _read_prompts(prompts)
    with transaction.atomic():
        Dataset.objects.select_for_update().get(pk=dataset.pk)
        under_way = TeacherRun.objects.filter(
            org=actor.org, dataset=dataset, state__in=[JobState.WAITING.value, JobState.RUNNING.value]
        )
        if under_way.exists():
            raise Conflict("This dataset has a run already: wait for it, or cancel it.")
        run = TeacherRun(org=actor.org, dataset=dataset, total=len(read), is_tagged=True)
        spelled = orjson.dumps([[list(message) for message in prompt] for prompt in read]).decode()
        run.prompts = seal(actor.org, f"{PROMPTS} {run.pk}", spelled)
        run.api_key = seal(actor.org, f"{KEY} {run.pk}", api_key)
        run.save(force_insert=True)
        record(actor, "started", run, dataset=dataset.name, prompts=len(read))
    return run


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
    """Ask the next prompts of a run, for so many seconds. Says whether there is more to do."""
    with job_scope(org_id) as actor:
        run = _open(actor, run_id)
        if run is None:
            return False
        prompts = orjson.loads(unseal(actor.org, f"{PROMPTS} {run.pk}", bytes(run.prompts)))
        key = unseal(actor.org, f"{KEY} {run.pk}", bytes(run.api_key or b""))
        model, tag = run.dataset.teacher, tag_run(run)
    gate = gate or gate_to_proxy()
    ends = clock.ends_in(seconds)
    number = run.answered + run.failed
    while number < len(prompts) and clock.monotonic_ns() < ends:
        prompt = tuple(Message(*message) for message in prompts[number])
        try:
            messages = [{"role": role, "content": content} for role, content in prompt]
            answered = ask(gate, key, model, messages, idempotency_key=f"teacher-run-{run_id}-{number}", headers=tag)
        except Later as error:
            return _note(org_id, run_id, str(error))
        except Never as error:
            return _stop(org_id, run_id, str(error))
        if not _keep(org_id, run_id, number, prompt, answered):
            return False
        number += 1
    return number < len(prompts)


def _open(actor: Actor, run_id: UUID) -> TeacherRun | None:
    under_way = [JobState.WAITING.value, JobState.RUNNING.value]
    rows = TeacherRun.objects.filter(org=actor.org, pk=run_id, state__in=under_way)
    run = rows.select_for_update(of=("self",)).select_related("dataset", "dataset__org").first()
    if run is not None and run.state == JobState.WAITING.value:
        run.state = JobState.RUNNING.value
        run.save(update_fields=["state"])
    return run


def _keep(org_id: UUID, run_id: UUID, number: int, prompt: tuple[Message, ...], answered: Answered | None) -> bool:
    """Store what came, and that this place was reached. Says whether the run goes on."""
    with job_scope(org_id) as actor:
        run = _open(actor, run_id)
        if run is None or run.answered + run.failed != number:
            # Cancelled, or somebody else goes on with it.
            return False
        if answered is not None:
            # An answer that nothing can be learned from was paid for, too.
            run.cost_nanos += answered.cost
        if answered is None or not answered.text:
            run.failed += 1
        else:
            example = Example(str(run.pk), to_ms(clock.now()), prompt, answered.text)
            store_examples(run.dataset, ExampleKind.TEACHER, [(example, number, "")])
            run.answered += 1
        run.error = ""
        if run.answered + run.failed == run.total:
            end_run(run, JobState.DONE)
        run.save(update_fields=["answered", "failed", "cost_nanos", "error"])
    return True


def _note(org_id: UUID, run_id: UUID, why: str) -> bool:
    with job_scope(org_id) as actor:
        if (run := _open(actor, run_id)) is not None:
            run.error = why
            run.save(update_fields=["error"])
    return True


def _stop(org_id: UUID, run_id: UUID, why: str) -> bool:
    with job_scope(org_id) as actor:
        if (run := _open(actor, run_id)) is not None:
            run.error = why
            run.save(update_fields=["error"])
            end_run(run, JobState.FAILED)
    return False


def _read_prompts(text: str) -> list[tuple[Message, ...]]:
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
        read.append(prompt)
    return read
