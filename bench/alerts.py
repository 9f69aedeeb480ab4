"""How long it takes from the call that crosses a budget's threshold to the mail: ``python -m bench.alerts``.

A whole `costhub up`, the tests' bank for an upstream, a real SMTP server for a sink. Each round is one end user with a
budget of its own whose first call crosses it; the time runs from the moment at which the call is answered to the moment
at which the sink has taken the mail. ``--load`` calls go on beside it.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import httpx2

from bench.machine import free_port
from tests.bank import Bank
from tests.mail import MailSink, run_mail_sink

ROOT: Final = Path(__file__).resolve().parent.parent
START_SECONDS: Final = 120.0
MAIL_SECONDS: Final = 60.0


def main() -> int:
    """Run the rounds and print the distribution as one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--load", type=int, default=4, help="callers that go on beside the rounds")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="costhub-bench-") as folder, run_mail_sink() as sink:
        work = Path(folder)
        work.chmod(0o711)
        bank = Bank.start(work)
        try:
            with run_stack(work / "stack", sink) as stack, httpx2.Client(timeout=30, trust_env=False) as http:
                set_up(http, stack, bank)
                with run_load(stack, options.load):
                    seconds = [measure(http, stack, sink, number) for number in range(options.rounds)]
        finally:
            bank.stop()
    seconds.sort()
    print(
        json.dumps(
            {
                "rounds": len(seconds),
                "load": options.load,
                "median_s": round(statistics.median(seconds), 2),
                "p95_s": round(seconds[int(len(seconds) * 0.95) - 1], 2),
                "worst_s": round(seconds[-1], 2),
            }
        )
    )
    return 0


@contextmanager
def run_stack(data: Path, sink: MailSink) -> Iterator[dict[str, Any]]:
    """A whole stack that mails to the sink; gives its stack.json."""
    port = free_port()
    command = [sys.executable, "-m", "costhub", "up", "--port", str(port), "--no-model", "--data-dir", str(data)]
    environment = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(data.parent),
        "COSTHUB_ALLOWED_NETWORKS": "127.0.0.0/8",
        "COSTHUB_SMTP_URL": f"smtp://127.0.0.1:{sink.port}",
        "COSTHUB_MAIL_FROM": "CostHub <costhub@bench.example>",
        "PYTHONPATH": str(ROOT),
    }
    with (data.parent / "up.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
    try:
        deadline = time.perf_counter() + START_SECONDS
        while not (data / "stack.json").exists():
            if process.poll() is not None or time.perf_counter() > deadline:
                raise RuntimeError((data.parent / "up.log").read_text())
            time.sleep(0.1)
        yield json.loads((data / "stack.json").read_text())
    finally:
        process.terminate()
        process.wait(60)


def set_up(http: httpx2.Client, stack: dict[str, Any], bank: Bank) -> None:
    """An upstream and a priced model."""
    manage(http, stack, "upstreams", {"name": "bank", "kind": "openai_compatible", "base_url": bank.base_url})
    manage(http, stack, "models", {"name": "small", "upstream": "bank", "max_output_tokens": 64})
    price = {"model": "small", "input_per_million": "1", "output_per_million": "1"}
    manage(http, stack, "prices", price)


def manage(http: httpx2.Client, stack: dict[str, Any], what: str, body: dict[str, Any]) -> dict[str, Any]:
    """POST to the management API."""
    answer = http.post(
        f"{stack['console_url'].rstrip('/')}/api/v1/{what}",
        json=body,
        headers={"authorization": f"Bearer {stack['admin_token']}"},
    )
    answer.raise_for_status()
    made: dict[str, Any] = answer.json()
    return made


def call(http: httpx2.Client, stack: dict[str, Any], user: str) -> None:
    """One call."""
    http.post(
        f"{stack['base_url']}/chat/completions",
        json={"model": "small", "max_tokens": 16, "messages": [{"role": "user", "content": "Hello"}]},
        headers={"authorization": f"Bearer {stack['api_key']}", "x-costhub-user": user},
    ).raise_for_status()


def measure(http: httpx2.Client, stack: dict[str, Any], sink: MailSink, number: int) -> float:
    """Seconds from the crossing call's answer to the mail."""
    user = f"crosser-{number}"
    limit = {"scope": "end_user", "subject": user, "period": "day", "limit": "0.000001", "action": "warn"}
    manage(http, stack, "budgets", limit)
    # A round begins at any moment of the watchers' seconds.
    time.sleep(0.137 * (number % 8))
    call(http, stack, user)
    answered = time.perf_counter()
    while not any(f"End user {user} used" in subject for subject in sink.subjects()):
        if time.perf_counter() - answered > MAIL_SECONDS:
            raise RuntimeError(f"no mail for {user}")
        time.sleep(0.005)
    return time.perf_counter() - answered


@contextmanager
def run_load(stack: dict[str, Any], callers: int) -> Iterator[None]:
    """Calls without an end, until the block does."""
    is_over = threading.Event()

    def go_on() -> None:
        with httpx2.Client(timeout=30, trust_env=False) as http:
            while not is_over.is_set():
                call(http, stack, "busy")

    threads = [threading.Thread(target=go_on, daemon=True) for _ in range(callers)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        is_over.set()
        for thread in threads:
            thread.join()


if __name__ == "__main__":
    sys.exit(main())
