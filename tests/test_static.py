"""The console's files as a production serves them: named by their content, compressed, kept by browsers for ever."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import brotli

from tests.stack.conftest import ROOT

_PAGE = """
import json, re
import django
django.setup()
from django.core.management import call_command
from django.test import Client
call_command("collectstatic", "--no-input", verbosity=0)
client = Client()
page = client.get("/login").content.decode()
found = {}
for path in sorted(set(re.findall(r'(?:href|src)="(/static/[^"]+)"', page))):
    found[path] = {}
    for accepted in ("identity", "gzip", "gzip, deflate, br, zstd"):
        answer = client.get(path, headers={"accept-encoding": accepted})
        body = b"".join(answer.streaming_content)
        found[path][accepted] = [
            answer.status_code, answer.headers["Cache-Control"], answer.headers.get("Content-Encoding"), len(body)
        ]
print(json.dumps(found))
"""


def test_they_are_named_by_their_content_compressed_and_kept(tmp_path: Path) -> None:
    folder = tmp_path / "static"
    environment = os.environ | {"COSTHUB_STATIC_DIR": str(folder), "DJANGO_SETTINGS_MODULE": "costhub.settings"}
    ran = subprocess.run([sys.executable, "-c", _PAGE], env=environment, cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr[-2_000:]
    served = json.loads(ran.stdout.splitlines()[-1])
    names = json.loads((folder / "staticfiles.json").read_text())["paths"]
    assert {f"/static/{names[name]}" for name in ("costhub.css", "favicon.svg")} <= served.keys()
    for path, by_coding in served.items():
        assert re.search(r"\.[0-9a-f]{12}\.", path), path
        file = folder / path.removeprefix("/static/")
        sizes = []
        # Browsers take Brotli over TLS, and name it beside gzip.
        for (status, kept, coding, size), (name, ending) in zip(
            by_coding.values(), ((None, ""), ("gzip", ".gz"), ("br", ".br")), strict=True
        ):
            assert (status, kept, coding) == (200, "max-age=315360000, public, immutable", name), path
            assert size == file.with_name(f"{file.name}{ending}").stat().st_size
            sizes.append(size)
        assert sizes[0] > sizes[1] > sizes[2], path
        assert brotli.decompress(file.with_name(f"{file.name}.br").read_bytes()) == file.read_bytes()
    # A template that names a file which is not there would be a 500 in production, and nowhere else.
    used = {
        name
        for template in (ROOT / "templates").rglob("*.html")
        for name in re.findall(r"""{%\s*static ['"]([^'"]+)['"]""", template.read_text())
    }
    assert {"costhub.css", "costhub.js", "django_htmx/htmx-2.min.js"} <= used <= names.keys()
