"""What a learned router says of a call: a gain, or why there is none."""

from typing import Final

from proxy.core.routes.packing import LearnedRouter
from proxy.core.routes.router import predict
from proxy.core.routes.texts import prompt_of
from proxy.values.request import Controls, Request
from proxy.values.routing import NO_SCORES, Scores
from tenants.choices import RouteKind, Sticky
from tenants.route_snapshots import RouteSnapshot

#: the tag that says what kind of work a call is
TASK_TAG: Final = "task"


def score(route: RouteSnapshot, learned: LearnedRouter | None, request: Request, controls: Controls) -> Scores:
    """What a router has learned of such prompts; ``learned`` is None while that is not known here."""
    if not route.learned or route.kind != RouteKind.ROUTER:
        return NO_SCORES
    task = controls.tags.get(TASK_TAG, "")
    named = f"the task {task}" if task else "a call without a task"
    if task in route.stopped_tasks:
        return Scores(route.learned, None, why=f"{named} is stopped")
    if learned is None:
        return Scores(route.learned, None, why="what was learned is not loaded yet")
    gain = predict(learned.router, prompt_of(request, is_first=route.sticky == Sticky.CONVERSATION), task)
    if gain is None:
        return Scores(route.learned, None, why=f"{named} is new")
    why = f"task {gain.of_task:+.3f}, form {gain.of_form:+.3f}, words {gain.of_words:+.3f}"
    return Scores(route.learned, gain.value, learned.threshold, why)
