"""TensorZero's gateway (Rust), as its Python package embeds it: a local HTTP server in one process."""

import re
import time
from pathlib import Path
from typing import Final

from bench.load import Endpoint
from bench.machine import Cores, start_program
from bench.peers.base import Peer, Unavailable, install_python_package, same_way_in
from bench.upstream import Kind, Upstream

VERSION: Final = "2026.6.0"
START_SECONDS: Final = 30.0

#: the package starts this server for OpenAI clients that it patches; here it is started for its own sake
_SERVER: Final = """
import signal, sys
from tensorzero import _start_http_gateway
gateway = _start_http_gateway(
    config_file=sys.argv[1], clickhouse_url=None, postgres_url=None, valkey_url=None, async_setup=False
)
print("LISTENING", gateway.base_url, flush=True)
signal.sigwait([signal.SIGTERM])
"""


class TensorZero(Peer):
    """TensorZero without ClickHouse, so without accounting."""

    name = "tensorzero"
    title = f"TensorZero {VERSION}"
    note = "Rust; no keys, no budgets, no accounting (observability off)"

    def __init__(self) -> None:
        super().__init__()
        self._bin = Path()

    def install(self) -> None:
        self._bin = install_python_package(f"tensorzero-{VERSION}", f"tensorzero=={VERSION}")

    def start(self, upstream: Upstream, cores: Cores, work: Path) -> dict[Kind, Endpoint]:
        config = work / "tensorzero.toml"
        config.write_text(_config(upstream))
        command = [str(self._bin / "python"), "-c", _SERVER, str(config)]
        self.program = start_program(command, [cores.server], work / "tensorzero.log")
        deadline = time.perf_counter() + START_SECONDS
        while time.perf_counter() < deadline and self.program.process.poll() is None:
            if found := re.search(r"LISTENING http://[^:]+:(\d+)(/\S*)", self.program.log.read_text()):
                path = found[2].rstrip("/") + "/chat/completions"
                return same_way_in(int(found[1]), path=path, model_prefix="tensorzero::model_name::")
            time.sleep(0.1)
        raise Unavailable("did not start", self.last_words())


def _config(upstream: Upstream) -> str:
    lines = ["[gateway]", "observability.enabled = false", "disable_pseudonymous_usage_analytics = true"]
    for kind in Kind:
        lines += [
            f"[models.bench-{kind}]",
            'routing = ["fixed"]',
            f"[models.bench-{kind}.providers.fixed]",
            'type = "openai"',
            f'api_base = "{upstream.base_url(kind)}/"',
            'model_name = "bench"',
            'api_key_location = "none"',
        ]
    return "\n".join(lines) + "\n"
