"""Where backups lie: a folder, or a bucket of S3's kind.

base/20261128T233800Z/backup.json   what the backup is; written last, so that a backup without it is none
base/20261128T233800Z/base.tar.gz   the database's files
wal/000000010000000000000007.gz     a segment of the write-ahead log
wal/000000010000000000000008.partial.gz  the one that is being filled, as it was some seconds ago
erased/018f….json                   an organisation that was erased: whoever brings a backup back erases it again
erased_end_users/018f…/5e88….json   the same of one end user of an organisation, who is named by a digest
"""

import gzip
import hashlib
import json
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Final
from uuid import UUID

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError

from costhub.lib.objects import NoSuchStore, StoreUnavailable, open_store

_READ_BYTES: Final = 1024 * 1024
_SHORT: Final = "%Y%m%dT%H%M%SZ"
#: what the write-ahead log's segments are called: timeline and place, 24 hexadecimal digits
SEGMENT_DIGITS: Final = 24
PARTIAL: Final = ".partial"
HISTORY: Final = ".history"


class BackupFailed(Exception):
    """A backup could not be taken, or not be brought back. The message is a sentence for a person."""


@dataclass(frozen=True)
class Backup:
    """One base backup. ``first_segment`` is where replaying begins, ``ended_at`` the first moment to go back to."""

    name: str
    ended_at: datetime
    first_segment: str
    server_version: int
    size: int
    sha256: str


@dataclass(frozen=True)
class ErasedEndUser:
    """That an end user of an organisation was erased, last at ``at``; ``digest`` as ``digest_of_end_user`` makes it."""

    org_id: UUID
    digest: str
    at: datetime


