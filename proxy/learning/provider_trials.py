"""Models that a provider has trained as pupils of their teachers: as tuned ones are that are served here, but that each
answer on paper is a call like any other, paid with a key of the organisation's, up to a cap.
"""

import hashlib
import logging
from collections.abc import Sequence
from datetime import timedelta
from typing import Final
from uuid import UUID

import orjson
from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Greatest

from costhub.lib import clock
from costhub.lib.errors import Conflict, InvalidField
from costhub.lib.money import MAX_LIMIT_NANOS, Nanos, format_usd
from costhub.lib.net import Gate
from proxy.cache.texts import is_same_text
from proxy.core.routes.judge import guess
from proxy.core.routes.said import read_answer
from proxy.learning import distilled_routes, trust
from proxy.learning.asking import IN_CONFLICT, OVER_CAP, Later, Never, ask, check_own_key
from proxy.learning.choices import JobState, Stage
from proxy.learning.datasets import count_withdrawn
from proxy.learning.distilled_routes import Around, check_one_route, drop_route, find_route, name_route, put_route
from proxy.learning.lora.trials import MOST_CALLS, find_trust, forget_trials, learn_threshold
from proxy.learning.models import ProviderTuning
from proxy.learning.sealing import TRIALS_KEY, seal, unseal
from proxy.learning.settling import RUN_TAG, SETTLED_AFTER, read_spent_within
from proxy.learning.trust import Prompt, Pupils, Said
from tenants.access import Actor, job_scope
from tenants.actions.audit import record
from tenants.choices import Permission
from tenants.models import LanguageModel, Route

_log = logging.getLogger(__name__)

#: its likeliest answer, and how likely that is
_LIKELIEST: Final = {"temperature": 0, "logprobs": True}
#: a prompt that got no answer in so many turns counts as one that got none: a provider that always fails at it would be
#: paid each time. So does each that comes first in as many turns while a provider is away
_MOST_TRIES: Final = 3
#: what the proxy answers where it has asked and got nothing, or cannot give again what it got
_ASKED_IN_VAIN: Final = frozenset({409, 500, 502, 504})
#: so many prompts in a row that might cost more than is left of the cap, and it is used up
_MOST_DEAR: Final = 20
#: what the ledger is asked for at once
_DAY: Final = timedelta(days=1)
_NOTHING: Final = Said("", 0.0)
_OVER_CAP: Final = "The next comparison might cost more than is left of the cap: nothing is compared any more."


def serve_provider_model(
    *, actor: Actor, tuning: ProviderTuning, api_key: str, cap_nanos: Nanos, route: str = ""
) -> ProviderTuning:
    """From now on compare a model that a provider has trained with its teacher, on calls that are kept, asked with
    ``api_key`` for ``cap_nanos`` at the most; and have calls of ``route`` ask it first, as far as it is trusted, and
    the teacher where it is not sure. The key is sealed, and erased when it is served no longer.

    Raises Conflict where there is no such model, it was rolled back, it has learned from what was withdrawn, or another
    route asks it; InvalidField for a key, a cap or a route that cannot be, such as of a model without a price.
    """
    actor.check(Permission.WRITE_SETTINGS)
    check_own_key(actor, api_key)
    if not 0 < cap_nanos <= MAX_LIMIT_NANOS:
        most = format_usd(MAX_LIMIT_NANOS)
        raise InvalidField(f"Give more than nothing, and at most {most}: comparisons cost no more.", field="cap")
    with transaction.atomic():
        tuning = _find().select_for_update(of=("self",)).get(pk=tuning.pk)
        if tuning.state != JobState.DONE.value:
            raise Conflict("The provider has not trained it.")
        if tuning.stage == Stage.WITHDRAWN.value or count_withdrawn(tuning.version) > tuning.withdrawn:
            raise Conflict("Consent to examples that it had learned from was withdrawn: train another one.")
        if tuning.stage == Stage.ROLLED_BACK.value:
            raise Conflict("This model was rolled back: put it into the shadow, or train another one.")
        if not _list_models(actor, tuning).exists():
            raise Conflict(f"There is no model {tuning.name} of {tuning.remote_model} any more.")
        name = name_route(route, tuning.route, tuning.teacher)
        check_one_route(actor, tuning.route, name, upstream_model=tuning.remote_model, teacher=tuning.teacher)
        tuning.route = name
        put_route(actor, tuning.route, model=tuning.name, teacher=tuning.teacher, trust=find_trust(tuning))
        record(actor, "served", tuning, route=tuning.route, cap_nanos=cap_nanos)
        if tuning.api_key is None:
            # What its teacher was asked while nobody wanted to know is not paid for.
            tuning.compared_until = max(tuning.compared_until, clock.now())
        tuning.api_key = seal(actor.org, f"{TRIALS_KEY} {tuning.pk}", api_key)
        tuning.trials_cap_nanos, tuning.trials_error, tuning.trials_failed = cap_nanos, "", 0
        if tuning.trials_counted_until is None:
            tuning.trials_counted_until = clock.now() - SETTLED_AFTER
        tuning.save()
    return tuning


