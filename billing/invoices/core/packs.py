"""A month's papers as one archive, with a manifest that says what is in it and is signed. Pure: the same papers make
the same bytes."""

import base64
import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Mapping
from typing import Any, Final

MANIFEST: Final = "manifest.json"
SIGNATURE: Final = "manifest.sig"
#: the earliest moment that a ZIP file knows
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
_READABLE: Final = 0o644 << 16


def describe_files(files: Mapping[str, bytes]) -> dict[str, dict[str, Any]]:
    """SHA-256 and size by name."""
    return {
        name: {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
        for name, content in sorted(files.items())
    }


def make_archive(files: Mapping[str, bytes], facts: Mapping[str, Any], sign: Callable[[bytes], bytes]) -> bytes:
    """The archive: the files, the manifest (the facts, and a digest of each file), and the signature of the manifest's
    bytes in base 64."""
    manifest = json.dumps({**facts, "files": describe_files(files)}, indent=2, sort_keys=True).encode()
    signature = base64.b64encode(sign(manifest)) + b"\n"
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in [*sorted(files.items()), (MANIFEST, manifest), (SIGNATURE, signature)]:
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.external_attr, entry.compress_type, entry.create_system = _READABLE, zipfile.ZIP_DEFLATED, 3
            archive.writestr(entry, content)
    return out.getvalue()
