"""Files that were uploaded here, named in a message: they lie here for batches, and no upstream knows them."""

import re
from collections.abc import Mapping
from typing import Any, Final

from proxy.errors import InvalidRequest

#: before the digits of a file's UUIDv7
FILE: Final = "file-"
#: that of no provider: OpenAI's have fewer signs, Azure's other UUIDs
_OURS: Final = re.compile(FILE + "[0-9a-f]{12}7[0-9a-f]{3}[89ab][0-9a-f]{15}")


def check_named(held: Mapping[str, Any], place: str) -> None:
    """Raise InvalidRequest where ``held``, a value of a body, names a file of ``/v1/files`` by its id: the upstream
    would not know it."""
    name = held.get("file_id")
    if isinstance(name, str) and _OURS.fullmatch(name):
        raise InvalidRequest(
            f"{place}.file_id names a file of /v1/files here, which are for batches: no model can read it there. Put"
            " what it holds into the message itself, as base64.",
            param=f"{place}.file_id",
            code="file_not_readable",
        )
