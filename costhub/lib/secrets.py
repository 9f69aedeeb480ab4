"""Secrets: the form of keys, how they are stored, and envelope encryption of tenants' credentials.

A key is ``<kind>_<32 random characters><6 characters of CRC-32>``, both in base 62: the checksum refuses a mistyped or
truncated key before anything is looked up (the idea is GitHub's). Only its HMAC-SHA256 under the installation's pepper
is stored.

Credentials are sealed with AES-256-GCM under a data key of their organisation, which is itself sealed under the
installation's master key. The associated data names the organisation and the origin that the credential is for, so a
row copied to another tenant, or to another URL, does not open.

The master key changes without a stop (docs/security.md): the new one seals, the former ones still open, until
everything is sealed anew and the former ones are taken away.
"""

import base64
import hashlib
import secrets
import zlib
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from costhub.lib.errors import AppError

_ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_RANDOM_CHARACTERS: Final = 32
_CHECKSUM_CHARACTERS: Final = 6
_NONCE_BYTES: Final = 12
_KEY_BYTES: Final = 32
_NOT_HERE: Final = "The stored credential does not belong here: enter it again."
#: of SHA-256, and what HMAC does to each byte of a key for its two hashes (RFC 2104)
_BLOCK_BYTES: Final = 64
_INNER: Final = bytes(byte ^ 0x36 for byte in range(256))
_OUTER: Final = bytes(byte ^ 0x5C for byte in range(256))
PREFIX_CHARACTERS: Final = 12

API_KEY: Final = "chk"
ADMIN_TOKEN: Final = "cha"  # noqa: S105 - the kind's name, not a secret
PLATFORM_TOKEN: Final = "chp"  # noqa: S105
INVITATION: Final = "chi"


class UnusableCredential(AppError):
    """A sealed value does not open: it was moved to another organisation or origin, or the master key changed."""

    code = "credential_unusable"
    http_status = 409


@dataclass(frozen=True, slots=True, repr=False)
class MasterKeys:
    """The installation's master key, 32 bytes, which seals; and the ``former`` ones, which still open."""

    current: bytes
    former: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class NewSecret:
    """A secret that was just made: the only moment at which ``text`` exists."""

    text: str
    prefix: str
    digest: bytes


def make_secret(kind: str, pepper: bytes) -> NewSecret:
    """Make a key or token of ``kind`` (API_KEY, ADMIN_TOKEN, PLATFORM_TOKEN or INVITATION)."""
    random = "".join(secrets.choice(_ALPHABET) for _ in range(_RANDOM_CHARACTERS))
    text = f"{kind}_{random}{_checksum(random)}"
    return NewSecret(text, text[:PREFIX_CHARACTERS], digest_of(text, pepper))


def is_well_formed(text: str, kind: str) -> bool:
    """Whether ``text`` could be a secret of ``kind``: its form and its checksum."""
    start = len(kind) + 1
    if len(text) != start + _RANDOM_CHARACTERS + _CHECKSUM_CHARACTERS or not text.startswith(kind + "_"):
        return False
    random = text[start:-_CHECKSUM_CHARACTERS]
    return random.isascii() and random.isalnum() and text[-_CHECKSUM_CHARACTERS:] == _checksum(random)


def digest_of(text: str, pepper: bytes) -> bytes:
    """The 32 bytes under which a secret is stored and looked up."""
    begun_inner, begun_outer = _begin_hmac(pepper)
    inner, outer = begun_inner.copy(), begun_outer.copy()
    inner.update(text.encode())
    outer.update(inner.digest())
    return outer.digest()


@lru_cache(maxsize=8)
def _begin_hmac(pepper: bytes) -> "tuple[hashlib._Hash, hashlib._Hash]":
    """The inner and the outer hash of HMAC-SHA256 (RFC 2104) with the key in them: every call asks, and ``hmac`` puts
    it in each time, which takes twice as long as the rest."""
    key = hashlib.sha256(pepper).digest() if len(pepper) > _BLOCK_BYTES else pepper
    block = key.ljust(_BLOCK_BYTES, b"\0")
    return hashlib.sha256(block.translate(_INNER)), hashlib.sha256(block.translate(_OUTER))


def make_data_key(master_keys: MasterKeys, org_id: str) -> bytes:
    """A new data key for an organisation, sealed under the master key."""
    return _seal(master_keys.current, AESGCM.generate_key(256), _data_key_of(org_id))


def reseal_data_key(master_keys: MasterKeys, data_key: bytes, org_id: str) -> bytes | None:
    """The same data key sealed under the current master key; None where it is already. Raises UnusableCredential."""
    return _reseal(master_keys, data_key, _data_key_of(org_id))


def seal(master_keys: MasterKeys, data_key: bytes, *, org_id: str, origin: str, text: str) -> bytes:
    """Seal a credential for one organisation and one origin."""
    return seal_content(master_keys, data_key, org_id=org_id, origin=origin, content=text.encode())


def unseal(master_keys: MasterKeys, data_key: bytes, *, org_id: str, origin: str, sealed: bytes) -> str:
    """Open what ``seal`` made. Raises UnusableCredential if the organisation, the origin or a byte differs."""
    return open_content(master_keys, data_key, org_id=org_id, origin=origin, sealed=sealed).decode()


