"""``costhub student-server``: the server of students as a process of its own, as the settings say."""

from functools import partial
from typing import Final

from django.conf import settings
from threadpoolctl import threadpool_limits

from proxy.cache.embedder import load_model
from proxy.learning.datasets import embed_with
from proxy.learning.own_upstream import run_server
from proxy.learning.student_server import StudentServer

#: calls under way have so long to end
_STOP_SECONDS: Final = 10


def run_student_server(host: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT."""
    embed = embed_with(partial(load_model, settings.CACHE_EMBEDDER))
    # Before the first call: the model takes seconds to load.
    embed(["ready"])
    with threadpool_limits(1):
        run_server(StudentServer(embed, settings.KEY_PEPPER), host, port, stop_seconds=_STOP_SECONDS)