class BackupStore:
    """``file:///folder`` or ``s3://bucket/prefix``; a bucket's region, endpoint and credentials are in AWS's own
    variables. Raises BackupFailed for any other address."""

    def __init__(self, url: str) -> None:
        try:
            self._store = open_store(url)
        except NoSuchStore as error:
            raise BackupFailed(f"COSTHUB_BACKUP_URL: {error}") from error

    # --- the write-ahead log

    def put_segment(self, file: Path) -> None:
        """Keep a segment, or a timeline's history, under its own name. Raises BackupFailed where another database keeps
        its log in the same place, such as a restored one beside the one that it comes from."""
        path, content = f"wal/{file.name}.gz", file.read_bytes()
        packed = gzip.compress(content, 1, mtime=0)
        if file.name.endswith(PARTIAL):
            obstore.put(self._store, path, packed)
            return
        try:
            obstore.put(self._store, path, packed, mode="create")
        except AlreadyExistsError as error:
            # Shipped before, by an archive that died before it could delete its copy.
            if gzip.decompress(obstore.get(self._store, path).bytes()) != content:
                raise BackupFailed(
                    f"There is another segment {file.name} already: another database keeps its log in this place. Give"
                    " each a COSTHUB_BACKUP_URL of its own."
                ) from error

    def has_segment(self, name: str) -> bool:
        """Whether a whole segment of this name is kept."""
        return f"{name}.gz" in self._names("wal")

    def fetch_segments(self, first: str, folder: Path) -> int:
        """Bring every segment from ``first`` on, of whichever timeline, into ``folder``; gives how many."""
        names = [name.removesuffix(".gz") for name in self._names("wal")]
        whole = {name for name in names if not name.endswith(PARTIAL)}
        count = 0
        for name in names:
            plain = name.removesuffix(PARTIAL)
            if not name.endswith(HISTORY) and (plain[8:] < first[8:] or (name != plain and plain in whole)):
                continue
            (folder / plain).write_bytes(gzip.decompress(obstore.get(self._store, f"wal/{name}.gz").bytes()))
            count += 1
        return count

    # --- bases

    def write_base(self, source: IO[bytes], name: str, first_segment: str, server_version: int) -> tuple[int, str]:
        """Keep what ``source`` says as the files of the backup ``name``. Gives its size and SHA-256, compressed."""
        size, digest = 0, hashlib.sha256()
        with obstore.open_writer(self._store, f"base/{name}/base.tar.gz") as target:

            class Counted:
                def write(self, data: bytes) -> int:
                    nonlocal size
                    size += len(data)
                    digest.update(data)
                    target.write(data)
                    return len(data)

                def flush(self) -> None:
                    """Nothing waits here."""

            with gzip.GzipFile(fileobj=Counted(), mode="wb", compresslevel=1, mtime=0) as packed:
                shutil.copyfileobj(source, packed, _READ_BYTES)
        return size, digest.hexdigest()

    def seal(self, backup: Backup) -> None:
        """Say that a backup is whole."""
        obstore.put(
            self._store,
            f"base/{backup.name}/backup.json",
            json.dumps(asdict(backup) | {"ended_at": backup.ended_at.isoformat()}).encode(),
        )

    def list_backups(self) -> list[Backup]:
        """The whole ones, oldest first."""
        names = [path for path in self._names("base") if path.endswith("/backup.json")]
        found = [_parse(obstore.get(self._store, f"base/{path}").bytes()) for path in names]
        return sorted(found, key=lambda backup: backup.ended_at)

    def fetch_base(self, backup: Backup, file: Path) -> None:
        """Bring a backup's files. Raises BackupFailed when they are not what was kept."""
        digest = hashlib.sha256()
        with file.open("wb") as target:
            for part in obstore.get(self._store, f"base/{backup.name}/base.tar.gz"):
                digest.update(part)
                target.write(part)
        if digest.hexdigest() != backup.sha256:
            raise BackupFailed(f"The files of backup {backup.name} are damaged: their SHA-256 is another one.")

    def forget_before(self, oldest: Backup) -> int:
        """Delete the backups before this one and the log that only they need. Gives how many objects went. One that is
        being taken beside is not whole yet, and stays."""
        kept = {backup.name for backup in self.list_backups() if backup.ended_at >= oldest.ended_at}
        names = {path: path.split("/")[0] for path in self._names("base")}
        gone = [f"base/{path}" for path, name in names.items() if name not in kept and name < oldest.name]
        gone += [
            f"wal/{name}"
            for name in self._names("wal")
            if HISTORY not in name and name[8:SEGMENT_DIGITS] < oldest.first_segment[8:]
        ]
        # What says that a backup is whole goes first.
        for path in sorted(gone, key=lambda path: not path.endswith("backup.json")):
            obstore.delete(self._store, path)
        return len(gone)

    # --- who was erased

    def note_erased(self, org_id: UUID, at: datetime) -> None:
        """Note, outside of every backup, that an organisation was erased. Its id says nothing of it. Raises
        StoreUnavailable."""
        self._note(f"erased/{org_id}.json", at)

    def note_erased_end_user(self, org_id: UUID, end_user: str, at: datetime) -> None:
        """The same of one end user of it, whose id may be a name: it is noted as a digest, which tells who it is to
        whoever knows the id already. Raises StoreUnavailable."""
        self._note(f"erased_end_users/{org_id}/{digest_of_end_user(org_id, end_user)}.json", at)

    def _note(self, path: str, at: datetime) -> None:
        try:
            obstore.put(self._store, path, json.dumps({"at": at.isoformat()}).encode())
        except (BaseError, OSError) as error:
            raise StoreUnavailable(
                "The store of backups is in trouble: nothing is erased that a backup would bring back."
            ) from error

    def list_erased(self) -> list[UUID]:
        """The organisations that were erased, whenever it was. Raises BackupFailed where that cannot be read."""
        with _journal_read():
            return [UUID(name.removesuffix(".json")) for name in self._names("erased")]

    def list_erased_end_users(self) -> list[ErasedEndUser]:
        """The end users that were erased, whenever it was. Raises BackupFailed where that cannot be read."""
        found = []
        with _journal_read():
            for name in self._names("erased_end_users"):
                noted = json.loads(bytes(obstore.get(self._store, f"erased_end_users/{name}").bytes()))
                org_id, _, digest = name.removesuffix(".json").partition("/")
                found.append(ErasedEndUser(UUID(org_id), digest, datetime.fromisoformat(noted["at"])))
        return found

    def _names(self, folder: str) -> list[str]:
        found: Iterable[Any] = (entry for entries in obstore.list(self._store, folder) for entry in entries)
        return sorted(entry["path"].removeprefix(f"{folder}/") for entry in found)


@contextmanager
def _journal_read() -> Iterator[None]:
    try:
        yield
    except (BaseError, ValueError, KeyError, TypeError) as error:
        raise BackupFailed(
            "Who was erased cannot be read beside the backups: the store is in trouble, or erased/ or erased_end_users/ "
            f"has a file that is none of ours. {error}"
        ) from error


def digest_of_end_user(org_id: UUID, end_user: str) -> str:
    """Who an end user is, to whoever knows their id. Two organisations' of the same id have not the same."""
    return hashlib.sha256(f"{org_id}\n{end_user}".encode("utf-8", "surrogatepass")).hexdigest()


def name_of(moment: datetime) -> str:
    """What a backup that begins at ``moment`` is called."""
    return moment.astimezone(UTC).strftime(_SHORT)


def _parse(raw: Any) -> Backup:
    found = json.loads(bytes(raw))
    return Backup(**{**found, "ended_at": datetime.fromisoformat(found["ended_at"])})
