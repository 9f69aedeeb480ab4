"""What people said, sealed in the rows that keep it: with the organisation's data key, each for its own row.

Whoever has the database, or a backup of it, and not the master key reads none of it, and nobody reads any of an
organisation that was erased: processes let go of its key when they hear of that (``open_keys``). Rows from before they
were sealed are read as they are.
"""

from base64 import b64decode, b64encode
from dataclasses import dataclass
from typing import ClassVar, Final, NamedTuple
from uuid import UUID

from django.conf import settings
from django.db import connection

from costhub.lib import secrets
from tenants.access import run_in_org
from tenants.open_keys import OPEN_KEYS

#: what sealed content begins with, and neither JSON nor what zlib has compressed does
_SEALED: Final = b"\x01"
#: and what sealed text does, where a column holds text: a character that nobody types
SEALED_TEXT: Final = "\x01"
_DATA_KEY: Final = "SELECT data_key FROM tenants_organization WHERE id = %s"


@dataclass(frozen=True, slots=True)
class OpenSealer:
    """A ``Sealer`` whose key is open."""

    key: secrets.ContentKey
    #: so many bytes longer is what is sealed
    ROOM: ClassVar[int] = len(_SEALED) + secrets.ContentKey.ROOM

    def seal(self, place: str, content: bytes) -> bytes:
        """What ``Sealer.seal`` makes."""
        return _SEALED + self.key.seal(place, content)

    def open(self, place: str, content: bytes) -> bytes:
        """What ``Sealer.open`` gives. Raises UnusableCredential."""
        return self.key.open(place, content[len(_SEALED) :]) if content.startswith(_SEALED) else content

    def seal_text(self, place: str, text: str) -> str:
        """What ``Sealer.seal_text`` makes."""
        return SEALED_TEXT + b64encode(self.key.seal(place, text.encode())).decode()

    def open_text(self, place: str, text: str) -> str:
        """What ``Sealer.open_text`` gives. Raises UnusableCredential."""
        if not text.startswith(SEALED_TEXT):
            return text
        try:
            sealed = b64decode(text[len(SEALED_TEXT) :], validate=True)
        except ValueError as error:
            raise secrets.UnusableCredential("What was sealed cannot be read.") from error
        return self.key.open(place, sealed).decode()


class Sealer(NamedTuple):
    """One organisation's."""

    org_id: str
    data_key: bytes

    def seal(self, place: str, content: bytes) -> bytes:
        """Seal content for one place, such as a row's name: nowhere else does it open. Raises UnusableCredential."""
        return self.keep_open().seal(place, content)

    def open(self, place: str, content: bytes) -> bytes:
        """What was sealed for that place; what was not sealed stays as it is. Raises UnusableCredential."""
        return self.keep_open().open(place, content) if content.startswith(_SEALED) else content

    def seal_text(self, place: str, text: str) -> str:
        """``seal`` for a column of text: base 64, a third longer. Raises UnusableCredential."""
        return self.keep_open().seal_text(place, text)

    def open_text(self, place: str, text: str) -> str:
        """``open`` for a column of text. Raises UnusableCredential."""
        return self.keep_open().open_text(place, text) if text.startswith(SEALED_TEXT) else text

    def keep_open(self) -> OpenSealer:
        """The same with its key open. Raises UnusableCredential."""
        return OpenSealer(OPEN_KEYS.find(settings.MASTER_KEYS, self.org_id, self.data_key))


def find_sealer(org_id: UUID | str) -> Sealer:
    """That of an organisation that is open."""
    with connection.cursor() as cursor:
        cursor.execute(_DATA_KEY, [org_id])
        return Sealer(str(org_id), bytes(cursor.fetchone()[0]))


def open_sealer(org_id: UUID | str) -> OpenSealer:
    """That of an organisation that is not open, in one round trip: for what is done thousands of times. Raises
    UnusableCredential for a key that does not open, and ValueError for an organisation that is gone."""
    ((data_key,),) = run_in_org(org_id, _DATA_KEY, [org_id])
    return Sealer(str(org_id), bytes(data_key)).keep_open()
