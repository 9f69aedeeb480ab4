"""What routes decide by and about."""

from collections.abc import Mapping
from typing import NamedTuple

from proxy.values.request import Request
from proxy.values.routing import NO_SHARES
from tenants.price_snapshots import PriceSnapshot
from tenants.route_snapshots import TargetSnapshot


class Facts(NamedTuple):
    """A call, as conditions and choices see it. ``stick``: what stays with one choice, the same for all of it; empty
    where nothing is drawn."""

    request: Request
    tags: Mapping[str, str]
    end_user: str
    stick: str


class Usable(NamedTuple):
    """A target that this call may use, with its model's price."""

    target: TargetSnapshot
    price: PriceSnapshot

    @property
    def name(self) -> str:
        """The model."""
        return self.target.model


class Choice(NamedTuple):
    """Which models serve a call, in the order in which they are asked, and why. ``permille``: how often a call like
    this is sent so; ``is_explored``: against what the route thinks best; ``shares``: how often such a call goes to each
    model, in thousandths, of a router of more than two."""

    names: tuple[str, ...]
    why: str
    permille: int = 1000
    is_explored: bool = False
    shares: Mapping[str, int] = NO_SHARES


def first_and_rest(usable: tuple[Usable, ...], place: int) -> tuple[str, ...]:
    """All models, that of one place first: the others stand in where it does not answer."""
    names = tuple([each.target.model for each in usable])
    return (names[place], *names[:place], *names[place + 1 :]) if place else names
