"""The rungs that a ladder may have: each a small module with one function, from a draft to a cheaper one.

A rung that does not fit a call (the cheaper model is unknown, forbidden, unpriced or dearer; the answer is short
already) leaves the draft as it is.
"""

from collections.abc import Callable
from typing import Final

from proxy.core.rungs import cache_only, cheaper_model, compress, route, shorter_output, slower_lane
from proxy.values.plan import Draft
from tenants.choices import RungKind
from tenants.snapshots import KeySnapshot, OrgSnapshot, RungSnapshot

Apply = Callable[[Draft, RungSnapshot, OrgSnapshot, KeySnapshot, int], Draft]

#: ``block`` is none of them: it is a limit like any other, and the reserve holds it
RUNGS: Final[dict[str, Apply]] = {
    RungKind.CHEAPER_MODEL: cheaper_model.apply,
    RungKind.SHORTER_OUTPUT: shorter_output.apply,
    RungKind.SLOWER_LANE: slower_lane.apply,
    RungKind.CACHE_ONLY: cache_only.apply,
    RungKind.COMPRESS: compress.apply,
    RungKind.ROUTE: route.apply,
}
