"""The drill: a machine with its PostgreSQL and its Valkey is gone, and what a bucket has is enough to go on.

A new cluster, an empty Valkey: the ledger is that of the moment, byte by byte, counters are counted anew from it, and
the next call is held against what was spent before. In `make soak` there are 150,000 calls of earlier, a database of
about 100 MB, and 20,000 in `make test`; ``COSTHUB_DRILL_ROWS`` sets another number.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final
from uuid import UUID

import httpx2
import psycopg
import pytest

from costhub.lib import clock
from costhub.stack.backup import UNFINISHED
from costhub.stack.backup.archive import Archive
from costhub.stack.backup.store import BackupStore
from costhub.stack.backup.take import open_running, take_backup
from tests.bank import Bank
from tests.patience import PATIENCE_SECONDS, wait_until
from tests.proxy.deployment import NO_TLS, deploy
from tests.proxy.learning.s3 import S3, run_s3
from tests.sampling import IS_WHOLE
from tests.stack.machine import Machine, start_machine, start_migrated
from tests.stack_fixtures import make_data_dir

ROWS: Final = int(os.environ.get("COSTHUB_DRILL_ROWS", "150000" if IS_WHOLE else "20000"))
EARLIER: Final = """
    INSERT INTO proxy_ledgerentry
        (started_at, id, org_id, project_id, key_id, end_user, tags, kind, endpoint, request_model, response_model,
         provider, attempts, is_stream, input_tokens, cache_read_input_tokens, cache_write_input_tokens, output_tokens,
         reasoning_tokens, audio_input_tokens, audio_output_tokens, list_cost, effective_cost, savings, is_estimated,
         is_overrun, held, cache_status, route_reason, status, error_code, finish_reason, duration_us)
    SELECT date_trunc('month', now()) - make_interval(secs => n), gen_random_uuid(), %(org)s, %(project)s, %(key)s,
           'user-' || n %% 100, jsonb_build_object('team', 'team-' || n %% 7), 'call', 'chat/completions', 'small',
           'small', 'openai-compatible',
           jsonb_build_array(jsonb_build_object('number', 1, 'model', 'small', 'status', 200, 'cost', n)),
           false, n, 0, 0, n %% 300, 0, 0, 0, n, n, '{}', false, false, n, 'miss', '', 200, '', 'stop', 1000
    FROM generate_series(1, %(rows)s) AS n"""


@pytest.fixture
def folders() -> Iterator[list[Path]]:
    """Two machines' places."""
    made = [make_data_dir(), make_data_dir()]
    yield made
    for folder in made:
        shutil.rmtree(folder)


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3]:
    """A bucket, and AWS's variables that lead to it."""
    with run_s3() as s3:
        for name, value in s3.environment.items():
            monkeypatch.setenv(name, value)
        yield s3


@pytest.fixture
def bank(tmp_path: Path) -> Iterator[Bank]:
    bank = Bank.start(tmp_path)
    yield bank
    bank.stop()


def call(machine: Machine, folder: Path, api_key: str, calls: int) -> list[httpx2.Response]:
    """So many calls, and all of them in the ledger."""
    body = {"model": "small", "messages": [{"role": "user", "content": "Hi there"}]}
    with (
        deploy(folder, **machine.environment) as proxy,
        httpx2.Client(
            base_url=proxy.base_url,
            headers={"authorization": f"Bearer {api_key}"},
            trust_env=False,
            verify=NO_TLS,
            timeout=PATIENCE_SECONDS,
        ) as http,
    ):
        answers = [http.post("/chat/completions", json=body) for _ in range(calls)]
    assert {answer.status_code for answer in answers} == {200}
    assert machine.do("settle")["moved"] == calls
    return answers


def open_for_who_reads(pipe: Path, reader: "subprocess.Popen[str]") -> int:
    """Open a named pipe to write, once the other side has it open."""
    opened: list[int] = []

    def try_it() -> bool:
        assert reader.poll() is None, reader.communicate()[1]
        with suppress(OSError):
            opened.append(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))
        return bool(opened)

    wait_until(try_it)
    return opened[0]


@pytest.mark.sampled
def test_the_drill(folders: list[Path], s3: S3, bank: Bank, tmp_path: Path) -> None:
    url = s3.url("drill")
    with start_migrated(folders[0]) as lost:
        archive = Archive(lost.folder, lost.postgres, url)
        archive.start()
        archive.wait_ready()
        acme = lost.do("furnish", bank.base_url)
        gone, later = lost.do("furnish_another", "Gone"), lost.do("furnish_another", "Later")
        with psycopg.connect(lost.postgres.url_owner) as connection:
            connection.execute(EARLIER, {"rows": ROWS, **{name: acme[name] for name in ("org", "project", "key")}})
            [size] = connection.execute("SELECT pg_database_size(current_database())").fetchone() or [0]
        take_backup(open_running(lost.folder), BackupStore(url))
        before = call(lost, tmp_path, acme["api_key"], 20)
        moment, ledger, counters = lost.now(), lost.ledger(), lost.counters()
        assert ledger[:2] == (ROWS + 20, ROWS * (ROWS + 1) // 2 + 20 * 8_400)
        assert sorted({settled for settled, _ in counters.values()}) == [20 * 8_400, ledger[1]]
        # What comes after the moment is not wanted back, but for an erasure: that is for ever.
        call(lost, tmp_path, acme["api_key"], 5)
        lost.do("erase", gone["slug"], url)
        assert lost.do("erase_person", acme["slug"], "una", url) == {"rows": {"proxy_storedfile": 1}}
        archive.stop()
        lost.postgres.kill()
        lost.valkey.kill()

    # What the restore reads last, and waits for: an hour may have passed, in which the original erased somebody else.
    secrets = tmp_path / "secrets.json"
    os.mkfifo(secrets)
    where = ["--data-dir", str(folders[1]), "--secrets", str(secrets)]
    began = time.monotonic()
    command = [sys.executable, "-m", "costhub", "restore", "--url", url, "--to", moment.isoformat(), *where]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as restoring:
        reader = open_for_who_reads(secrets, restoring)
        BackupStore(url).note_erased(UUID(later["org"]), clock.now())
        os.write(reader, b"{}")
        os.close(reader)
        said, complained = restoring.communicate()
    assert restoring.returncode == 0, complained
    assert said.endswith("Erased again: 2 organisations and 1 end users that had been erased since.\n")
    assert not (folders[1] / UNFINISHED).exists()
    with start_machine(folders[1]) as found:
        print(f"\n{ROWS} rows, {size >> 20} MiB: restored and up after {time.monotonic() - began:.1f} s")
        assert found.ledger() == ledger
        with psycopg.connect(found.postgres.url_owner) as connection:
            assert connection.execute("SELECT slug FROM tenants_organization").fetchall() == [("acme",)]
            kept = connection.execute("SELECT external_id, name FROM tenants_enduser ORDER BY 1").fetchall()
            assert kept == [("bob", "Bob"), ("una", "")], "of those who were erased the ledger knows the id"
            assert connection.execute("SELECT end_user FROM proxy_storedfile").fetchall() == [("bob",)]
        assert found.counters() == {}
        assert found.do("rebuild")["drift"] == []
        assert found.counters() == counters
        (answer,) = call(found, tmp_path, acme["api_key"], 1)
        # One call less than the last one before the moment had left.
        left = [float(each.headers["x-costhub-budget-remaining"]) for each in (before[-1], answer)]
        assert round((left[0] - left[1]) * 1e9) == 8_400
        assert found.ledger()[:2] == (ledger[0] + 1, ledger[1] + 8_400)
        assert found.do("rebuild")["drift"] == []
