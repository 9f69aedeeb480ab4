"""`costhub up` as a person runs it: from an empty folder to a priced answer, down without a trace, up again the
same."""

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx2
import openai
import psutil
import psycopg
import pytest

from costhub.stack.model_server import MODEL
from costhub.stack.ports import find_free_port
from tenants.price_table import read_price_table
from tests.patience import PATIENCE_SECONDS
from tests.stack.conftest import ROOT, Watch, descendants_of
from tests.stack_fixtures import make_data_dir

OWN = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")}


@contextmanager
def up(data_dir: Path, port: int, **settings: str) -> Iterator[dict[str, Any]]:
    """A running stack's stack.json; afterwards SIGTERM, exit code 0, no process left."""
    command = [sys.executable, "-m", "costhub", "up", "--data-dir", str(data_dir), "--port", str(port)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=OWN | settings
    ) as process:
        assert process.stdout is not None
        try:
            while not (line := process.stdout.readline()).startswith("Ctrl-C"):
                assert line, process.communicate()[1]
            everything = Watch(descendants_of(process.pid))
            yield json.loads((data_dir / "stack.json").read_text())
        finally:
            process.terminate()
            process.communicate(timeout=PATIENCE_SECONDS)
        assert process.returncode == 0
        assert everything.survivors(0) == []
        assert not (data_dir / "stack.json").exists()


def ask_for_capital(stack: dict[str, Any]) -> str | None:
    with openai.OpenAI(base_url=stack["base_url"], api_key=stack["api_key"], max_retries=0) as client:
        answer = client.chat.completions.create(
            model=MODEL, temperature=0, messages=[{"role": "user", "content": "What is the capital of France?"}]
        )
    return answer.choices[0].message.content


def see_the_route_climb(stack: dict[str, Any]) -> None:
    """What the demo's small model is sure of it answers; what it is not goes up, and both rungs are told."""
    headers = {"authorization": f"Bearer {stack['api_key']}"}
    questions = ("What is the capital of France?", "Write one line of a poem about integrals and whales.")
    with httpx2.Client(base_url=stack["base_url"], headers=headers, timeout=200, trust_env=False) as http:
        answers = []
        for question in questions:
            body = {"model": "smart", "temperature": 0, "max_tokens": 24}
            answers.append(
                http.post("/chat/completions", json=body | {"messages": [{"role": "user", "content": question}]})
            )
            assert answers[-1].status_code == 200, answers[-1].text
        stories = [read_story(http, answer.headers["x-request-id"]) for answer in answers]
    easy, hard = stories
    assert [attempt["model"] for attempt in easy["attempts"]] == [MODEL]
    assert [attempt["model"] for attempt in hard["attempts"]] == [MODEL, "large-stand-in"]
    assert float(easy["attempts"][0]["confidence"]) >= 0.8 > float(hard["attempts"][0]["confidence"])
    # 25 times cheaper than the stand-in, and a loss where it was asked for nothing.
    assert Decimal(easy["savings"]["cascade"]) == Decimal(easy["effective_cost"]) * 24
    assert Decimal(hard["savings"]["cascade"]) == -Decimal(hard["attempts"][0]["cost"]) / 10**9
    assert hard["route_reason"].endswith("so large-stand-in")


def read_story(http: httpx2.Client, request_id: str) -> dict[str, Any]:
    """A call's row, which on a busy machine is written some time after its answer."""
    pause = threading.Event()
    while (answer := http.get(f"/costhub/requests/{request_id}")).status_code == 404:
        pause.wait(0.05)
    story: dict[str, Any] = answer.raise_for_status().json()
    return story


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
@pytest.mark.timeout(1_200)  # beside others a model answers slowly
def test_from_an_empty_folder_to_an_answer_and_up_again_with_the_same_keys(data_dir: Path) -> None:
    port = find_free_port()
    with up(data_dir, port) as first:
        assert ask_for_capital(first) == "The capital of France is Paris."
        see_the_route_climb(first)
        assert sorted(first) == [
            *["admin_email", "admin_password", "admin_token", "api_key", "base_url", "console_url"],
            *["database_url", "org", "pids", "redis_url"],
        ]
        assert first["base_url"] == f"http://127.0.0.1:{port}/v1"
        assert sorted(first["pids"]) == [
            "batch-worker",
            "beat",
            "model",
            "pages",
            "postgres",
            "proxy",
            "slow-worker",
            "supervisor",
            "valkey",
            "worker",
        ]
        assert count_list_prices(first) == len([*read_price_table("openai"), *read_price_table("anthropic")])
        doctor = [sys.executable, "-m", "costhub", "doctor", "--json", "--data-dir", str(data_dir)]
        examined = subprocess.run(doctor, capture_output=True, text=True, cwd=ROOT, env=OWN)
        assert [check for check in json.loads(examined.stdout) if not check["ok"]] == []
        assert examined.returncode == 0
    # Nobody waits for a store of backups that is away.
    away = {
        "COSTHUB_BACKUP_URL": "s3://costhub/kept",
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{find_free_port()}",
        "AWS_ALLOW_HTTP": "true",
        "AWS_REGION": "eu-central-1",
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
    }
    with up(data_dir, port, **away) as second:
        assert second["pids"].keys() - first["pids"].keys() == {"archive"}
        assert {name: second[name] for name in second if name != "pids"} == {
            name: first[name] for name in first if name != "pids"
        }
        assert ask_for_capital(second) == "The capital of France is Paris."
        assert count_list_prices(second) == len([*read_price_table("openai"), *read_price_table("anthropic")])


