"""The cloud's notice that this machine will be taken away: EC2's instance metadata, version 2.

The address is the operator's, of their own machine, and no tenant's word has a part in it. The gate for tenants'
addresses (``net``) never reaches it, so that this is the one reader of it.
"""

import http.client
from contextlib import suppress
from typing import Final
from urllib.parse import urlsplit

TIMEOUT_SECONDS: Final = 2.0
_LIVES_SECONDS: Final = "60"
_MOST_BYTES: Final = 4_096


def read_interruption(url: str) -> str | None:
    """What the cloud will do with this machine, as it says so (JSON with ``action`` and ``time``); None where it says
    nothing, or cannot be asked. ``url``: where the metadata is, such as http://169.254.169.254."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=TIMEOUT_SECONDS)
    with suppress(OSError, http.client.HTTPException):
        try:
            headers = {"X-aws-ec2-metadata-token-ttl-seconds": _LIVES_SECONDS}
            connection.request("PUT", "/latest/api/token", headers=headers)
            answer = connection.getresponse()
            token = answer.read(_MOST_BYTES).decode("ascii", "replace").strip()
            if answer.status != 200 or not token.isprintable():
                return None
            connection.request(
                "GET", "/latest/meta-data/spot/instance-action", headers={"X-aws-ec2-metadata-token": token}
            )
            answer = connection.getresponse()
            text = answer.read(_MOST_BYTES).decode("utf-8", "replace")
            # 404 is the usual answer: nothing is planned.
            return text if answer.status == 200 else None
        finally:
            connection.close()
    return None
