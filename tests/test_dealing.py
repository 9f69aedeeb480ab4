"""Files that are dealt out lose no test and hide no failure."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.patience import PATIENCE_SECONDS

ROOT: Final = Path(__file__).resolve().parents[1]

FILES: Final = {
    "pytest.ini": "[pytest]\nmarkers = soak: long",
    "conftest.py": (
        "import pytest\n"
        "@pytest.fixture(scope='session')\ndef begun(): return []\n"
        "@pytest.fixture(scope='module')\ndef once(begun, request): begun.append(request.module.__name__); return begun\n"
    ),
    "deep/conftest.py": "import pytest\n@pytest.fixture\ndef deep(): return 7\n",
    "deep/test_one.py": "import pytest\n@pytest.mark.parametrize('n', range(3))\ndef test_n(n, deep): assert n < deep\n",
    "deep/test_two.py": "def test_deep(deep): assert deep == 7\ndef test_fails(): assert 1 == 2\n",
    "test_fixtures.py": "def test_a(once): assert once.count(__name__) == 1\ntest_b = test_a\n",
    "test_long.py": "import pytest\n@pytest.mark.soak\ndef test_soak(): raise AssertionError\n",
    "test_broken.py": "import nowhere\n",
    "deep/test_soak.py": "import pytest\n@pytest.mark.soak\ndef test_soak(): raise AssertionError\n",
    # Asked for by name alone: its process is killed once.
    "dies.py": (
        "import os, pathlib\n"
        "def test_before(): pass\n"
        "def test_dies():\n"
        "    flag = pathlib.Path(__file__).with_name('died')\n"
        "    if not flag.exists(): flag.touch(); os.kill(os.getpid(), 9)\n"
        "def test_after(): pass\n"
    ),
}


@pytest.mark.parametrize(
    ("arguments", "closing_line"),
    [
        (["-m", "not soak"], "1 failed, 6 passed, 1 error"),
        (["-m", "not soak", "deep"], "1 failed, 4 passed"),
        # chosen by name: as xdist itself does it
        (["-k", "test_n", "deep"], "3 passed"),
        # a file of which nothing is run, between two folders
        (["-n", "1", "-m", "not soak", "deep/test_one.py", "deep/test_soak.py", "test_fixtures.py"], "5 passed"),
        # The one that was running fails, and another process runs its file again and whatever comes behind it.
        (["-n", "1", "dies.py", "deep/test_one.py"], "1 failed, 7 passed"),
    ],
)
def test_every_test_is_run_once(tmp_path: Path, arguments: list[str], closing_line: str) -> None:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    plugins = [part for name in ("xdist", "pytest_timeout", "tests.dealing") for part in ("-p", name)]
    command = [sys.executable, "-m", "pytest", "-q", *plugins, "-n", "2", "--dist", "loadfile", *arguments]
    only_these = {"PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    ours = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(
        command, cwd=tmp_path, env=ours | only_these, capture_output=True, text=True, timeout=PATIENCE_SECONDS
    )
    assert done.stdout.splitlines()[-1].startswith(closing_line), done.stdout + done.stderr
    assert done.returncode == (0 if "failed" not in closing_line else 1)
