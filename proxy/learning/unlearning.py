"""What has learned from what was withdrawn is not used any more: a student's weights go at once, and it is trained anew
on what is left."""

from uuid import UUID

from django.db import transaction

from proxy.learning.choices import JobState, Stage, TunedState
from proxy.learning.consent import Erased, withdraw_end_user
from proxy.learning.datasets import count_withdrawn
from proxy.learning.lora.deployment import switch_off
from proxy.learning.lora.trials import withdraw
from proxy.learning.models import ProviderTuning, Student, TrainingJob, TunedModel
from proxy.learning.provider_trials import withdraw as withdraw_provider_model
from proxy.learning.provider_tuning import WITHDRAWN
from tenants.access import Actor, job_scope
from tenants.actions.audit import record
from tenants.actions.models import update_model
from tenants.models import LanguageModel


def unlearn(org_id: UUID) -> int:
    """Withdraw everything of an organisation's that has learned from what nobody consents to any more. Gives how
    much."""
    with job_scope(org_id) as actor:
        return _withdraw_all(actor)


def forget_end_user(*, actor: Actor, end_user: str) -> Erased:
    """Erase all that was kept of one end user's calls, and withdraw what was learned from them, at once. Raises what
    ``withdraw_end_user`` does."""
    with transaction.atomic():
        erased = withdraw_end_user(actor=actor, end_user=end_user)
        _withdraw_all(actor)
    return erased


def _withdraw_all(actor: Actor) -> int:
    return withdraw_students(actor) + withdraw_tuned(actor) + cancel_tunings(actor) + switch_off_tuned(actor)


def withdraw_students(actor: Actor) -> int:
    """The same inside an open organisation. Its job begins anew, under the limit of cost that it was given; where too
    little is left, it fails and says so."""
    count = 0
    students = Student.objects.filter(org=actor.org).exclude(stage=Stage.WITHDRAWN.value)
    for student in students.select_related("job__version").select_for_update(of=("self",)):
        withdrawn = count_withdrawn(student.job.version)
        if withdrawn <= student.withdrawn:
            continue
        more = withdrawn - student.withdrawn
        why = f"Consent to {more} of the examples that it had learned from was withdrawn. It is trained again without them."
        record(actor, "withdrawn", student, stage=(student.stage, Stage.WITHDRAWN.value), examples=more)
        student.stage, student.reason, student.weights, student.encoder = Stage.WITHDRAWN.value, why, b"", None
        student.recent, student.withdrawn = "", withdrawn
        student.save(update_fields=["stage", "reason", "weights", "encoder", "recent", "withdrawn"])
        _begin_anew(student.job_id)
        count += 1
    return count


def withdraw_tuned(actor: Actor) -> int:
    """The same for adapters of language models, whose models answer nothing from then on. Gives how many."""
    count = 0
    # This looks at all of them every minute: not at their weights.
    rows = TunedModel.objects.filter(org=actor.org).exclude(state=TunedState.WITHDRAWN.value)
    for tuned in (
        rows.defer("adapter", "served").select_related("job__version__dataset").select_for_update(of=("self",))
    ):
        withdrawn = count_withdrawn(tuned.job.version)
        if withdrawn <= tuned.withdrawn:
            continue
        more = withdrawn - tuned.withdrawn
        tuned.reason = f"Consent to {more} of the examples that it had learned from was withdrawn. It is trained again without them."
        record(actor, "withdrawn", tuned, state=(tuned.state, TunedState.WITHDRAWN.value), examples=more)
        tuned.state, tuned.adapter, tuned.served, tuned.withdrawn = TunedState.WITHDRAWN.value, b"", b"", withdrawn
        withdraw(actor, tuned)
        tuned.save(
            update_fields=[
                "state",
                "reason",
                "adapter",
                "served",
                "withdrawn",
                "stage",
                "recent",
                "threshold",
                "trials",
            ]
        )
        switch_off(actor, tuned)
        _begin_anew(tuned.job_id)
        count += 1
    return count


def _begin_anew(job_id: UUID) -> None:
    TrainingJob.objects.filter(pk=job_id, state=JobState.DONE.value).update(
        state=JobState.WAITING.value, ended_at=None, step=0, losses=[], tokens=0, crashes=0, crashed_at=0
    )


def cancel_tunings(actor: Actor) -> int:
    """What a provider is learning from it is cancelled there, with the next turn of its job. Gives how many."""
    count = 0
    running = ProviderTuning.objects.filter(org=actor.org, state=JobState.RUNNING.value, is_cancelled=False)
    for tuning in running.select_related("version").select_for_update(of=("self",)):
        withdrawn = count_withdrawn(tuning.version)
        if withdrawn <= tuning.withdrawn:
            continue
        record(actor, "withdrawn", tuning, state=tuning.state, examples=withdrawn - tuning.withdrawn)
        tuning.is_cancelled, tuning.error = True, WITHDRAWN
        tuning.save(update_fields=["is_cancelled", "error"])
        count += 1
    return count


def switch_off_tuned(actor: Actor) -> int:
    """Models that a provider has trained cannot be unlearned from here: calls to them are refused, and a person deletes
    them there. Gives how many."""
    count = 0
    done = ProviderTuning.objects.filter(org=actor.org, state=JobState.DONE.value)
    tunings = done.exclude(remote_model="").select_related("version__dataset")
    for tuning in tunings.select_for_update(of=("self",)):
        withdrawn = count_withdrawn(tuning.version)
        if withdrawn <= tuning.withdrawn:
            continue
        tuning.withdrawn = withdrawn
        tuning.error = (
            "Consent to examples that it had learned from was withdrawn: its model is switched off here. Delete "
            f"{tuning.remote_model} at the provider."
        )
        withdraw_provider_model(actor, tuning)
        tuning.save()
        record(actor, "withdrawn", tuning, model=tuning.name)
        model = LanguageModel.objects.filter(
            org=actor.org, name=tuning.name, upstream_model=tuning.remote_model
        ).first()
        if model is not None:
            update_model(actor=actor, model=model, is_active=False)
        count += 1
    return count
