"""The jobs of learning: every one may run twice, or on two workers at once, and die anywhere.

What they stand on takes seconds to import (telephone numbers, scipy): who has nothing to do imports none of it.
"""

import logging
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, Final
from uuid import UUID

from celery import shared_task
from django.conf import settings
from django.db.models import Exists, OuterRef, Q, QuerySet

from costhub.lib import clock
from costhub.lib.database import try_to_be_only
from proxy.cache.embedder import load_model
from proxy.learning import capture, consent
from proxy.learning.choices import JobState, Stage, VersionState
from proxy.learning.models import DatasetVersion, PaidReplay, ProviderTuning, Student, TeacherRun, TunedModel
from proxy.learning.work import Work, list_orgs_with
from tenants.access import org_scope
from tenants.models import LanguageModel

_log = logging.getLogger(__name__)

#: one run of the job stores for so long while there is something to store
_STORE_FOR_SECONDS: Final = 20
#: the runs of teachers that are under way share so much of a turn of their job
_ASK_FOR_SECONDS: Final = 60
#: and comparisons of tuned models theirs: an answer takes seconds
_COMPARE_FOR_SECONDS: Final = 30.0
#: a version's share of a turn, however many wait: less is spent on opening its examples
_LEAST_LOOK: Final = 2.0
#: seconds from one turn to the next, and a prime, so that each begins elsewhere
_EVERY: Final = 15
_STRIDE: Final = 7919
_BUILDING: Final = 0x4255494C_44564552  # "BUILDVER"
_UNTRUSTED: Final = (Stage.ROLLED_BACK.value, Stage.WITHDRAWN.value)
_UNDER_WAY: Final = (JobState.WAITING.value, JobState.RUNNING.value)


@shared_task
def store_captured() -> int:
    """Store captured calls until there are none."""
    ends, stored = clock.ends_in(_STORE_FOR_SECONDS), 0
    while clock.monotonic_ns() < ends:
        batch = capture.store_captured()
        stored += batch
        if batch == 0:
            break
    return stored


@shared_task
def forget_uncovered() -> int:
    """Erase what no consent covers any more, and what was learned from it."""
    erased = sum(sum(consent.forget_uncovered(org_id)) for org_id in list_orgs_with(Work.KEPT))
    trained = list_orgs_with(Work.TRAINED)
    if trained:
        from proxy.learning.unlearning import unlearn  # noqa: PLC0415

        erased += sum(unlearn(org_id) for org_id in trained)
    return erased


def _give_turns(rows: Iterable[tuple[UUID, UUID]], take: Callable[[UUID, UUID], Any]) -> list[Any]:
    """What each row's turn gave. One that fails, such as that of an organisation that is about to be erased and whose
    key opens nothing any more, is told of and left out: the next organisation has done nothing wrong."""
    given = []
    for org_id, row_id in rows:
        try:
            given.append(take(org_id, row_id))
        except Exception:  # noqa: BLE001 - as said
            _log.exception("a turn failed", extra={"org": str(org_id), "row": str(row_id)})
    return given


@shared_task
def build_versions() -> int:
    """Make the versions of datasets that wait. Gives their number."""
    waiting = _find(Work.VERSION, DatasetVersion.objects.filter(state=VersionState.WAITING.value))
    if waiting:
        from proxy.learning.datasets import LOOK_FOR_SECONDS, build_version, embed_with  # noqa: PLC0415
        from proxy.learning.people_model import find_with  # noqa: PLC0415

        embed = embed_with(partial(load_model, settings.CACHE_EMBEDDER))
        seconds = max(_LEAST_LOOK, LOOK_FOR_SECONDS / len(waiting))
        build = partial(build_version, embed=embed, find=find_with(), seconds=seconds)
        with try_to_be_only(_BUILDING) as is_ours:
            # Two would look over the same examples, and throw one's work away.
            if is_ours:
                _give_turns(_in_turn(waiting, LOOK_FOR_SECONDS), build)
    return len(waiting)


def _in_turn(rows: list[tuple[UUID, UUID]], seconds: float) -> Iterator[tuple[UUID, UUID]]:
    """These until so many seconds are over, one at least: runs that do not reach all begin at another one each time."""
    ends, now = clock.ends_in(seconds), int(clock.now().timestamp())
    turn = now // _EVERY * _STRIDE % len(rows)
    for place, row in enumerate(rows[turn:] + rows[:turn]):
        if place and clock.monotonic_ns() >= ends:
            break
        yield row


@shared_task
def continue_teacher_runs() -> int:
    """Ask the next prompts of every run that is under way. Gives the number of runs that have more to do."""
    under_way = _find(Work.TEACHER_RUN, TeacherRun.objects.filter(state__in=_UNDER_WAY))
    if not under_way:
        return 0
    from proxy.learning.teacher import continue_run  # noqa: PLC0415

    # One that is slow leaves the others their turn.
    seconds = max(1.0, _ASK_FOR_SECONDS / len(under_way))
    return sum(_give_turns(under_way, partial(continue_run, seconds=seconds)))


