"""Models that a provider trains: a version's examples are sent, the most that it may cost is held, and what came of it
becomes a model of the organisation's.

Each step may be interrupted and made again. A job at the provider is found by its mark before another one is made, so
that nobody pays for two. However it ends, the file goes: what people said does not stay with the provider.
"""

import logging
from contextlib import suppress
from typing import Any, Final
from uuid import UUID, uuid5

from django.db import transaction

from costhub.lib import clock
from costhub.lib.errors import AppError, Conflict, InvalidField
from costhub.lib.moments import to_ms
from costhub.lib.money import MAX_LIMIT_NANOS
from costhub.lib.net import Gate
from proxy.core.tokens import count_text
from proxy.errors import ApiError, BudgetExceeded
from proxy.learning.choices import JobState, VersionState
from proxy.learning.conversations import Example, write_jsonl
from proxy.learning.datasets import count_withdrawn, read_version
from proxy.learning.models import DatasetVersion, ProviderTuning
from proxy.learning.provider_api import Json, ProviderApi, Refused, read_id
from proxy.learning.spend import KIND
from proxy.ledger.charges import Spending, charge, hold_ahead, renew_hold
from tenants.access import Actor, job_scope
from tenants.actions.audit import record
from tenants.actions.models import create_model
from tenants.actions.upstreams import reveal_credential
from tenants.actions.values import check_identifier
from tenants.choices import Permission, Tokenizer, UpstreamKind
from tenants.models import LanguageModel, Project, Upstream

_log = logging.getLogger(__name__)

#: of an organisation, waiting and running
MOST_TUNINGS: Final = 10
MOST_EPOCHS: Final = 50
MOST_PER_MILLION: Final = 100_000 * 10**9
#: what a provider takes at the least, and we refuse to send
LEAST_EXAMPLES: Final = 10
#: marks around a message and at an example's end, beside its text: more than any vocabulary has
_AROUND_MESSAGE: Final = 8
_AROUND_EXAMPLE: Final = 8
_MILLION: Final = 1_000_000
_MOST_TOKENS: Final = 10**15
_SUCCEEDED, _FAILED, _CANCELLED = "succeeded", "failed", "cancelled"
#: of one that is learning from what somebody takes back
WITHDRAWN: Final = "Consent to examples that it was learning from was withdrawn: it is cancelled at the provider."
#: a provider has it, or is to get it
UNDER_WAY: Final = (JobState.WAITING.value, JobState.RUNNING.value)


def create_provider_tuning(
    *,
    actor: Actor,
    version: DatasetVersion,
    upstream: Upstream,
    project: Project,
    name: str,
    base_model: str,
    per_million_nanos: int,
    epochs: int = 3,
) -> ProviderTuning:
    """Have a provider train ``base_model`` on a version, as a model ``name`` of the organisation's.
    ``per_million_nanos``: what it asks for a million trained tokens, in nano-USD; all of it is held before anything is
    sent, by the tokens that we count, and charged by those that the provider counts.

    Raises InvalidField for what cannot be, Conflict where the version is not there, the name is taken, or too many are
    under way.
    """
    actor.check(Permission.WRITE_SETTINGS)
    if version.state != VersionState.READY.value:
        raise Conflict("This version has not been made.", field="version")
    if upstream.kind not in {UpstreamKind.OPENAI.value, UpstreamKind.OPENAI_COMPATIBLE.value}:
        raise InvalidField("Give an upstream that speaks OpenAI's format.", field="upstream")
    name, base_model = check_identifier(name, "name"), check_identifier(base_model, "base_model")
    if not 1 <= epochs <= MOST_EPOCHS:
        raise InvalidField(f"Give from 1 to {MOST_EPOCHS} epochs.", field="epochs")
    if not 0 <= per_million_nanos <= MOST_PER_MILLION:
        raise InvalidField("Give an amount from 0 to 100,000 USD for a million tokens.", field="per_million")
    examples = read_version(actor, version, held_out=False)
    if len(examples) < LEAST_EXAMPLES:
        raise InvalidField(f"This version has {len(examples)} examples to learn from, {LEAST_EXAMPLES} are the least.")
    tunings = ProviderTuning.objects.filter(org=actor.org)
    with transaction.atomic():
        if tunings.filter(state__in=UNDER_WAY).count() >= MOST_TUNINGS:
            raise Conflict(f"{MOST_TUNINGS} are under way: wait for one, or cancel it.")
        is_taken = tunings.filter(name=name, state__in=UNDER_WAY).exists()
        if is_taken or LanguageModel.objects.filter(org=actor.org, name=name).exists():
            raise Conflict("There is a model of this name already.", field="name")
        tuning = ProviderTuning.objects.create(
            org=actor.org,
            version=version,
            upstream_id=upstream.pk,
            project_id=project.pk,
            name=name,
            base_model=base_model,
            epochs=epochs,
            per_million_nanos=per_million_nanos,
            most_tokens=count_tokens(examples) * epochs,
            withdrawn=count_withdrawn(version),
        )
        # What people said leaves for somewhere else.
        record(actor, "created", tuning, name=name, version=version.pk, upstream=upstream.name, examples=len(examples))
    return tuning


