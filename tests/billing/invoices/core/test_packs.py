"""A month's archive: the same bytes, and a manifest that a stranger can verify."""

import base64
import hashlib
import io
import json
import zipfile

import pytest
from cryptography.exceptions import InvalidSignature

from billing.invoices.core.packs import MANIFEST, SIGNATURE, make_archive
from costhub.lib.secrets import MasterKeys, signing_key

FILES = {"focus.csv": b"a,b\n", "invoices/A-1.pdf": b"%PDF"}
KEY = signing_key(MasterKeys(b"k" * 32), "finance packs")


def read(archive: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        assert opened.testzip() is None
        return {name: opened.read(name) for name in opened.namelist()}


def test_the_manifest_says_what_is_in_it() -> None:
    found = read(make_archive(FILES, {"month": "2026-10"}, KEY.sign))
    manifest = json.loads(found[MANIFEST])
    assert manifest["month"] == "2026-10"
    assert {name: entry["sha256"] for name, entry in manifest["files"].items()} == {
        name: hashlib.sha256(found[name]).hexdigest() for name in FILES
    }


def test_it_is_the_same_bytes_again() -> None:
    first, second = (make_archive(dict(reversed(FILES.items())), {"b": 1, "a": 2}, KEY.sign) for _ in range(2))
    assert first == second == make_archive(FILES, {"a": 2, "b": 1}, KEY.sign)


def test_the_signature_is_of_this_manifest_and_key() -> None:
    found = read(make_archive(FILES, {}, KEY.sign))
    signature = base64.b64decode(found[SIGNATURE])
    KEY.public_key().verify(signature, found[MANIFEST])
    for key, manifest in ((signing_key(MasterKeys(b"k" * 32), "else"), found[MANIFEST]), (KEY, found[MANIFEST] + b" ")):
        with pytest.raises(InvalidSignature):
            key.public_key().verify(signature, manifest)
