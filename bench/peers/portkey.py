"""Portkey's open gateway (TypeScript on node)."""

from pathlib import Path
from typing import Final

from bench.load import Endpoint
from bench.machine import Cores, free_port, start_program
from bench.peers.base import Peer, install_node_packages
from bench.upstream import Kind, Upstream

VERSION: Final = "1.15.2"

#: Loaded before the gateway. It listens on every address of the machine and has no option against it. And this
#: version answers every stream with 500, because it writes into headers that node gives it read-only: for streams
#: alone, `fetch` hands it a copy.
_PRELOAD: Final = """
const net = require("net");
const listen = net.Server.prototype.listen;
net.Server.prototype.listen = function (where, ...rest) {
  if (typeof where === "object" && where !== null && "port" in where) {
    return listen.call(this, { ...where, host: "127.0.0.1" }, ...rest);
  }
  const callbacks = rest.filter((item) => typeof item === "function");
  return listen.call(this, where, "127.0.0.1", ...callbacks);
};
const { fetch, Response } = globalThis;
globalThis.fetch = async (...call) => {
  const answer = await fetch(...call);
  if (answer.headers.get("content-type") !== "text/event-stream") return answer;
  return new Response(answer.body, { status: answer.status, statusText: answer.statusText, headers: answer.headers });
};
"""


class Portkey(Peer):
    """Portkey's gateway without a cache, guardrails or logs."""

    name = "portkey"
    title = f"Portkey gateway {VERSION}"
    note = "node; no keys, no budgets, no accounting"
    least_seconds = 3.0
    warm_up_seconds = 10.0

    def __init__(self) -> None:
        super().__init__()
        self._modules = Path()

    def install(self) -> None:
        packages = [f"@portkey-ai/gateway@{VERSION}", "hono@4.13.19", "@hono/node-server@1.19.19"]
        self._modules = install_node_packages(f"portkey-{VERSION}", packages)

    def start(self, upstream: Upstream, cores: Cores, work: Path) -> dict[Kind, Endpoint]:
        port = free_port()
        preload = work / "portkey-preload.cjs"
        preload.write_text(_PRELOAD)
        server = self._modules / "@portkey-ai" / "gateway" / "build" / "start-server.js"
        self.program = start_program(
            ["node", "--require", str(preload), str(server), f"--port={port}", "--headless"],
            [cores.server],
            work / "portkey.log",
            {"NODE_ENV": "production", "TRUSTED_CUSTOM_HOSTS": "127.0.0.1"},
        )
        return {
            kind: Endpoint(
                port,
                kind,
                headers={"x-portkey-provider": "openai", "x-portkey-custom-host": upstream.base_url(kind)},
            )
            for kind in Kind
        }