def retire_provider_model(*, actor: Actor, tuning: ProviderTuning) -> ProviderTuning:
    """Compare it no longer: its route goes, with the name that calls had for it. Its model stays one."""
    actor.check(Permission.WRITE_SETTINGS)
    with transaction.atomic():
        tuning = _find().select_for_update(of=("self",)).get(pk=tuning.pk)
        drop_route(actor, tuning.route, upstream_model=tuning.remote_model, teacher=tuning.teacher)
        record(actor, "retired", tuning, route=tuning.route)
        tuning.route, tuning.api_key = "", None
        tuning.save(update_fields=["route", "api_key"])
    return tuning


def compare_with_calls(org_id: UUID, tuning_id: UUID, gate: Gate, seconds: float) -> int:
    """Have it answer the teacher's newer captured calls, on paper, for so many seconds: see ``trust.compare``. It is
    asked through the proxy: priced, on budget, in the ledger under a tag of its own."""

    def say(tuning: ProviderTuning, prompts: Sequence[Prompt]) -> list[Said]:
        said: list[Said]
        why: str | None
        with job_scope(org_id) as actor:
            if tuning.api_key is None or tuning.trials_cap_nanos is None:
                return []
            key = unseal(actor.org, f"{TRIALS_KEY} {tuning.pk}", bytes(tuning.api_key))
            cap, spent = tuning.trials_cap_nanos, _count_spent(actor, tuning)
        said, failed, dear = [], tuning.trials_failed, 0
        ends, why = clock.ends_in(seconds), ""
        if failed >= _MOST_TRIES:
            said.append(_NOTHING)
        for prompt in prompts[len(said) :]:
            if said and clock.monotonic_ns() >= ends:
                break
            if spent >= cap or dear == _MOST_DEAR:
                why = _OVER_CAP
                break
            try:
                one, cost = _ask(gate, key, tuning, prompt, cap - spent)
            except Later as later:
                if later.code == OVER_CAP:
                    dear += 1
                    continue
                why = str(later) if later.code != IN_CONFLICT else None
                failed += later.is_lost or later.status in _ASKED_IN_VAIN
                break
            except Never as never:
                why = str(never)
                break
            # Others are not too dear: those before it are, and go to the teacher.
            said += [*[_NOTHING] * dear, one]
            spent += cost
            dear = 0
        if dear and why == "":
            why = _OVER_CAP
        with job_scope(org_id):
            rows = ProviderTuning.objects.filter(pk=tuning.pk)
            rows.update(trials_nanos=Greatest("trials_nanos", spent))
            # Of what it is served with by now, if somebody has given another key or cap meanwhile, this says nothing;
            # nor of its state where another worker asks the same.
            mine = rows.filter(api_key=tuning.api_key)
            mine.update(trials_failed=0 if said else failed)
            if why is not None:
                mine.update(trials_error=why)
        return said

    return trust.compare(PROVIDERS, org_id, tuning_id, say, most=MOST_CALLS)


