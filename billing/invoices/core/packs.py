"""A month's papers as one archive, with a manifest that says what is in it and is signed. Pure: the same papers make
the same bytes."""

import base64
import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

MANIFEST: Final = "manifest.json"
SIGNATURE: Final = "manifest.sig"
#: the earliest moment that a ZIP file knows
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
_READABLE: Final = 0o644 << 16
#: a pack that could not be delivered is made and sent again after so long, and once that has gone on for so long, daily
_AGAIN_AFTER: Final = timedelta(hours=1)
_HOURLY_FOR: Final = timedelta(days=2)
_LATER_AFTER: Final = timedelta(days=1)


def is_due(now: datetime, since: datetime, tried_at: datetime | None) -> bool:
    """Whether a pack that is owed since a moment is to be delivered: at once, after a failure an hour later, and after
    two days of them once a day."""
    return tried_at is None or now - tried_at >= (_AGAIN_AFTER if now - since < _HOURLY_FOR else _LATER_AFTER)


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
