"""What a route decided about a call, and what it knew."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final, NamedTuple

from tenants.choices import RouteKind
from tenants.route_snapshots import RouteSnapshot


class Arm(StrEnum):
    """Why a call of a route went where it went."""

    ROUTED = "routed"  # the route has chosen
    EXPLORED = "explored"  # against its own advice, to learn
    HELD_OUT = "held out"  # to the baseline, to compare with
    SHADOW = "shadow"  # to the baseline, and what it would have chosen is known
    OFF = "off"  # to the baseline


#: finding a member of an enumeration costs as much as a sum, and every call of a route asks
_CASCADE: Final = RouteKind.CASCADE.value
_ROUTED: Final = Arm.ROUTED
_EXPLORED: Final = Arm.EXPLORED


class PairGain(NamedTuple):
    """What was learned of two neighbouring targets of a router: by how much the dearer one's answer is expected to be
    better, the gain from which on it is asked, and what the gain is made of."""

    gain: float
    threshold: float
    why: str = ""


_NO_PAIRS: Final[Mapping[tuple[str, str], PairGain]] = MappingProxyType({})


class Scores(NamedTuple):
    """What a learned router says of a prompt.

    ``gain``: by how much the strong model's answer is expected to be better, None where it cannot tell, and ``why``
    that is so. From ``threshold`` on the strong model is asked, where the route says nothing of what answers are worth.
    A router of more than two targets has its gains in ``pairs``, by both models' names, the cheaper one first.
    """

    learned: str = ""
    gain: float | None = None
    threshold: float = 0.0
    why: str = ""
    pairs: Mapping[tuple[str, str], PairGain] = _NO_PAIRS


NO_SCORES: Final = Scores()
NO_SHARES: Final[Mapping[str, int]] = MappingProxyType({})


class Routing(NamedTuple):
    """``names``: the models that serve the call, in the order in which they are asked. ``would``: the one that the
    route would have asked first, where it did not decide. ``permille``: how often a call like this goes so; ``shares``:
    how often to each model, where a router of more than two chooses, in thousandths."""

    route: RouteSnapshot
    names: tuple[str, ...]
    why: str
    arm: Arm = Arm.ROUTED
    would: str = ""
    permille: int = 1000
    shares: Mapping[str, int] = NO_SHARES

    @property
    def is_cascade(self) -> bool:
        """Whether the models are rungs of a cascade."""
        return self.route.kind == _CASCADE and self.arm is _ROUTED

    @property
    def told(self) -> str:
        """The decision in a line: the route and its version, the model, and why."""
        route = self.route
        if self.arm is _ROUTED or self.arm is _EXPLORED:
            return f"route {route.name} v{route.version} {route.kind}: {self.names[0]}, {self.why}"
        would = f", would be {self.would}, {self.why}" if self.would else ""
        return f"route {route.name} v{route.version} {self.arm}: {self.names[0]}{would}"