@shared_task
def continue_paid_replays() -> int:
    """Ask the next calls of every paid replay that is under way. Gives the number of those that have more to do."""
    under_way = _find(Work.PAID_REPLAY, PaidReplay.objects.filter(state__in=_UNDER_WAY))
    if not under_way:
        return 0
    from proxy.learning.replays import continue_replay  # noqa: PLC0415

    seconds = max(1.0, _ASK_FOR_SECONDS / len(under_way))
    return sum(_give_turns(under_way, partial(continue_replay, seconds=seconds)))


@shared_task
def compare_students() -> int:
    """Have students answer their teachers' newer calls on paper, and move them by what comes of it. Gives the number of
    calls."""
    students = _find(Work.STUDENT, Student.objects.exclude(stage__in=_UNTRUSTED))
    if not students:
        return 0
    from proxy.learning.datasets import embed_with  # noqa: PLC0415
    from proxy.learning.encoders.served import Encoders  # noqa: PLC0415
    from proxy.learning.students import compare_with_calls  # noqa: PLC0415

    embed, encoders = embed_with(partial(load_model, settings.CACHE_EMBEDDER)), Encoders()
    return sum(compare_with_calls(org_id, student_id, embed, encoders) for org_id, student_id in students)


@shared_task
def compare_tuned() -> int:
    """Have tuned models that are served, here or by the provider that trained them, answer their teachers' newer calls
    on paper, and move them by what comes of it. Gives the number of calls."""
    return _compare_provided() + (_compare_tuned_here() if settings.TUNED_URL else 0)


def _compare_provided() -> int:
    served = ProviderTuning.objects.filter(api_key__isnull=False).exclude(stage__in=_UNTRUSTED)
    provided = _find(Work.TRAINED, served)
    if not provided:
        return 0
    from proxy.learning.asking import gate_to_proxy  # noqa: PLC0415
    from proxy.learning.provider_trials import compare_with_calls  # noqa: PLC0415

    compare = partial(compare_with_calls, gate=gate_to_proxy(), seconds=_COMPARE_FOR_SECONDS / len(provided))
    return sum(_give_turns(provided, compare))


def _compare_tuned_here() -> int:
    active = LanguageModel.objects.filter(org=OuterRef("org"), name=OuterRef("model"), is_active=True)
    # Those that nobody can call would only keep others' processes away.
    served = TunedModel.objects.exclude(stage__in=_UNTRUSTED).filter(Exists(active))
    tuned = _find(Work.TUNED, served)
    if not tuned:
        return 0
    from proxy.learning.asking import gate_to  # noqa: PLC0415
    from proxy.learning.lora.trials import compare_with_calls  # noqa: PLC0415

    gate, seconds = gate_to(settings.TUNED_URL), _COMPARE_FOR_SECONDS / len(tuned)
    return sum(compare_with_calls(org_id, tuned_id, gate, seconds) for org_id, tuned_id in tuned)


@shared_task
def settle_training() -> int:
    """Charge what workers used that died with a job that was cancelled, and have runs cost what the ledger says."""
    from proxy.learning.leases import settle_cancelled  # noqa: PLC0415
    from proxy.learning.settling import settle_runs  # noqa: PLC0415

    charged = sum(settle_cancelled(org_id) for org_id in list_orgs_with(Work.TRAINING))
    return charged + sum(settle_runs(org_id) for org_id in list_orgs_with(Work.PAID_RUN))


@shared_task
def continue_tunings() -> int:
    """Make the next step of every training that a provider has, or is to have, or has a file of. Gives the number that
    have more to do."""
    under_way = _find(Work.PROVIDER_TUNING, ProviderTuning.objects.filter(Q(state__in=_UNDER_WAY) | ~Q(remote_file="")))
    if not under_way:
        return 0
    from costhub.lib.net import gate_from_settings  # noqa: PLC0415
    from proxy.learning.provider_tuning import continue_tuning  # noqa: PLC0415

    return sum(_give_turns(under_way, partial(continue_tuning, gate=gate_from_settings())))


def _find(
    work: Work,
    rows: "QuerySet[DatasetVersion] | QuerySet[PaidReplay] | QuerySet[ProviderTuning] | QuerySet[Student] | QuerySet[TeacherRun] | QuerySet[TunedModel]",
) -> list[tuple[UUID, UUID]]:
    """(organisation, row) of these rows in every organisation that has some, the oldest first."""
    found: list[tuple[UUID, UUID]] = []
    for org_id in list_orgs_with(work):
        with org_scope(org_id):
            mine = rows.filter(org_id=org_id).order_by("created_at", "id")
            found += [(org_id, pk) for pk in mine.values_list("pk", flat=True)]
    return found
