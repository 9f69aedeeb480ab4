"""A training in a process of its own, to be interrupted, and what interrupts it three ways."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from secrets import token_hex
from threading import Thread

from tests.proxy.deployment import ROOT
from tests.proxy.learning.s3 import S3

NOTICE = '{"action": "terminate", "time": "2026-11-28T12:00:00Z"}'
#: at the most, from the end of the last step to the end of the process
_END_SECONDS = 120
#: sums of several threads are rounded otherwise each time
_QUIET = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": ""}


class Cloud:
    """What a machine's metadata say. ``notice`` is what is planned for it; ``refuses_tokens``: no token is given."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.notice: str | None = None
        self.refuses_tokens = False


@contextmanager
def run_cloud() -> Iterator[Cloud]:
    """EC2's metadata, version 2, on loopback."""

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            is_right = self.path == "/latest/api/token" and "X-aws-ec2-metadata-token-ttl-seconds" in self.headers
            self._answer(200 if is_right and not cloud.refuses_tokens else 403, "token-1")

        def do_GET(self) -> None:
            if self.headers.get("X-aws-ec2-metadata-token") != "token-1":
                self._answer(401, "")
            elif self.path != "/latest/meta-data/spot/instance-action" or cloud.notice is None:
                self._answer(404, "")
            else:
                self._answer(200, cloud.notice)

        def _answer(self, status: int, text: str) -> None:
            self.send_response(status)
            self.send_header("content-length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    cloud = Cloud(server.server_port)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield cloud
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Training:
    """``python -m MODULE URL FENCE ARGUMENTS``, which says each beat's step, then how it ended and the digest of its
    last weights."""

    def __init__(self, s3: S3, prefix: str, fence: int, module: str, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", module, s3.url(prefix), str(fence), *arguments],
            cwd=ROOT,
            env=os.environ | s3.environment | _QUIET,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def wait_for_step(self, step: int) -> int:
        """Return when it has said that it is at this step; gives the one it is at."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("step ") and int(line.split()[1]) >= step:
                return int(line.split()[1])
        raise AssertionError("it ended before that step")

    def end(self) -> tuple[list[str], str]:
        """How it ended, and the digest of its weights."""
        assert self.process.stdout is not None
        lines = self.process.stdout.read().splitlines()
        self.process.stdout.close()
        assert self.process.wait(_END_SECONDS) == 0
        return lines[-2].split(), lines[-1]

    def kill(self) -> None:
        """kill -9."""
        assert self.process.stdout is not None
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


def interrupt_three_ways(s3: S3, module: str, arguments: Sequence[str], *, steps: int, stride: int) -> None:
    """Once through, then with SIGTERM, the cloud's notice and kill -9, ``stride`` steps apart: the same weights to the
    bit, with no step lost but those since the last checkpoint before the kill."""

    def start(prefix: str, fence: int, *more: str) -> Training:
        return Training(s3, prefix, fence, module, *arguments, *more)

    ended, weights = start(token_hex(4), 1).end()
    assert ended == ["done", str(steps), "0", "safe", "-"]

    prefix = token_hex(4)
    one = start(prefix, 1)
    one.wait_for_step(stride)
    one.process.send_signal(signal.SIGTERM)
    (how, step, resumed, safe, why), _ = one.end()
    assert (how, resumed, safe, why) == ("interrupted", "0", "safe", "SIGTERM")
    assert stride <= int(step) < steps

    with run_cloud() as cloud:
        two = start(prefix, 2, cloud.url)
        two.wait_for_step(int(step) + stride)
        cloud.notice = NOTICE
        (how, after, resumed, safe, *why_two), _ = two.end()
    assert (how, resumed, safe, why_two) == ("interrupted", step, "safe", ["spot", "interruption"])

    three = start(prefix, 3)
    at = three.wait_for_step(int(after) + stride)
    three.kill()

    (how, last, resumed, safe, why), again = start(prefix, 4).end()
    assert (how, last, safe, why) == ("done", str(steps), "safe", "-")
    assert int(after) <= int(resumed) <= at + 200
    assert again == weights
