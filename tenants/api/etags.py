"""``ETag`` and ``If-Match``: two people who edit one row do not undo each other's work unseen (RFC 9110, 13.1.1)."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

from rest_framework.utils.encoders import JSONEncoder

from costhub.lib.errors import AppError

IF_MATCH: Final = "If-Match"
#: the actions of a view that it guards
EDITS: Final = frozenset({"partial_update", "destroy"})


class ChangedMeanwhile(AppError):
    """The row is not what the caller has seen of it."""

    code = "changed_meanwhile"
    http_status = 412


def etag_of(shown: Mapping[str, Any]) -> str:
    """The entity tag of a row as it is shown: two that differ in anything have different ones."""
    text = json.dumps(shown, sort_keys=True, cls=JSONEncoder, separators=(",", ":"))
    return f'"{hashlib.sha256(text.encode()).hexdigest()[:32]}"'


def check_match(header: str, shown: Mapping[str, Any]) -> None:
    """Raise ChangedMeanwhile unless one of the header's tags, or ``*``, is the row's."""
    wanted = {tag.strip() for tag in header.split(",")}
    if not wanted & {"*", etag_of(shown)}:
        raise ChangedMeanwhile(
            "Somebody has changed this since you read it: read it again, and send the new ETag as If-Match."
        )
