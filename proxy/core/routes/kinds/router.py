"""The cheapest model whose answer will do: by what was learned, or by how hard a prompt looks.

Of two targets the first is the weak model, the second the strong one. More are gone up from the cheapest, pair by pair:
what was learned of a pair decides whether its dearer one is asked, and of a pair of which nothing was, the class that
its cheaper one takes.
"""

from collections.abc import Callable, Mapping
from typing import Final

from proxy.core.pricing import cost
from proxy.core.routes import heuristic
from proxy.core.routes.draw import draw, is_drawn
from proxy.core.routes.router import wants_strong
from proxy.core.routes.texts import prompt_of
from proxy.core.routes.values import Choice, Facts, Usable, first_and_rest
from proxy.values.attempt import Usage
from proxy.values.routing import PairGain, Scores
from tenants.choices import Sticky
from tenants.price_snapshots import PriceSnapshot
from tenants.route_snapshots import RouteSnapshot

BYTES_A_TOKEN: Final = 4
#: what an answer is taken for, where two models' prices are compared for a call that has not been made
USUAL_OUTPUT: Final = 300

#: a router of so many targets has a class of prompts for each
_CLASSIFY: Final[Mapping[int, Callable[[str], heuristic.Complexity]]] = {
    3: heuristic.classify,
    4: heuristic.classify_in_four,
}
_RANKS: Final[Mapping[str, int]] = {each.value: rank for rank, each in enumerate(heuristic.Complexity)}


def choose(route: RouteSnapshot, usable: tuple[Usable, ...], facts: Facts, scores: Scores) -> Choice:
    """One of the models; the others stand in for it. Where the call may use one of them only, that."""
    if len(usable) == 1:
        return Choice((usable[0].name,), "the only one that the call may use")
    if len(route.targets) > 2:
        return _choose_of_several(route, usable, facts, scores)
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


def _choose_of_several(route: RouteSnapshot, usable: tuple[Usable, ...], facts: Facts, scores: Scores) -> Choice:
    """One of three or more. Who explores asks a neighbour of what is advised, because labels are of neighbours; where
    there are two, each gets half of the share."""
    place, why = _climb(route, usable, facts, scores)
    share = route.explore_permille if route.learned or route.is_learning else 0
    if not share:
        return Choice(first_and_rest(usable, place), why)
    beside = [other for other in (place - 1, place + 1) if 0 <= other < len(usable)]
    shares = {usable[place].name: 1000 - share} | {usable[other].name: share // len(beside) for other in beside}
    is_explored = is_drawn(share, route.id, "explore", facts.stick)
    if is_explored:
        place = beside[draw(route.id, "explore which", facts.stick, len(beside))]
        why = f"against advice, to learn: {why}"
    return Choice(first_and_rest(usable, place), why, shares[usable[place].name], is_explored, shares)


def _climb(route: RouteSnapshot, usable: tuple[Usable, ...], facts: Facts, scores: Scores) -> tuple[int, str]:
    """Up from the cheapest, while the next one is wanted: its place, and what was looked at on the way."""
    pairs = scores.pairs if route.learned and scores.learned == route.learned else {}
    said = [scores.why] if route.learned and scores.why else []
    looks: heuristic.Complexity | None = None
    place = 0
    while place + 1 < len(usable):
        low, high = usable[place], usable[place + 1]
        pair = pairs.get((low.name, high.name))
        if pair is not None:
            is_wanted, why = _weigh(route, low, high, pair, facts)
            said.append(why)
        else:
            if looks is None:
                prompt = prompt_of(facts.request, is_first=route.sticky == Sticky.CONVERSATION)
                looks = _CLASSIFY[len(route.targets)](prompt)
                said.append(f"it looks {looks}")
            # Each takes the class of its place, also where the call may not use those beside it.
            is_wanted = _RANKS[looks] > route.targets.index(low.target)
        if not is_wanted:
            break
        place += 1
    return place, ", ".join(said)


def _weigh(route: RouteSnapshot, low: Usable, high: Usable, pair: PairGain, facts: Facts) -> tuple[bool, str]:
    """Whether the dearer one of a pair is wanted by what was learned, and why."""
    said = f"a gain of {pair.gain:+.3f}{f' ({pair.why})' if pair.why else ''} is expected of {high.name}"
    if not route.answer_worth:
        return pair.gain >= pair.threshold, f"{said}, which is asked from {pair.threshold:+.3f} on"
    is_worth = wants_strong(
        pair.gain, _usual_cost(low.price, facts), _usual_cost(high.price, facts), route.answer_worth
    )
    return is_worth, f"{said}, {'worth' if is_worth else 'not worth'} its price"


def _usual_cost(price: PriceSnapshot, facts: Facts) -> int:
    asked = facts.request.max_output or USUAL_OUTPUT
    tokens = Usage(input=facts.request.body_bytes // BYTES_A_TOKEN, output=min(asked, USUAL_OUTPUT))
    return cost(tokens, price)
