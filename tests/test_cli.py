"""The command line: what cannot be done is said in a sentence, and nothing is left running."""

import os
import socket
import subprocess
import sys
from pathlib import Path
from unittest.mock import patch

import pytest
from pytest_django.fixtures import Settings

from costhub.cli import main
from costhub.lib.secrets import MasterKeys
from costhub.ops import master_keys
from costhub.ops.master_keys import Resealed
from costhub.stack.environment import FORMER_KEYS, KEYS, begin_rotation, end_rotation, load_or_make_keys
from costhub.stack.launch import Stack, UpOptions, describe
from costhub.stack.ports import HOST, find_free_port
from costhub.stack.private_files import read_json, write_json
from tests.stack.conftest import ROOT

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


def test_a_master_key_is_rotated_step_by_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("DATABASE_URL")
    for name in KEYS:
        monkeypatch.delenv(name, raising=False)
    old = load_or_make_keys(tmp_path)
    write_json(tmp_path / "environment.json", dict(old))
    command = ["rotate-master-key", "--data-dir", str(tmp_path)]
    assert main(command) == 0
    assert "Restart the stack, then run this again." in capsys.readouterr().out
    both = load_or_make_keys(tmp_path)
    assert both[FORMER_KEYS] == old["COSTHUB_MASTER_KEY"] != both["COSTHUB_MASTER_KEY"]
    assert main(command) == 1
    assert "still runs with the former key alone" in capsys.readouterr().err
    assert load_or_make_keys(tmp_path) == both
    end_rotation(tmp_path)
    assert load_or_make_keys(tmp_path) == {name: both[name] for name in KEYS}


@pytest.mark.parametrize(("lost", "code"), [((), 0), (("organisation 7",), 1)])
def test_the_former_master_key_is_forgotten_once_nothing_needs_it(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    settings: Settings,
    lost: tuple[str, ...],
    code: int,
) -> None:
    for name in KEYS:
        monkeypatch.delenv(name, raising=False)
    load_or_make_keys(tmp_path)
    assert begin_rotation(tmp_path)
    both = load_or_make_keys(tmp_path)
    write_json(tmp_path / "environment.json", dict(both))
    settings.MASTER_KEYS = MasterKeys(b"n" * 32, (b"o" * 32,))
    monkeypatch.setattr(master_keys, "reseal_everything", lambda: Resealed(2, 1, lost))
    # The command joins the stack: what it puts into this process's environment would be every later test's.
    with patch.dict(os.environ):
        assert main(["rotate-master-key", "--data-dir", str(tmp_path)]) == code
    said = capsys.readouterr()
    assert said.out.startswith("Sealed again: 2 organisations, 1 second factors.")
    assert ("organisation 7" in said.err) == bool(lost)
    kept = read_json(tmp_path / "secrets.json")
    assert (FORMER_KEYS in kept) == bool(lost)
    assert kept["COSTHUB_MASTER_KEY"] == both["COSTHUB_MASTER_KEY"]


def run_badly(*arguments: str, **environment: str) -> tuple[int, str]:
    """What a command does with a setting that cannot be: its exit code, and all that it says on stderr."""
    ran = subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, env=os.environ | environment, cwd=ROOT
    )
    assert ran.stdout == ""
    return ran.returncode, ran.stderr


def test_a_bad_setting_is_one_sentence_whatever_was_to_be_done(tmp_path: Path) -> None:
    told = "COSTHUB_MAX_BODY_BYTES='much': give a whole number from 1024 to 1073741824\n"
    bad = {"COSTHUB_MAX_BODY_BYTES": "much"}
    keys = load_or_make_keys(tmp_path)
    for command in ("doctor", "export-org", "run"):
        more = {"export-org": ["acme", "--to", str(tmp_path / "x.zip")], "run": ["proxy"]}.get(command, [])
        code, said = run_badly("-m", "costhub", command, *more, "--data-dir", str(tmp_path), **bad, **keys)
        assert (code, said) == (1, f"costhub {command}: {told}"), command
    for words in (["migrate", "--database", "owner"], ["seed_prices"], ["check"]):
        assert run_badly("manage.py", *words, **bad) == (os.EX_CONFIG, f"costhub: {told}"), words


@pytest.mark.parametrize(
    "words", [["erase-org", "acme", "--confirm", "acme"], ["rotate-master-key"]], ids=lambda words: words[0]
)
def test_a_server_that_is_away_is_one_sentence_too(tmp_path: Path, words: list[str]) -> None:
    nowhere = f"postgresql://costhub:x@{HOST}:{find_free_port()}/costhub"
    keys = load_or_make_keys(tmp_path)
    away = keys | {"DATABASE_URL": nowhere, "DATABASE_OWNER_URL": nowhere, FORMER_KEYS: keys["COSTHUB_KEY_PEPPER"]}
    (tmp_path / "secrets.json").unlink()
    code, said = run_badly("-m", "costhub", *words, "--data-dir", str(tmp_path), **away)
    assert (code, said.count("\n")) == (1, 1), said
    assert said.startswith(f"costhub {words[0]}: PostgreSQL or Valkey is away, or in trouble: connection failed")


def test_the_stack_says_so_too_and_stops(tmp_path: Path) -> None:
    up = ("-m", "costhub", "up", "--no-model", "--no-demo", "--data-dir", str(tmp_path))
    code, said = run_badly(*up, COSTHUB_TRUSTED_PROXIES="-1")
    assert code == 1
    assert said.splitlines()[-1] == "costhub up: COSTHUB_TRUSTED_PROXIES='-1': give a whole number from 0 to 10"
    assert "Traceback" not in said


def test_a_production_asks_for_the_address_and_the_mail_server(tmp_path: Path) -> None:
    keys = load_or_make_keys(tmp_path) | {"COSTHUB_PRODUCTION": "1"}
    code, said = run_badly("manage.py", "check", **keys)
    assert (code, said.count("\n")) == (os.EX_CONFIG, 1)
    assert said.startswith("costhub: COSTHUB_PUBLIC_URL is not set: give the address at which people find the console")
    url = {"COSTHUB_PUBLIC_URL": "https://costhub.example.org"}
    code, said = run_badly("manage.py", "check", **keys, **url)
    assert (code, said.count("\n")) == (os.EX_CONFIG, 1)
    assert said.startswith("costhub: COSTHUB_SMTP_URL is not set: give smtp://user:password@host:port")
    up = ("-m", "costhub", "up", "--no-model", "--no-demo", "--data-dir", str(tmp_path))
    code, said = run_badly(*up, **keys)
    assert (code, "costhub up: COSTHUB_PUBLIC_URL is not set" in said, "Traceback" in said) == (1, True, False)
