"""Pages in processes of their own, as `costhub up` starts them: one address, and calls that do not need them."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_django.plugin import DjangoDbBlocker

from costhub.stack.ports import find_free_port
from costhub.stack.services import Pages, Proxy
from tests.deploy.test_files import environment_of_compose, pages_probe
from tests.proxy.raw_http import exchange, make_request


@pytest.fixture
def apart(
    tmp_path_factory: pytest.TempPathFactory, django_db_setup: None, django_db_blocker: DjangoDbBlocker
) -> Iterator[tuple[Proxy, Pages]]:
    folder = tmp_path_factory.mktemp("pages")
    environment = {**os.environ, "COSTHUB_PAGES_SOCKET": str(folder / "s")}
    proxy = Proxy(folder, environment, port=find_free_port(), workers=1)
    pages = Pages(folder, environment)
    try:
        proxy.start()
        pages.start()
        proxy.wait_ready(240)
        pages.wait_ready(240)
        yield proxy, pages
    finally:
        pages.stop()
        proxy.stop()


def status(proxy: Proxy, path: str) -> int:
    return exchange(proxy.port, make_request("GET", path, []), "GET").status


def probe(socket: Path) -> int:
    """How the command ends by which compose asks for pages."""
    here, (_, *words) = environment_of_compose()["COSTHUB_PAGES_SOCKET"], pages_probe()
    return subprocess.run(
        [sys.executable, *(word.replace(here, str(socket)) for word in words)], check=False
    ).returncode


def test_one_address_and_calls_that_do_not_need_pages(apart: tuple[Proxy, Pages]) -> None:
    proxy, pages = apart
    assert [status(proxy, path) for path in ("/login", "/api/schema", "/v1/models", "/readyz")] == [200, 200, 401, 200]
    socket = Path(pages.environment()["COSTHUB_PAGES_SOCKET"])
    assert socket.stat().st_mode & 0o777 == 0o600
    assert probe(socket) == 0
    pages.stop()
    assert probe(socket) == 1
    assert [status(proxy, path) for path in ("/login", "/api/schema", "/v1/models", "/readyz")] == [503, 503, 401, 200]
    pages.start()
    pages.wait_ready(240)
    assert status(proxy, "/login") == 200
