"""What a learned router says of a call: a gain, or why there is none."""

from typing import Final

from proxy.core.routes.packing import LearnedPairs, LearnedRouter
from proxy.core.routes.router import Gain, predict, predict_each
from proxy.core.routes.texts import prompt_of
from proxy.values.request import Controls, Request
from proxy.values.routing import NO_SCORES, PairGain, Scores
from tenants.choices import RouteKind, Sticky
from tenants.route_snapshots import RouteSnapshot

#: the tag that says what kind of work a call is
TASK_TAG: Final = "task"


def score(
    route: RouteSnapshot, learned: LearnedRouter | LearnedPairs | None, request: Request, controls: Controls
) -> Scores:
    """What a router has learned of such prompts; ``learned`` is None while that is not known here."""
    if not route.learned or route.kind != RouteKind.ROUTER:
        return NO_SCORES
    task = controls.tags.get(TASK_TAG, "")
    named = f"the task {task}" if task else "a call without a task"
    if task in route.stopped_tasks:
        return Scores(route.learned, None, why=f"{named} is stopped")
    if learned is None:
        return Scores(route.learned, None, why="what was learned is not loaded yet")
    if isinstance(learned, LearnedPairs) is not (len(route.targets) > 2):
        return Scores(route.learned, None, why="what was learned is of another number of targets")
    prompt = prompt_of(request, is_first=route.sticky == Sticky.CONVERSATION)
    if isinstance(learned, LearnedPairs):
        gains = predict_each([pair.router for pair in learned.pairs.values()], prompt, task)
        pairs = {
            names: PairGain(gain.value, pair.threshold, _made_of(gain))
            for (names, pair), gain in zip(learned.pairs.items(), gains, strict=True)
            if gain is not None
        }
        return Scores(route.learned, pairs=pairs, why="" if pairs else f"{named} is new")
    gain = predict(learned.router, prompt, task)
    if gain is None:
        return Scores(route.learned, None, why=f"{named} is new")
    return Scores(route.learned, gain.value, learned.threshold, _made_of(gain))


def _made_of(gain: Gain) -> str:
    return f"task {gain.of_task:+.3f}, form {gain.of_form:+.3f}, words {gain.of_words:+.3f}"
