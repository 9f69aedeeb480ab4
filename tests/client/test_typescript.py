"""The client in TypeScript, run by node against the real management API, and compiled against what it promises.

Node is no part of the suite's needs: without it the first of these is left out, as the run says.
"""

import json
import os
import shutil
import subprocess
from hashlib import sha256
from pathlib import Path
from typing import Final

import pytest

from costhub.client.document import fingerprint_of, make_short_document
from costhub.client.generate import DIGESTS, TYPESCRIPT_FINGERPRINT, VENDOR
from tests.patience import PATIENCE_SECONDS
from tests.world import World

HERE: Final = Path(__file__).resolve().parent / "typescript"
NODE: Final = shutil.which("node")
TYPESCRIPT: Final = "typescript@5.9.3"


def test_the_types_are_of_todays_document() -> None:
    found = TYPESCRIPT_FINGERPRINT.read_text().strip()
    assert found == fingerprint_of(make_short_document()), "the API has changed: run `make client`, where there is npm"


def test_what_is_copied_into_the_client_is_what_was_copied() -> None:
    told = {name: digest for digest, name in map(str.split, (VENDOR / DIGESTS).read_text().splitlines())}
    found = {file.name: sha256(file.read_bytes()).hexdigest() for file in VENDOR.iterdir() if file.name != DIGESTS}
    assert found == told


@pytest.mark.skipif(NODE is None, reason="there is no node here")
def test_node_makes_reads_and_edits(url: str, committed_world: World) -> None:
    environment = os.environ | {"COSTHUB_URL": f"{url}/v1/", "COSTHUB_ADMIN_TOKEN": committed_world.acme.admin_token}
    ran = subprocess.run(
        [str(NODE), str(HERE / "smoke.mjs")], env=environment, capture_output=True, text=True, timeout=PATIENCE_SECONDS
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert json.loads(ran.stdout) == {
        "limits": ["10.000000000", "12.500000000"],
        "keys": ["key 2", "key 1", "key 0", "first key"],
        "wrong": [400, "limit"],
        "missing": [404, "not_found"],
        "nobody": [401, True],
    }


@pytest.mark.soak
def test_the_types_refuse_what_the_api_would(tmp_path: Path) -> None:
    npm = shutil.which("npm")
    assert npm is not None
    (tmp_path / "package.json").write_text('{"private": true}')
    install = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", TYPESCRIPT]
    subprocess.run(install, cwd=tmp_path, check=True, capture_output=True, timeout=300)
    options = ["--noEmit", "--strict", "--target", "es2022", "--module", "nodenext", "--lib", "es2022,dom"]
    compiled = subprocess.run(
        [str(tmp_path / "node_modules" / ".bin" / "tsc"), *options, str(HERE / "typed.ts")],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert (compiled.returncode, compiled.stdout) == (0, "")
