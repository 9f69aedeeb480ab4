"""The same bytes, read by us and by nginx: what it hands on to an upstream is what it took for requests."""

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from costhub.stack.ports import find_free_port
from tests.serve.server import Recorder, serve
from tests.serve.streams import STREAMS, Seen
from tests.serve.test_desync import read_by_us

NGINX = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin")
#: nothing comes any more
IDLE_SECONDS = 0.25
_CONFIGURATION = """
daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/errors;
events {{ worker_connections 64; }}
http {{
  access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{
    listen 127.0.0.1:{port}; lingering_close off;
    location / {{
      proxy_pass http://127.0.0.1:{upstream}; proxy_http_version 1.1;
      proxy_set_header Connection ""; proxy_set_header X-Caller $remote_port;
    }}
  }}
}}
"""


@asynccontextmanager
async def nginx(folder: Path, upstream: int) -> AsyncIterator[int]:
    """nginx before an upstream; gives its port."""
    port = find_free_port()
    (folder / "nginx.conf").write_text(_CONFIGURATION.format(folder=folder, port=port, upstream=upstream))
    assert NGINX is not None
    process = subprocess.Popen([NGINX, "-p", str(folder), "-c", str(folder / "nginx.conf")], stderr=subprocess.DEVNULL)
    try:
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionRefusedError:
                assert process.poll() is None, "nginx did not start"
                await asyncio.sleep(0.02)
            else:
                writer.close()
                break
        yield port
    finally:
        process.terminate()
        process.wait()


async def read_by_nginx(port: int, recorder: Recorder, stream: bytes) -> Seen:
    """The requests that nginx hands on of this stream."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    caller = str(writer.get_extra_info("sockname")[1]).encode()
    # ports come back, and so does what was late
    start = len(recorder.seen)
    writer.write(stream)
    try:
        while await asyncio.wait_for(reader.read(65_536), IDLE_SECONDS):
            pass
    except (TimeoutError, ConnectionError):
        pass
    writer.close()
    found = zip(recorder.seen[start:], recorder.headers[start:], strict=True)
    return [seen for seen, headers in found if headers[b"x-caller"] == caller]


@pytest.mark.skipif(NGINX is None, reason="there is no nginx")
@pytest.mark.parametrize(
    ("tries", "least"),
    [
        pytest.param(40, 8, id="some"),
        pytest.param(2_000, 500, id="many", marks=[pytest.mark.soak, pytest.mark.timeout(3_600)]),
    ],
)
def test_nginx_finds_the_same_requests(tmp_path: Path, tries: int, least: int) -> None:
    tmp_path.chmod(0o755)
    recorder = Recorder()
    compared = 0
    with asyncio.Runner() as runner:

        @settings(max_examples=tries, suppress_health_check=[HealthCheck.too_slow], database=None)
        @given(stream=STREAMS, cuts=st.lists(st.integers(0, 4_000), max_size=2))
        def compare(stream: bytes, cuts: list[int]) -> None:
            nonlocal compared
            theirs = runner.run(read_by_nginx(port, recorder, stream))
            ours = runner.run(read_by_us(stream, cuts))
            shorter = min(len(ours), len(theirs))
            assert ours[:shorter] == theirs[:shorter]
            compared += shorter

        server = serve(recorder)
        upstream = runner.run(server.__aenter__()).port
        front = nginx(tmp_path, upstream)
        port = runner.run(front.__aenter__())
        try:
            compare()
        finally:
            runner.run(front.__aexit__(None, None, None))
            runner.run(server.__aexit__(None, None, None))
    assert compared > least, "both took enough of them for requests"