def _count_spent(actor: Actor, tuning: ProviderTuning) -> int:
    """What comparisons have cost in nano-USD. What tries cost whose answers nobody heard is known to the ledger alone,
    whose rows are added up once: those that are settled are remembered as a sum."""
    before = tuning.trials_counted_until
    until, settled = before or tuning.created_at - SETTLED_AFTER, clock.now() - SETTLED_AFTER
    counted = tuning.trials_counted_nanos
    while until < settled:
        ends = min(until + _DAY, settled)
        counted += read_spent_within(actor, tuning.pk, until, ends)
        until = ends
    # Unless another worker has done it.
    rows = ProviderTuning.objects.filter(pk=tuning.pk, trials_counted_until=before)
    rows.update(trials_counted_until=until, trials_counted_nanos=counted)
    return max(tuning.trials_nanos, counted + read_spent_within(actor, tuning.pk, until))


def _ask(gate: Gate, key: str, tuning: ProviderTuning, prompt: Prompt, left: int) -> tuple[Said, int]:
    """What it says, as it says it likeliest, and what that cost. Raises Later, Never."""
    messages = [{"role": role, "content": content} for role, content in prompt]
    answered = ask(
        gate,
        key,
        tuning.name,
        messages,
        # What was asked alike is paid once, whoever dies in between: to the letter, or the key stands for another body.
        idempotency_key=f"trial-{tuning.pk}-{hashlib.sha256(orjson.dumps(messages)).hexdigest()[:32]}",
        headers={"x-costhub-tags": f"{RUN_TAG}={tuning.pk}", "x-costhub-max-cost": format_usd(left)},
        more=_LIKELIEST,
    )
    if answered is None or not answered.text:
        # What it cannot read, such as more than it has room for, goes to the teacher.
        return _NOTHING, answered.cost if answered is not None else 0
    return Said(answered.text, guess(read_answer(answered.body, is_stream=False)) or 0.0), answered.cost


def set_stage(
    *,
    actor: Actor,
    tuning: ProviderTuning,
    stage: Stage,
    floor_per_mille: int | None = None,
    canary_percent: int | None = None,
    confidence_percent: int | None = None,
) -> ProviderTuning:
    """Put it somewhere else by hand; its route follows. Raises what ``trust.set_stage`` does."""
    shares = {
        "floor_per_mille": floor_per_mille,
        "canary_percent": canary_percent,
        "confidence_percent": confidence_percent,
    }
    return trust.set_stage(PROVIDERS, actor=actor, row=tuning, stage=stage, **shares)


def list_warnings(tuning: ProviderTuning, around: Around) -> list[str]:
    """Why nobody notices whether it still agrees with its teacher, where that is so."""
    if tuning.state != JobState.DONE.value or tuning.stage in trust.UNTRUSTED:
        return []
    route = around.find_route(tuning.route, upstream_model=tuning.remote_model, teacher=tuning.teacher)
    found = trust.list_warnings(tuning, route, around.kept)
    if tuning.api_key is None:
        found.insert(0, trust.warn_unserved(tuning))
    elif tuning.trials_error:
        found.insert(0, f"It is not compared at present. {tuning.trials_error}")
    return found


def withdraw(actor: Actor, tuning: ProviderTuning) -> None:
    """Take a model out of service. The caller stores it."""
    tuning.stage, tuning.recent, tuning.api_key = Stage.WITHDRAWN.value, "", None
    forget_trials(tuning)
    _follow(actor, tuning)


def _follow(actor: Actor, tuning: ProviderTuning) -> None:
    distilled_routes.follow(actor, tuning, _find_route(actor, tuning), find_trust(tuning))


def _find_route(actor: Actor, tuning: ProviderTuning) -> Route | None:
    return find_route(actor, tuning.route, upstream_model=tuning.remote_model, teacher=tuning.teacher)


def _list_models(actor: Actor, tuning: ProviderTuning) -> QuerySet[LanguageModel]:
    models = LanguageModel.objects.filter(org=actor.org, name=tuning.name, is_active=True)
    return models.filter(upstream_model=tuning.remote_model)


def _find() -> QuerySet[ProviderTuning]:
    return ProviderTuning.objects.select_related("version__dataset")


PROVIDERS: Final = Pupils(
    _find, lambda *_: True, is_same_text, note=learn_threshold, after_move=_follow, begin_anew=forget_trials
)
