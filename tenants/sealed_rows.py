"""What people said, sealed in the rows that keep it: with the organisation's data key, each for its own row.

Whoever has the database, or a backup of it, and not the master key reads none of it, and nobody reads any of an
organisation that was erased, but for whoever has a copy of it and the memory of a process that had opened its key and
runs on. Rows from before they were sealed are read as they are.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, Final, NamedTuple
from uuid import UUID

from django.conf import settings
from django.db import connection

from costhub.lib import secrets

#: what sealed content begins with, and neither JSON nor what zlib has compressed does
_SEALED: Final = b"\x01"


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

    def keep_open(self) -> OpenSealer:
        """The same with its key open. Raises UnusableCredential."""
        return _open(settings.MASTER_KEYS, self.org_id, self.data_key)


#: As many as a process may meet within some minutes: opening a key takes twice as long as sealing two kilobytes with
#: it. One of an organisation that was erased opens what was sealed before for nobody: who it is asked for has another.
#: It stays in memory until others take its place or the process restarts.
@lru_cache(maxsize=1_024)
def _open(master_keys: secrets.MasterKeys, org_id: str, data_key: bytes) -> OpenSealer:
    return OpenSealer(secrets.ContentKey(master_keys, data_key, org_id))


def find_sealer(org_id: UUID | str) -> Sealer:
    """That of an organisation that is open."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT data_key FROM tenants_organization WHERE id = %s", [org_id])
        return Sealer(str(org_id), bytes(cursor.fetchone()[0]))
