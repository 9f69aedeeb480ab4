"""Calls from a browser's page of another origin, as the Fetch standard has browsers ask for leave.

A key is sent by the page's own script and never by the browser itself, so no credentials are allowed; what a page may
do with a key is what anybody may do who has it.
"""

import re
from collections.abc import Mapping, Set
from typing import Final

ANY: Final = "*"
#: a browser asks again after that
_REMEMBERED_SECONDS: Final = 600
_NAMES: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z, ]{1,2000}")


def allow_origin(origin: str, origins: Set[str]) -> Mapping[str, str]:
    """The headers that let a page of this origin read the answer; none where it may not."""
    if ANY in origins:
        allowed = ANY
    elif origin.lower() in origins:
        allowed = origin
    else:
        return {}
    return {
        "access-control-allow-origin": allowed,
        "access-control-expose-headers": "*",
        **({} if allowed == ANY else {"vary": "Origin"}),
    }


def allow_preflight(headers: Mapping[str, str]) -> Mapping[str, str]:
    """What else a browser wants to know before it sends the call itself."""
    names = headers.get("access-control-request-headers", "")
    return {
        "access-control-allow-methods": "GET, POST, DELETE",
        "access-control-allow-headers": names if _NAMES.fullmatch(names) else "authorization, content-type",
        "access-control-max-age": str(_REMEMBERED_SECONDS),
    }
