"""``make client``: generate the clients anew. A development tool, with what the default install does not have: an npm
beside Python, for the types of the one in TypeScript."""

import json
import re
import shutil
import subprocess
import sys
import tempfile
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import django

HERE: Final = Path(__file__).parent
TARGET: Final = HERE / "generated"
TYPESCRIPT: Final = HERE / "typescript"
VENDOR: Final = TYPESCRIPT / "vendor"
#: of what is in that folder
DIGESTS: Final = "SHA256SUMS"
#: what each client was generated from
FINGERPRINT: Final = TARGET / "document.sha256"
TYPESCRIPT_FINGERPRINT: Final = TYPESCRIPT / "document.sha256"
_CONFIG: Final = """\
content_type_overrides:
  application/jsonl: application/octet-stream
  application/x-tar: application/octet-stream
  application/zip: application/octet-stream
post_hooks:
  - "ruff check . --fix --select=I,F401 --isolated --quiet"
  - "ruff format . --isolated --line-length 120 --quiet"
"""
#: what writes the types, and what is copied into the client, which needs nothing else
_PACKAGES: Final = ("openapi-typescript@7.13.0", "openapi-fetch@0.17.0", "openapi-typescript-helpers@0.1.0")
_COPIED: Final = {
    "openapi-fetch/dist/index.mjs": "openapi-fetch.js",
    "openapi-fetch/dist/index.d.mts": "openapi-fetch.d.ts",
    "openapi-fetch/LICENSE": "openapi-fetch.LICENSE",
    "openapi-typescript-helpers/dist/index.d.mts": "openapi-typescript-helpers.d.ts",
    "openapi-typescript-helpers/LICENSE": "openapi-typescript-helpers.LICENSE",
}
_IMPORT: Final = re.compile(r"^from \.(\w+) import (?:\(\s+)?(\w+)(?:,\s+\))?\n", re.MULTILINE)
_LOADER: Final = """

def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
"""
_SOURCE_MAP: Final = "\n//# sourceMappingURL="


def main() -> int:
    """Write costhub/client/generated and costhub/client/typescript. Gives the exit code."""
    django.setup()
    from costhub.client.document import fingerprint_of, make_document, make_short_document

    document, short = make_document(), make_short_document()
    with tempfile.TemporaryDirectory() as folder:
        _write_python(Path(folder), document)
        FINGERPRINT.write_text(fingerprint_of(document) + "\n")
        npm = shutil.which("npm")
        if npm is None:
            sys.stderr.write("There is no npm: the client in TypeScript stays as it was.\n")
            return 1
        _write_typescript(Path(folder), npm, short)
        TYPESCRIPT_FINGERPRINT.write_text(fingerprint_of(short) + "\n")
    return 0


def _write_python(folder: Path, document: dict[str, Any]) -> None:
    source, config = folder / "document.json", folder / "config.yml"
    source.write_text(json.dumps(document))
    config.write_text(_CONFIG)
    tool = Path(sys.executable).parent / "openapi-python-client"
    where = [f"--path={source}", f"--config={config}", f"--output-path={TARGET}"]
    subprocess.run([str(tool), "generate", "--meta=none", "--overwrite", *where], check=True)
    for module in TARGET.rglob("*.py"):
        # The maintained successor of httpx, which the rest of the product uses.
        text = module.read_text()
        text = text.replace("\nimport httpx\n", "\nimport httpx2 as httpx\n")
        # Of a file whose type is a text's, too.
        module.write_text(text.replace("BytesIO(response.text)", "BytesIO(response.content)"))
    models = TARGET / "models" / "__init__.py"
    models.write_text(_import_late(models.read_text()))


def _import_late(text: str) -> str:
    """The models' package with each model read when it is asked for: all of them take longer than a command does."""
    homes = dict(_IMPORT.findall(text))
    head, _, names = _IMPORT.sub("", text).partition("__all__")
    imports = "".join(f"    from .{home} import {name}\n" for home, name in homes.items())
    places = "".join(f'    "{name}": "{home}",\n' for home, name in homes.items())
    return (
        f"{head.rstrip()}\n\nfrom importlib import import_module\nfrom typing import TYPE_CHECKING, Any\n\n"
        f"if TYPE_CHECKING:\n{imports}\n__all__{names.rstrip()}\n\n_HOMES = {{\n{places}}}\n{_LOADER}"
    )


def _write_typescript(folder: Path, npm: str, document: dict[str, Any]) -> None:
    source = folder / "short.json"
    source.write_text(json.dumps(document))
    (folder / "package.json").write_text('{"private": true}')
    install = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", *_PACKAGES]
    subprocess.run(install, cwd=folder, check=True)
    modules = folder / "node_modules"
    types = folder / "schema.d.ts"
    subprocess.run(
        [str(modules / ".bin" / "openapi-typescript"), str(source), "-o", str(types)], cwd=folder, check=True
    )
    # An indent of one blank in place of four: half of the file would be blanks.
    lines = (_narrow(line) for line in types.read_text().splitlines())
    (TYPESCRIPT / "schema.d.ts").write_text("\n".join(lines) + "\n")
    for path, name in _COPIED.items():
        text = (modules / path).read_text().partition(_SOURCE_MAP)[0].rstrip()
        text = text.replace("'openapi-typescript-helpers'", '"./openapi-typescript-helpers.js"')
        (VENDOR / name).write_text(text + "\n")
    write_digests()


def write_digests() -> None:
    """Note the SHA-256 of each file that was copied, as `sha256sum --check` reads them."""
    digests = [f"{sha256((VENDOR / name).read_bytes()).hexdigest()}  {name}\n" for name in sorted(_COPIED.values())]
    (VENDOR / DIGESTS).write_text("".join(digests))


def _narrow(line: str) -> str:
    text = line.lstrip(" ")
    return " " * ((len(line) - len(text)) // 4) + text


if __name__ == "__main__":
    sys.exit(main())
