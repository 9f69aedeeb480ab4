"""The command line: what cannot be done is said in a sentence, and nothing is left running."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from costhub.cli import main
from costhub.stack.launch import Stack, UpOptions, describe
from costhub.stack.ports import HOST

OPTIONS = UpOptions(data_dir=Path("var"), port=None, workers=1, model=True, demo=True)
DEMO = {"admin_email": "ada@acme.example", "admin_password": "pass'word", "api_key": "ch-1", "org": "acme"}


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["up", "--port", "0"], "'0': give a whole number from 1 to 65535"),
        (["up", "--port", "65536"], "'65536': give a whole number from 1 to 65535"),
        (["up", "--port", "٨٠"], "'٨٠': give a whole number from 1 to 65535"),
        (["up", "--workers", "-1"], "'-1': give a whole number from 1 to 64"),
        (["up", "--workers", "65"], "'65': give a whole number from 1 to 64"),
        (["down"], "invalid choice: 'down'"),
        ([], "the following arguments are required: COMMAND"),
    ],
)
def test_wrong_usage_is_explained(arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert complaint in capsys.readouterr().err


def test_a_port_asked_for_and_taken_is_named_before_anything_starts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server((HOST, 0)) as server:
        port = server.getsockname()[1]
        assert main(["up", "--port", str(port), "--data-dir", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"costhub up: port {port} of 127.0.0.1 is taken by another program")
    assert [path.name for path in tmp_path.iterdir()] == ["lock"]


def test_a_second_stack_on_the_same_data_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    holder = "import sys, pathlib; from costhub.stack.lock import hold\nwith hold(pathlib.Path(sys.argv[1])): print(flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", holder, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as running:
        assert running.stdout is not None
        running.stdout.readline()
        assert main(["up", "--data-dir", str(tmp_path)]) == 1
        running.kill()
    assert f"a stack is running on {tmp_path} already (process {running.pid})" in capsys.readouterr().err


def test_half_a_database_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("DATABASE_OWNER_URL")
    assert main(["up", "--data-dir", str(tmp_path)]) == 1
    assert "costhub up: DATABASE_URL is set but DATABASE_OWNER_URL is not." in capsys.readouterr().err


def test_the_doctor_without_a_stack_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("DATABASE_URL")
    assert main(["doctor", "--data-dir", str(tmp_path)]) == 1
    assert capsys.readouterr().err.startswith(f"There is no stack in {tmp_path}: start one with `costhub up`")


def test_the_call_to_paste_is_one_that_a_shell_understands() -> None:
    shown = describe(Stack(8123, DEMO, {}), OPTIONS)
    call = shown[shown.index("  curl") : shown.index("\n\nCtrl-C")]
    printed = subprocess.run(["/bin/sh", "-c", f"printf '%s\\n' {call.strip()}"], capture_output=True, text=True)
    assert printed.stdout.splitlines() == [
        "curl",
        "-i",
        "http://127.0.0.1:8123/v1/chat/completions",
        "-H",
        "Authorization: Bearer ch-1",
        "-H",
        "Content-Type: application/json",
        "-d",
        '{"model": "smollm2-135m-instruct", "temperature": 0, "messages": [{"role": "user", "content": "What is the capital of France?"}]}',
    ]
    assert "  Console  http://127.0.0.1:8123/\n  Login    ada@acme.example   pass'word\n" in shown


def test_without_a_demo_nothing_is_offered_that_would_not_work() -> None:
    shown = describe(Stack(8123, {}, {}), OPTIONS)
    assert "curl" not in shown
    assert "Login" not in shown
