"""`costhub up` as a person runs it: from an empty folder to a priced answer, down without a trace, up again the
same."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import openai
import psycopg
import pytest

from costhub.stack.model_server import MODEL
from costhub.stack.ports import find_free_port
from tenants.price_table import read_price_table
from tests.stack.conftest import ROOT, Watch, descendants_of
from tests.stack_fixtures import make_data_dir

OWN = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")}


@contextmanager
def up(data_dir: Path, port: int) -> Iterator[dict[str, Any]]:
    """A running stack's stack.json; afterwards SIGTERM, exit code 0, no process left."""
    command = [sys.executable, "-m", "costhub", "up", "--data-dir", str(data_dir), "--port", str(port)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=OWN
    ) as process:
        assert process.stdout is not None
        try:
            while not (line := process.stdout.readline()).startswith("Ctrl-C"):
                assert line, process.communicate()[1]
            everything = Watch(descendants_of(process.pid))
            yield json.loads((data_dir / "stack.json").read_text())
        finally:
            process.terminate()
            process.communicate(timeout=60)
        assert process.returncode == 0
        assert everything.survivors(0) == []
        assert not (data_dir / "stack.json").exists()


def ask_for_capital(stack: dict[str, Any]) -> str | None:
    with openai.OpenAI(base_url=stack["base_url"], api_key=stack["api_key"], max_retries=0) as client:
        answer = client.chat.completions.create(
            model=MODEL, temperature=0, messages=[{"role": "user", "content": "What is the capital of France?"}]
        )
    return answer.choices[0].message.content


def count_list_prices(stack: dict[str, Any]) -> int:
    with psycopg.connect(stack["database_url"]) as connection:
        row = connection.execute("SELECT count(*) FROM tenants_listprice").fetchone()
    assert row is not None
    return int(row[0])


@pytest.fixture
def data_dir() -> Iterator[Path]:
    folder = make_data_dir()
    yield folder
    shutil.rmtree(folder)


@pytest.mark.model
def test_from_an_empty_folder_to_an_answer_and_up_again_with_the_same_keys(data_dir: Path) -> None:
    port = find_free_port()
    with up(data_dir, port) as first:
        assert ask_for_capital(first) == "The capital of France is Paris."
        assert sorted(first) == [
            *["admin_email", "admin_password", "admin_token", "api_key", "base_url", "console_url"],
            *["database_url", "org", "pids", "redis_url"],
        ]
        assert first["base_url"] == f"http://127.0.0.1:{port}/v1"
        assert sorted(first["pids"]) == [
            "beat",
            "model",
            "postgres",
            "proxy",
            "slow-worker",
            "supervisor",
            "valkey",
            "worker",
        ]
        assert count_list_prices(first) == len(read_price_table("openai"))
        doctor = [sys.executable, "-m", "costhub", "doctor", "--json", "--data-dir", str(data_dir)]
        examined = subprocess.run(doctor, capture_output=True, text=True, cwd=ROOT, env=OWN)
        assert [check for check in json.loads(examined.stdout) if not check["ok"]] == []
        assert examined.returncode == 0
    with up(data_dir, port) as second:
        assert {name: second[name] for name in second if name != "pids"} == {
            name: first[name] for name in first if name != "pids"
        }
        assert ask_for_capital(second) == "The capital of France is Paris."
        assert count_list_prices(second) == len(read_price_table("openai"))
