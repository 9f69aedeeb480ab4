"""The data key of an organisation that was erased is in no process's memory any more: what really lies there is looked
through, of proxies, pages and jobs."""

import threading
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import httpx2
import psutil
from django.conf import settings

from costhub.celery import app
from costhub.lib import secrets
from costhub.lib.keyspace import QUICK_QUEUE
from costhub.ops.erasure import erase_organization
from costhub.stack.services import Pages, Worker
from tests.lib.process_memory import count_in_memory
from tests.patience import PATIENCE_SECONDS
from tests.proxy.beside import run_beside
from tests.proxy.cache.rows import keep_question
from tests.proxy.cache.test_sealed_questions import leave_open
from tests.proxy.deployment import NO_TLS, Deployment, deploy
from tests.proxy.scene import acme
from tests.world import Tenant

__all__ = ["acme"]

#: looks, with a tenth of a second between two: half of what a key is kept for when nobody hears of anything
LOOKS: Final = 300
CALLS: Final = 20


def data_key_of(tenant: Tenant) -> bytes:
    """As it opens what was sealed."""
    return secrets._open_with_any(settings.MASTER_KEYS, bytes(tenant.org.data_key), secrets._data_key_of(tenant.org_id))


def find_holders(pids: list[int], key: bytes) -> set[int]:
    """Processes in whose memory a key lies."""
    return {pid for pid in pids if count_in_memory(pid, key)}


def wait_until(is_so: Callable[[set[int]], bool], pids: list[int], key: bytes) -> None:
    """Return when that is so of those that hold the key."""
    pause = threading.Event()
    for _ in range(LOOKS):
        if is_so(found := find_holders(pids, key)):
            return
        pause.wait(0.1)
    raise AssertionError(found)


def call_often(proxy: Deployment, tenant: Tenant) -> None:
    """Calls over connections of their own, whose answers are sealed to be given again."""
    body = {"model": "small", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 10}
    with httpx2.Client(trust_env=False, verify=NO_TLS, timeout=PATIENCE_SECONDS) as http:
        for number in range(CALLS):
            headers = {
                "authorization": f"Bearer {tenant.api_key}",
                "idempotency-key": f"call {number}",
                "connection": "close",
            }
            answer = http.post(f"{proxy.base_url}/chat/completions", json=body, headers=headers)
            assert answer.status_code == 200, answer.text


def test_both_workers_that_have_opened_it_forget_it_when_they_hear_of_the_erasure(acme: Tenant, tmp_path: Path) -> None:
    key = data_key_of(acme)
    with deploy(tmp_path, workers=2) as proxy:
        pids = proxy.worker_pids
        assert len(pids) == 2
        for _ in range(LOOKS):
            call_often(proxy, acme)
            if find_holders(pids, key) == set(pids):
                break
        assert find_holders(pids, key) == set(pids)
        erase_organization(acme.org.slug)
        wait_until(lambda holders: holders == set(), pids, key)
        assert proxy.worker_pids == pids, "none was started anew"


def test_so_do_pages_and_jobs(acme: Tenant, tmp_path: Path) -> None:
    key = data_key_of(acme)
    keep_question(acme, "Where is my order?")
    leave_open(acme)
    with TemporaryDirectory(prefix="costhub-") as short:
        socket = Path(short) / "s"
        with (
            run_beside(tmp_path, socket, (Pages, Worker)) as beside,
            deploy(tmp_path, COSTHUB_PAGES_SOCKET=str(socket)) as proxy,
        ):
            beside.wait_ready()
            pids: dict[str, list[int]] = {}
            for name, part in beside.parts.items():
                assert part.pid is not None
                pids[name] = [each.pid for each in psutil.Process(part.pid).children(recursive=True)] or [part.pid]
            with httpx2.Client(trust_env=False, verify=NO_TLS, timeout=PATIENCE_SECONDS) as http:
                headers = {"authorization": f"Bearer {acme.admin_token}"}
                shown = http.get(f"{proxy.root_url}/api/v1/cache/entries", headers=headers)
            assert "Where is my order?" in shown.text
            app.send_task("proxy.tasks.forget_cached_answers", queue=QUICK_QUEUE)
            for name in ("pages", "worker"):
                wait_until(lambda holders: holders != set(), pids[name], key)
            erase_organization(acme.org.slug)
            wait_until(lambda holders: holders == set(), [*pids["pages"], *pids["worker"]], key)
