"""LiteLLM's proxy (Python), without a database.

Never 1.82.7 or 1.82.8: those two releases were malicious. The version is pinned, and changing it is a decision.
"""

import json
from pathlib import Path
from typing import Final

from bench.load import Endpoint
from bench.machine import Cores, free_port, start_program
from bench.peers.base import Peer, install_python_package, same_way_in
from bench.upstream import Kind, Upstream

VERSION: Final = "1.106.2"


class LiteLLM(Peer):
    """LiteLLM's proxy with one worker, no database, no key to check and no log of calls."""

    name = "litellm"
    title = f"LiteLLM proxy {VERSION}"
    note = "Python; no database, no keys, no budgets, no accounting"
    least_seconds = 8.0
    warm_up_seconds = 3.0

    def __init__(self, *, has_cache: bool = False) -> None:
        """``has_cache``: equal calls are answered from its memory."""
        super().__init__()
        self._bin = Path()
        self._has_cache = has_cache

    def install(self) -> None:
        self._bin = install_python_package(f"litellm-{VERSION}", f"litellm[proxy]=={VERSION}")

    def start(self, upstream: Upstream, cores: Cores, work: Path) -> dict[Kind, Endpoint]:
        port = free_port()
        config = work / "litellm.json"
        config.write_text(json.dumps(_config(upstream, has_cache=self._has_cache)))
        logs = work / "litellm-logs.json"
        logs.write_text(json.dumps({"version": 1, "loggers": {"uvicorn.access": {"level": "ERROR"}}}))
        command = [
            str(self._bin / "litellm"),
            "--config",
            str(config),
            "--log_config",
            str(logs),
            "--telemetry",
            "False",
        ]
        self.program = start_program(
            [*command, "--host", "127.0.0.1", "--port", str(port), "--num_workers", "1"],
            [cores.server],
            work / "litellm.log",
            {
                "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",
                "LITELLM_LOCAL_MODEL_COST_MAP": "True",
                "LITELLM_LOG": "ERROR",
            },
        )
        return same_way_in(port)


def _config(upstream: Upstream, *, has_cache: bool) -> dict[str, object]:
    cache = {"cache": True, "cache_params": {"type": "local"}} if has_cache else {}
    return {
        "model_list": [
            {
                "model_name": f"bench-{kind}",
                "litellm_params": {"model": "openai/bench", "api_base": upstream.base_url(kind), "api_key": "sk-none"},
            }
            for kind in Kind
        ],
        "litellm_settings": {"telemetry": False, "set_verbose": False, **cache},
    }