def ask(http: httpx2.Client, question: str) -> httpx2.Response:
    body = {"model": MODEL, "temperature": 0, "messages": [{"role": "user", "content": question}]}
    for _ in range(900):
        # A worker that was killed takes its connections along, and the next one has to start.
        with suppress(httpx2.TransportError):
            answer = http.post("/v1/chat/completions", json=body)
            assert answer.status_code == 200, answer.text
            return answer
        time.sleep(0.2)
    raise AssertionError("no worker takes calls any more")


def questions_kept(stack: dict[str, Any]) -> list[str]:
    answer = httpx2.get(
        stack["base_url"].removesuffix("/v1") + "/api/v1/cache/entries",
        headers={"authorization": f"Bearer {stack['admin_token']}"},
        timeout=PATIENCE_SECONDS,
    )
    assert answer.status_code == 200, answer.text
    return [entry["question"] for entry in answer.json()["data"]]


@pytest.mark.soak
@pytest.mark.model
def test_the_levels_of_the_cache_one_after_the_other(data_dir: Path) -> None:
    with up(data_dir, find_free_port(), COSTHUB_CACHE_SEMANTIC_DEADLINE_MS="10000") as stack:
        root = stack["base_url"].removesuffix("/v1")
        policy = {"mode": "on", "semantic": "on", "holdout_percent": 0}
        made = httpx2.post(
            f"{root}/api/v1/cache-policies",
            json=policy,
            headers={"authorization": f"Bearer {stack['admin_token']}"},
            timeout=PATIENCE_SECONDS,
        )
        assert made.status_code == 201, made.text
        with httpx2.Client(
            base_url=root,
            headers={"authorization": f"Bearer {stack['api_key']}"},
            timeout=PATIENCE_SECONDS,
            trust_env=False,
        ) as http:
            while ask(http, "Hello").headers["x-costhub-cache"] == "bypass":
                time.sleep(0.1)
            found = [ask(http, "What is the capital of France?") for _ in range(2)]
            # Like questions are learned beside calls: who is killed before takes what it has not written along.
            while "What is the capital of France?" not in questions_kept(stack):
                time.sleep(0.1)
            worker = max(
                psutil.Process(stack["pids"]["proxy"]).children(recursive=True), key=lambda one: one.memory_info().rss
            )
            worker.kill()
            worker.wait()
            found += [ask(http, "What is the capital of France?")]
            # Of like questions one in fifty is asked all the same.
            found += [ask(http, "What's the capital of France, please?")]
            if found[-1].headers["x-costhub-cache"] == "recheck":
                found[-1] = ask(http, "so what's the capital of France")
            stories = [http.get(f"/v1/costhub/requests/{one.headers['x-request-id']}").json() for one in found]
    assert [one.headers["x-costhub-cache"] for one in found] == ["miss", "hit-l1", "hit-l2", "hit-semantic"]
    cost = found[0].headers["x-costhub-cost"]
    assert Decimal(cost) > 0
    assert {one.json()["choices"][0]["message"]["content"] for one in found} == {"The capital of France is Paris."}
    assert [one.headers["x-costhub-savings"] for one in found] == ["0.000000000", cost, cost, cost]
    assert [one["cache_status"] for one in stories] == ["miss", "hit-l1", "hit-l2", "hit-semantic"]