def seal_content(master_keys: MasterKeys, data_key: bytes, *, org_id: str, origin: str, content: bytes) -> bytes:
    """``seal`` for bytes."""
    return ContentKey(master_keys, data_key, org_id).seal(origin, content)


def open_content(master_keys: MasterKeys, data_key: bytes, *, org_id: str, origin: str, sealed: bytes) -> bytes:
    """Open what ``seal_content`` made. Raises what ``unseal`` does."""
    try:
        return ContentKey(master_keys, data_key, org_id).open(origin, sealed)
    except UnusableCredential as error:
        raise UnusableCredential(_NOT_HERE) from error


class ContentKey:
    """An organisation's data key, opened: for whoever seals or opens much with it. When the last who has it lets go of
    it, it is in this process's memory no more: OpenSSL wipes what it frees, and Python never had it as bytes."""

    #: so many bytes longer is what is sealed
    ROOM: ClassVar = _NONCE_BYTES + 16

    def __init__(self, master_keys: MasterKeys, data_key: bytes, org_id: str) -> None:
        """Raises UnusableCredential."""
        self._cipher = _open_cipher(master_keys, data_key, _data_key_of(org_id))
        self._org_id = org_id

    def seal(self, origin: str, content: bytes) -> bytes:
        """What ``seal_content`` makes."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, content, _bound_to(self._org_id, origin).encode())

    def open(self, origin: str, sealed: bytes) -> bytes:
        """What ``open_content`` gives. Raises UnusableCredential if the organisation, the origin or a byte differs."""
        bound_to = _bound_to(self._org_id, origin).encode()
        try:
            return self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], bound_to)
        except (InvalidTag, ValueError) as error:
            raise UnusableCredential("What was sealed does not belong here.") from error


def seal_own(master_keys: MasterKeys, origin: str, text: str) -> str:
    """Seal a secret that belongs to no organisation, as printable text."""
    return base64.b64encode(_seal(master_keys.current, text.encode(), _own(origin))).decode()


def open_own(master_keys: MasterKeys, origin: str, sealed: str) -> str:
    """Open what ``seal_own`` made. Raises UnusableCredential if the origin, the master key or a byte differs."""
    return _open_with_any(master_keys, _from_text(sealed), _own(origin)).decode()


def reseal_own(master_keys: MasterKeys, origin: str, sealed: str) -> str | None:
    """The same secret sealed under the current master key; None where it is already. Raises UnusableCredential."""
    new = _reseal(master_keys, _from_text(sealed), _own(origin))
    return None if new is None else base64.b64encode(new).decode()


def fingerprint(text: str) -> str:
    """Eight hexadecimal digits that tell two values apart in a log without showing either."""
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _bound_to(org_id: str, origin: str) -> str:
    return f"costhub:credential:{org_id}:{origin}"


def _data_key_of(org_id: str) -> str:
    return f"costhub:data-key:{org_id}"


def _own(origin: str) -> str:
    return f"costhub:own:{origin}"


def _from_text(sealed: str) -> bytes:
    try:
        return base64.b64decode(sealed, validate=True)
    except ValueError as error:
        raise UnusableCredential("The stored secret cannot be read: set it up again.") from error


def _open_cipher(master_keys: MasterKeys, sealed: bytes, bound_to: str) -> AESGCM:
    """What a sealed key seals and opens with. The key itself is written over before anybody sees it."""
    key = bytearray(_KEY_BYTES)
    nonce, encrypted = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
    for master_key in (master_keys.current, *master_keys.former):
        with suppress(InvalidTag, ValueError):
            AESGCM(master_key).decrypt_into(nonce, encrypted, bound_to.encode(), key)
            cipher = AESGCM(key)
            key[:] = bytes(_KEY_BYTES)
            return cipher
    raise UnusableCredential(_NOT_HERE)


def _open_with_any(master_keys: MasterKeys, sealed: bytes, bound_to: str) -> bytes:
    *others, last = (master_keys.current, *master_keys.former)
    for key in others:
        with suppress(UnusableCredential):
            return _open(key, sealed, bound_to)
    return _open(last, sealed, bound_to)


def _reseal(master_keys: MasterKeys, sealed: bytes, bound_to: str) -> bytes | None:
    with suppress(UnusableCredential):
        _open(master_keys.current, sealed, bound_to)
        return None
    return _seal(master_keys.current, _open_with_any(master_keys, sealed, bound_to), bound_to)


def _seal(key: bytes, plain: bytes, bound_to: str) -> bytes:
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, plain, bound_to.encode())


def _open(key: bytes, sealed: bytes, bound_to: str) -> bytes:
    try:
        return AESGCM(key).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], bound_to.encode())
    except (InvalidTag, ValueError) as error:
        raise UnusableCredential(_NOT_HERE) from error


def _checksum(text: str) -> str:
    value, digits = zlib.crc32(text.encode()), ""
    for _ in range(_CHECKSUM_CHARACTERS):
        value, digit = divmod(value, len(_ALPHABET))
        digits = _ALPHABET[digit] + digits
    return digits


def signing_key(master_keys: MasterKeys, purpose: str) -> Ed25519PrivateKey:
    """The installation's key to sign with for one purpose, made from the master key (HKDF-SHA256): it is kept nowhere,
    and the same as long as that is."""
    seed = HKDF(hashes.SHA256(), 32, salt=None, info=f"costhub:sign:{purpose}".encode()).derive(master_keys.current)
    return Ed25519PrivateKey.from_private_bytes(seed)
