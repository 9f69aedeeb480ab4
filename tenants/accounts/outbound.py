"""The session with which django-allauth speaks to identity providers: every request of it goes through the gate."""

from collections.abc import Mapping
from typing import Any, Final, cast

import requests
from requests.adapters import BaseAdapter
from requests.structures import CaseInsensitiveDict

from costhub.lib.errors import AppError
from costhub.lib.net import Gate, gate_from_settings

TIMEOUT_SECONDS: Final = 5.0


class GateAdapter(BaseAdapter):
    """Carries requests of the ``requests`` library through our one way out, and follows no redirect."""

    def __init__(self, gate: Gate) -> None:
        super().__init__()
        self._gate = gate

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: Any = True,
        cert: Any = None,
        proxies: Mapping[str, str] | None = None,
    ) -> requests.Response:
        """The answer. Raises ConnectionError of ``requests`` for whatever the gate refuses or cannot reach."""
        # A form, or nothing: django-allauth sends no streams.
        body = request.body.encode() if isinstance(request.body, str) else cast("bytes | None", request.body)
        headers = {name: str(value) for name, value in request.headers.items() if name.lower() not in _NOT_OURS}
        try:
            fetched = self._gate.fetch_now(
                request.method or "GET",
                request.url or "",
                headers=headers,
                content=body,
                timeout_seconds=TIMEOUT_SECONDS,
            )
        except AppError as error:
            raise requests.ConnectionError(error.message, request=request) from error
        if fetched.truncated:
            raise requests.ConnectionError("The answer is too long.", request=request)
        answer = requests.Response()
        answer.status_code = fetched.status
        answer.headers = CaseInsensitiveDict(fetched.headers)
        answer._content = fetched.body
        answer.url = request.url or ""
        answer.request = request
        return answer

    def close(self) -> None:
        """Nothing is kept open."""


#: the gate writes these itself
_NOT_OURS: Final = frozenset({"content-length", "accept-encoding", "connection", "user-agent"})


def make_session() -> requests.Session:
    """A session that reads no environment and knows no other way out."""
    session = requests.Session()
    session.trust_env = False
    adapter = GateAdapter(gate_from_settings())
    session.adapters.clear()
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session
