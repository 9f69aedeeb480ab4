"""Tuned models as pupils of their teachers: asked on paper what the teacher was asked, trusted step by step, and their
route changed with that."""

import logging
import math
from collections.abc import Sequence
from typing import Final
from uuid import UUID

import numpy as np
import orjson
from django.conf import settings
from django.db.models import QuerySet

from costhub.lib import clock
from costhub.lib.errors import AppError
from costhub.lib.net import Gate
from proxy.cache.texts import is_same_text
from proxy.core.routes.answer_checks import find_failure
from proxy.core.routes.judge import guess
from proxy.core.routes.said import read_answer
from proxy.learning import distilled_routes, trust
from proxy.learning.choices import NEVER, Stage
from proxy.learning.distilled_routes import Around, Trust, find_route
from proxy.learning.evaluation import ENOUGH_FOR_CANARY, choose_threshold
from proxy.learning.models import Tried, TunedModel
from proxy.learning.trust import Prompt, Pupils, Said
from proxy.learning.upstream_credentials import make_credential
from tenants.access import Actor
from tenants.choices import Mode
from tenants.models import Route

_log = logging.getLogger(__name__)

#: calls that one turn looks at: an answer takes seconds
MOST_CALLS: Final = 50
#: answers by which it is known how sure it must be: the newest
MOST_TRIALS: Final = 400
#: of its server, which may have to start a process first
_ANSWER_SECONDS: Final = 60.0
_PLACES: Final = 1_000_000
_MAX_ANSWER_BYTES: Final = 1024 * 1024
#: its server knows nobody of this name, has no room for it now, or is not there. Another error is about what was asked,
#: which would be asked again and again
_NOBODY: Final = frozenset({401, 404, 502, 503, 504})


