"""``costhub tuned-server``: the server of tuned models as a process of its own, as the settings say."""

from typing import Final

from django.conf import settings

from proxy.learning.lora.tuned_server import TunedServer
from proxy.learning.own_upstream import run_server

#: calls under way have so long to end
_STOP_SECONDS: Final = 30


def run_tuned_server(host: str, port: int, *, threads: int) -> None:
    """Serve until SIGTERM or SIGINT."""
    run_server(TunedServer(settings.KEY_PEPPER, threads=threads), host, port, stop_seconds=_STOP_SECONDS)
