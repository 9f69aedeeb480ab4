"""What views of trained models read once a request."""

from functools import cached_property
from typing import Final

from proxy.learning.distilled_routes import Around, look_around
from tenants.api.base import ManagementView

#: of a version, what is read for its dataset's sake alone: up to 10,000 ids each
UNSHOWN_OF_VERSIONS: Final = ("train", "held_out", "lineage", "labels")


class LooksAround(ManagementView):
    """A view whose answers have warnings: however many rows it shows, what these ask of the organisation is read
    once."""

    @cached_property
    def around(self) -> Around:
        """The open organisation's, as it is when the first row is shown."""
        return look_around(self.actor)