def compare_with_calls(org_id: UUID, tuned_id: UUID, gate: Gate, seconds: float) -> int:
    """Have a tuned model answer the teacher's newer captured calls, on paper, for so many seconds: see
    ``trust.compare``. Its own server is asked, past the proxy: nobody gets these answers, and nobody pays for them."""

    def say(tuned: TunedModel, prompts: Sequence[Prompt]) -> list[Said]:
        said: list[Said] = []
        ends = clock.ends_in(seconds)
        for prompt in prompts:
            if said and clock.monotonic_ns() >= ends:
                break
            if (one := ask_server(gate, org_id, tuned.name, prompt, tuned.context // 2)) is None:
                break
            said.append(one)
        return said

    return trust.compare(TUNED, org_id, tuned_id, say, most=MOST_CALLS)


def ask_server(gate: Gate, org_id: UUID, name: str, prompt: Prompt, most_tokens: int) -> Said | None:
    """What a tuned model says, as it says it likeliest, and how sure it is, as a cascade would judge it; no more than
    ``most_tokens``. None while its server answers nobody."""
    body = {
        "model": name,
        "messages": [{"role": role, "content": content} for role, content in prompt],
        "max_tokens": most_tokens,
        "temperature": 0,
        "logprobs": True,
    }
    credential = make_credential(org_id, settings.KEY_PEPPER)
    try:
        answer = gate.fetch_now(
            "POST",
            f"{settings.TUNED_URL}/chat/completions",
            headers={"authorization": f"Bearer {credential}", "content-type": "application/json"},
            content=orjson.dumps(body),
            timeout_seconds=_ANSWER_SECONDS,
            max_bytes=_MAX_ANSWER_BYTES,
        )
    except AppError as error:
        _log.info("the server of tuned models does not answer", extra={"reason": error.message})
        # It is there, and writes for longer than anybody waits: it would the next time too.
        return Said("", 0.0) if isinstance(error.__cause__, TimeoutError) else None
    if answer.status in _NOBODY:
        _log.info("a tuned model does not answer", extra={"status": answer.status})
        return None
    said = read_answer(answer.body, is_stream=False)
    # What it cannot read, such as more than it has room for, goes to the teacher.
    if answer.status != 200 or find_failure(said.text, _read_reason(answer.body)) is not None:
        return Said("", 0.0)
    return Said(said.text, guess(said) or 0.0)


def set_stage(
    *,
    actor: Actor,
    tuned: TunedModel,
    stage: Stage,
    floor_per_mille: int | None = None,
    canary_percent: int | None = None,
    confidence_percent: int | None = None,
) -> TunedModel:
    """Put a tuned model somewhere else by hand; its route follows. Raises what ``trust.set_stage`` does."""
    shares = {
        "floor_per_mille": floor_per_mille,
        "canary_percent": canary_percent,
        "confidence_percent": confidence_percent,
    }
    return trust.set_stage(TUNED, actor=actor, row=tuned, stage=stage, **shares)


def find_trust(tuned: Tried) -> Trust:
    """How its route asks it: not at all, only in the ledger's words, for a share of the calls, or for all but those
    that prove what it saves."""
    if tuned.stage == Stage.CANARY.value:
        return Trust(tuned.threshold, 100 - tuned.canary_percent)
    mode = {Stage.SHADOW.value: Mode.SHADOW, Stage.PROMOTED.value: Mode.ON}.get(tuned.stage, Mode.OFF)
    return Trust(tuned.threshold, mode=mode)


def list_warnings(tuned: TunedModel, around: Around) -> list[str]:
    """Why nobody notices whether it still agrees with its teacher, where that is so."""
    route = around.find_route(tuned.route, upstream_model=tuned.name, teacher=tuned.teacher)
    found = trust.list_warnings(tuned, route, around.kept)
    model = around.models.get(tuned.model)
    is_served = model is not None and model.is_active
    # What llama.cpp does not know is served elsewhere, and compared by a route's own comparisons. The files have
    # megabytes: that there are some is asked for, and not for them.
    has_files = TunedModel.objects.filter(pk=tuned.pk).exclude(served=b"")
    if tuned.stage not in trust.UNTRUSTED and not is_served and has_files.exists():
        found.insert(0, trust.warn_unserved(tuned))
    return found


def follow(actor: Actor, tuned: TunedModel) -> None:
    """Have its route ask it as far as it is trusted now. A route that somebody has changed to ask others is left
    alone."""
    distilled_routes.follow(actor, tuned, _find_route(actor, tuned), find_trust(tuned))


def _find_route(actor: Actor, tuned: TunedModel) -> Route | None:
    teacher = tuned.teacher
    return find_route(actor, tuned.route, upstream_model=tuned.name, teacher=teacher)


def withdraw(actor: Actor, tuned: TunedModel) -> None:
    """Take a model out of service and forget its trials. The caller stores it."""
    tuned.stage, tuned.recent = Stage.WITHDRAWN.value, ""
    forget_trials(tuned)
    follow(actor, tuned)


def _read_reason(body: bytes) -> str | None:
    """Why an answer ended."""
    try:
        return str(orjson.loads(body)["choices"][0]["finish_reason"])
    except (orjson.JSONDecodeError, LookupError, TypeError):
        return None


def _find() -> QuerySet[TunedModel]:
    return TunedModel.objects.select_related("job__version__dataset").defer("adapter", "served")


def learn_threshold(tuned: Tried, trials: Sequence[tuple[float, bool]]) -> None:
    """Find out how sure it must be so that the lower bound of its agreement clears the floor. What comes after that
    decides whether it is trusted: a threshold is flattered by what it was chosen on."""
    if tuned.threshold < NEVER:
        return
    tuned.unsure += len(trials)
    tuned.trials = [*tuned.trials, *([_floor(sureness), same] for sureness, same in trials)][-MOST_TRIALS:]
    if len(tuned.trials) >= ENOUGH_FOR_CANARY:
        sureness = np.array([one[0] for one in tuned.trials], np.float64)
        is_same = np.array([one[1] for one in tuned.trials], np.bool_)
        tuned.threshold = choose_threshold(sureness, is_same, tuned.floor_per_mille / 1_000)


def _floor(sureness: float) -> float:
    """In six places, and never more than it was: who is always equally sure would lie below a threshold of its own."""
    return math.floor(sureness * _PLACES) / _PLACES


def forget_trials(tuned: Tried) -> None:
    """Forget how sure a model must be of an answer."""
    tuned.threshold, tuned.trials = NEVER, []


TUNED: Final = Pupils(
    _find, lambda *_: True, is_same_text, note=learn_threshold, after_move=follow, begin_anew=forget_trials
)