def cancel_provider_tuning(*, actor: Actor, tuning: ProviderTuning) -> ProviderTuning:
    """One that waits is gone. One that the provider has is cancelled there with the job's next turn, and what was
    trained by then is charged."""
    actor.check(Permission.WRITE_SETTINGS)
    with transaction.atomic():
        tuning = ProviderTuning.objects.select_for_update().get(pk=tuning.pk)
        if tuning.state in UNDER_WAY and not tuning.is_cancelled:
            record(actor, "cancelled", tuning, was=tuning.state)
            tuning.is_cancelled = True
            if not tuning.held_nanos and not tuning.remote_file and not tuning.remote_job:
                tuning.state, tuning.ended_at = JobState.CANCELLED.value, clock.now()
            tuning.save(update_fields=["is_cancelled", "state", "ended_at"])
    return tuning


def count_tokens(examples: list[Example]) -> int:
    """The most tokens that training on them once can count, by OpenAI's present vocabulary and some for the marks."""
    total = 0
    for example in examples:
        texts = [*(message.content for message in example.prompt), example.answer]
        total += sum(count_text(text, Tokenizer.O200K.value) + _AROUND_MESSAGE for text in texts) + _AROUND_EXAMPLE
    return total


def price_tokens(tokens: int, per_million_nanos: int) -> int:
    """Nano-USD, rounded up to a whole one."""
    return -(-tokens * per_million_nanos // _MILLION)


def continue_tuning(org_id: UUID, tuning_id: UUID, gate: Gate) -> bool:
    """Make the next step; the last one is that its file is deleted. Says whether there is more to do. Provider and
    money that cannot be had now are tried again with the next turn; ``error`` says what is waited for."""
    with job_scope(org_id) as actor:
        tuning = ProviderTuning.objects.select_related("version__dataset").filter(pk=tuning_id).first()
        if tuning is None:
            return False
        is_over = tuning.state not in UNDER_WAY
        if is_over and not tuning.remote_file:
            return False
        upstream = Upstream.objects.filter(org=actor.org, pk=tuning.upstream_id).first()
        if upstream is None and is_over:
            return _leave_file(org_id, tuning, "")
        if upstream is None:
            return _end(actor, tuning, JobState.FAILED, "Its upstream is gone.", tokens=None)
        credential = reveal_credential(actor=actor, upstream=upstream) or ""
    api = ProviderApi(gate, upstream.base_url, credential)
    if is_over:
        return _forget_file(org_id, tuning, api)
    try:
        if not tuning.remote_job:
            return _begin(org_id, tuning, api)
        return _look(org_id, tuning, api)
    except Refused as refused:
        with job_scope(org_id) as actor:
            # Of a job that is there already nobody knows what it did cost by now.
            return _end(actor, tuning, JobState.FAILED, str(refused), tokens=None if tuning.remote_job else 0)
    except (ApiError, AppError) as later:
        with job_scope(org_id):
            ProviderTuning.objects.filter(pk=tuning_id).update(error=later.message)
        return True


def _begin(org_id: UUID, tuning: ProviderTuning, api: ProviderApi) -> bool:
    """Money first, then the file, then the job; what is done already is not done again."""
    mark = str(tuning.pk)
    # With a file there may be a job whose making nobody heard of.
    job = api.find(mark) if tuning.remote_file else None
    if job is None and tuning.is_cancelled:
        with job_scope(org_id) as actor:
            return _end(actor, tuning, JobState.CANCELLED, "", tokens=0)
    nanos = price_tokens(tuning.most_tokens, tuning.per_million_nanos)
    # Written down first: whoever dies behind the hold leaves a row that tells of it, and cancelling gives it back.
    _store(org_id, tuning, held_nanos=nanos)
    if nanos:
        try:
            hold_ahead(_spending(tuning), nanos, 1)
        except BudgetExceeded:
            _store(org_id, tuning, held_nanos=0)
            raise
    if job is None:
        job = api.create(_hand_in(org_id, tuning, api), tuning.base_model, tuning.epochs, mark)
    _store(org_id, tuning, remote_job=read_id(job), state=JobState.RUNNING.value, error="")
    return True


def _hand_in(org_id: UUID, tuning: ProviderTuning, api: ProviderApi) -> str:
    """The file's id. It is handed in where it is not there, or somebody has taken back what is in it since. Raises
    Refused where too little is left."""
    name = _name_file(tuning)
    with job_scope(org_id) as actor:
        withdrawn = count_withdrawn(tuning.version)
        examples = read_version(actor, tuning.version, held_out=False)
    if tuning.remote_file not in ("", name) and withdrawn == tuning.withdrawn:
        return tuning.remote_file
    _delete_files(tuning, api)
    if len(examples) < LEAST_EXAMPLES:
        raise Refused(f"{len(examples)} examples to learn from are left, {LEAST_EXAMPLES} are the least.")
    # Written down first: whoever dies behind it leaves a row that tells that there is a file.
    _store(org_id, tuning, remote_file=name, withdrawn=withdrawn)
    _store(org_id, tuning, remote_file=api.upload(name, write_jsonl(examples)))
    return tuning.remote_file


def _forget_file(org_id: UUID, tuning: ProviderTuning, api: ProviderApi) -> bool:
    """Have the file deleted of one that is over. Says whether there is more to do."""
    try:
        _delete_files(tuning, api)
    except Refused as refused:
        return _leave_file(org_id, tuning, str(refused))
    except (ApiError, AppError):
        return True
    _store(org_id, tuning, remote_file="")
    return False


def _leave_file(org_id: UUID, tuning: ProviderTuning, why: str) -> bool:
    """The file stays at the provider, and a person is told so. Gives False: there is no more to do."""
    told = f"{tuning.error} Its file {tuning.remote_file} could not be deleted: delete it at the provider. {why}"
    _store(org_id, tuning, remote_file="", error=told.strip())
    return False


def _delete_files(tuning: ProviderTuning, api: ProviderApi) -> None:
    """All that was handed in for it, one included of which nobody heard that it came."""
    name = _name_file(tuning)
    known = {tuning.remote_file} - {"", name}
    for file_id in sorted(known | set(api.list_files(name))):
        api.delete_file(file_id)


def _name_file(tuning: ProviderTuning) -> str:
    return f"costhub-{tuning.pk}.jsonl"


def _look(org_id: UUID, tuning: ProviderTuning, api: ProviderApi) -> bool:
    job = api.get(tuning.remote_job)
    told = str(job.get("status"))[:40]
    if tuning.is_cancelled and told not in {_SUCCEEDED, _FAILED, _CANCELLED}:
        with suppress(Refused):  # it may have ended meanwhile: what it says now counts
            api.cancel(tuning.remote_job)
        job = api.get(tuning.remote_job)
        told = str(job.get("status"))[:40]
    counted = _read_tokens(job, tuning)
    _store(org_id, tuning, remote_state=told, trained_tokens=counted or 0)
    with suppress(Refused):  # what it tells of its steps is for people: without it the job is none the worse
        _store(org_id, tuning, events=api.list_events(tuning.remote_job))
    with job_scope(org_id) as actor:
        if told == _SUCCEEDED:
            model = job.get("fine_tuned_model")
            if not isinstance(model, str) or not model or len(model) > 200:
                return _end(actor, tuning, JobState.FAILED, "The provider names no model that came of it.", counted)
            tuning.remote_model = model
            return _end(actor, tuning, JobState.DONE, "", counted)
        if told == _FAILED:
            # A file that is refused costs nothing, and then no tokens are told.
            return _end(actor, tuning, JobState.FAILED, _reason(job), counted or 0)
        if told == _CANCELLED:
            why = WITHDRAWN if count_withdrawn(tuning.version) > tuning.withdrawn else ""
            return _end(actor, tuning, JobState.CANCELLED, why, counted)
        if tuning.held_nanos:
            renew_hold(actor.org.shard, _spending(tuning).row_id)
    return True


def _end(actor: Actor, tuning: ProviderTuning, state: JobState, error: str, tokens: int | None) -> bool:
    """Charge it, and register what came of it, unless it learned from what was withdrawn meanwhile. ``tokens`` None:
    nobody knows how many were trained on, and all that was held is charged as an estimate. Says whether there is more
    to do: its file is there still."""
    with transaction.atomic():
        row = ProviderTuning.objects.select_for_update().get(pk=tuning.pk)
        if row.state not in UNDER_WAY:
            return False
        nanos = row.held_nanos if tokens is None else price_tokens(tokens, row.per_million_nanos)
        if nanos or row.held_nanos:
            spending = _spending(tuning)
            duration = max(0, clock.now_ms() - spending.started_ms) * 1_000
            charge(
                *(spending, nanos, duration),
                is_estimated=tokens is None,
                is_overrun=nanos > row.held_nanos,
                held=row.held_nanos,
                upstream_id=str(row.upstream_id),
            )
        row.state, row.error, row.ended_at, row.spent_nanos = state.value, error, clock.now(), nanos
        row.remote_model = tuning.remote_model
        row.save()
        # Of one that has learned from what was taken back ``unlearning`` tells.
        if state is JobState.DONE and count_withdrawn(tuning.version) <= row.withdrawn:
            _register(actor, row)
    return bool(row.remote_file)


def _read_tokens(job: Json, tuning: ProviderTuning) -> int | None:
    """The tokens that the provider counts. None where it tells none, or more than there is money for."""
    tokens = job.get("trained_tokens")
    if not isinstance(tokens, int) or isinstance(tokens, bool) or not 0 <= tokens <= _MOST_TOKENS:
        return None
    return tokens if price_tokens(tokens, tuning.per_million_nanos) <= MAX_LIMIT_NANOS else None


def _register(actor: Actor, tuning: ProviderTuning) -> None:
    """Under its name, without a price: the provider's list knows none of it, and calls are refused until somebody types
    what it asks."""
    upstream = Upstream.objects.get(pk=tuning.upstream_id)
    try:
        with transaction.atomic():
            create_model(
                actor=actor,
                name=tuning.name,
                upstream=upstream,
                upstream_model=tuning.remote_model,
                student_of=_teacher_of(tuning),
            )
    except (Conflict, InvalidField) as refused:
        tuning.error = f"{tuning.remote_model} was trained, and is no model here yet: {refused.message}"
        tuning.save(update_fields=["error"])


def _teacher_of(tuning: ProviderTuning) -> str:
    version = DatasetVersion.objects.select_related("dataset").get(pk=tuning.version_id)
    return version.dataset.teacher


def _spending(tuning: ProviderTuning) -> Spending:
    return Spending(
        tuning.org_id,
        tuning.project_id,
        str(uuid5(tuning.pk, "provider tuning")),
        KIND,
        tuning.name,
        f"provider tuning {tuning.pk}",
        to_ms(tuning.created_at),
    )


def _store(org_id: UUID, tuning: ProviderTuning, **values: Any) -> None:
    for field, value in values.items():
        setattr(tuning, field, value)
    with job_scope(org_id):
        ProviderTuning.objects.filter(pk=tuning.pk).update(**values)


def _reason(job: dict[str, Any]) -> str:
    told = job.get("error")
    message = told.get("message") if isinstance(told, dict) else None
    return f"The provider says: {message[:500]}" if isinstance(message, str) and message else "The provider failed it."
