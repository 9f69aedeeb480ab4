"""The weak model where its answer will do, else the strong one: by what was learned, or by how hard a prompt looks."""

from collections.abc import Mapping
from typing import Final

from proxy.core.pricing import cost
from proxy.core.routes import heuristic
from proxy.core.routes.draw import is_drawn
from proxy.core.routes.router import wants_strong
from proxy.core.routes.texts import prompt_of
from proxy.core.routes.values import Choice, Facts, Usable, first_and_rest
from proxy.values.attempt import Usage
from proxy.values.routing import Scores
from tenants.choices import Sticky
from tenants.price_snapshots import PriceSnapshot
from tenants.route_snapshots import RouteSnapshot

BYTES_A_TOKEN: Final = 4
#: what an answer is taken for, where two models' prices are compared for a call that has not been made
USUAL_OUTPUT: Final = 300

_RANKS: Final[Mapping[str, int]] = {each.value: rank for rank, each in enumerate(heuristic.Complexity)}


def choose(route: RouteSnapshot, usable: tuple[Usable, ...], facts: Facts, scores: Scores) -> Choice:
    """The weak model or the strong one; each stands in for the other. Where the call may use one of them only, that."""
    if len(usable) == 1:
        return Choice((usable[0].name,), "the only one that the call may use")
    place, why = _advise(route, usable, facts, scores)
    share = route.explore_permille if route.learned or route.is_learning else 0
    if share and is_drawn(share, route.id, "explore", facts.stick):
        return Choice(first_and_rest(usable, 1 - place), f"against advice, to learn: {why}", share, is_explored=True)
    return Choice(first_and_rest(usable, place), why, permille=1000 - share)


def _advise(route: RouteSnapshot, usable: tuple[Usable, ...], facts: Facts, scores: Scores) -> tuple[int, str]:
    if route.learned and scores.learned == route.learned and scores.gain is not None:
        parts = f" ({scores.why})" if scores.why else ""
        said = f"a gain of {scores.gain:+.3f}{parts} is expected of {usable[1].name}"
        if not route.answer_worth:
            return int(scores.gain >= scores.threshold), f"{said}, the strong model from {scores.threshold:+.3f} on"
        weak, strong = (_usual_cost(each.price, facts) for each in usable)
        is_worth = wants_strong(scores.gain, weak, strong, route.answer_worth)
        return int(is_worth), f"{said}, {'worth' if is_worth else 'not worth'} its price"
    looks = heuristic.classify(prompt_of(facts.request, is_first=route.sticky == Sticky.CONVERSATION))
    before = f"{scores.why}: " if route.learned and scores.why else ""
    return int(_RANKS[looks] >= _RANKS[route.hard_from]), f"{before}it looks {looks}"


def _usual_cost(price: PriceSnapshot, facts: Facts) -> int:
    asked = facts.request.max_output or USUAL_OUTPUT
    tokens = Usage(input=facts.request.body_bytes // BYTES_A_TOKEN, output=min(asked, USUAL_OUTPUT))
    return cost(tokens, price)
