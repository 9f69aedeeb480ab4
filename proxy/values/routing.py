"""What a route decided about a call, and what it knew."""

from enum import StrEnum
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


class Scores(NamedTuple):
    """What a learned router says of a prompt.

    ``gain``: by how much the strong model's answer is expected to be better, None where it cannot tell, and ``why``
    that is so. From ``threshold`` on the strong model is asked, where the route says nothing of what answers are worth.
    """

    learned: str = ""
    gain: float | None = None
    threshold: float = 0.0
    why: str = ""


NO_SCORES: Final = Scores()


class Routing(NamedTuple):
    """``names``: the models that serve the call, in the order in which they are asked. ``would``: the one that the
    route would have asked first, where it did not decide. ``permille``: how often a call like this goes so."""

    route: RouteSnapshot
    names: tuple[str, ...]
    why: str
    arm: Arm = Arm.ROUTED
    would: str = ""
    permille: int = 1000

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
