"""Where backups lie: a folder, or a bucket of S3's kind.

owner.json                          which database's log this is: whoever comes second is refused
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
import os
import shutil
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Final
from uuid import UUID

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import LocalStore

from costhub.lib.objects import NoSuchStore, StoreUnavailable, claim, open_store

_READ_BYTES: Final = 1024 * 1024
_SHORT: Final = "%Y%m%dT%H%M%SZ"
#: what the write-ahead log's segments are called: timeline and place, 24 hexadecimal digits
SEGMENT_DIGITS: Final = 24
TIMELINE_DIGITS: Final = 8
PARTIAL: Final = ".partial"
HISTORY: Final = ".history"


class BackupFailed(Exception):
    """A backup could not be taken, or not be brought back. The message is a sentence for a person."""


class StoreInTrouble(BackupFailed):
    """The folder or bucket does not take or give what it should, at the moment."""


@contextmanager
def _in_reach() -> Iterator[None]:
    try:
        yield
    except (BaseError, OSError) as error:
        said = next(filter(None, map(str.strip, str(error).splitlines())), type(error).__name__)
        raise StoreInTrouble(
            "The store of backups is in trouble: look at its address, its rights and the network, and try again. It "
            f"says: {said}"
        ) from error


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
class Log:
    """What is kept of the write-ahead log from a segment on: the names of those that follow one another without a gap,
    the first that is ``missing`` where others come ``later``, and the first of these."""

    names: tuple[str, ...]
    missing: str | None = None
    later: str | None = None


@dataclass(frozen=True)
class ErasedEndUser:
    """That an end user of an organisation was erased, last at ``at``; ``digest`` as ``digest_of_end_user`` makes it."""

    org_id: UUID
    digest: str
    at: datetime


class BackupStore:
    """``file:///folder`` or ``s3://bucket/prefix``; a bucket's region, endpoint and credentials are in AWS's own
    variables. Raises BackupFailed for any other address."""

    @_in_reach()
    def __init__(self, url: str) -> None:
        try:
            self._store = open_store(url)
        except NoSuchStore as error:
            raise BackupFailed(f"COSTHUB_BACKUP_URL: {error}") from error

    def settle(self) -> None:
        """Return when what was put survives a power cut: a folder has it in the kernel's memory at first. Whoever
        deletes what it was copied from asks for this before."""
        if isinstance(self._store, LocalStore):
            os.sync()

    @_in_reach()
    def claim(self, owner: str) -> None:
        """Let nobody but ``owner`` keep a log here, from the first time on. Raises BackupFailed where it is another
        one's, such as that of the database from which this one was restored: the names of their segments differ, and a
        restore could tell whose is whose no more."""
        if not claim(self._store, "owner.json", owner):
            raise BackupFailed(
                "Another database keeps its backups in this place, such as the one from which this one was restored."
                " Give each a COSTHUB_BACKUP_URL of its own."
            )

    # --- the write-ahead log

    @_in_reach()
    def put_segment(self, name: str, content: bytes) -> None:
        """Keep a segment, or a timeline's history. Raises BackupFailed where another database keeps its log in the same
        place, such as a restored one beside the one that it comes from."""
        path, packed = f"wal/{name}.gz", gzip.compress(content, 1, mtime=0)
        if name.endswith(PARTIAL):
            obstore.put(self._store, path, packed)
            return
        try:
            obstore.put(self._store, path, packed, mode="create")
        except AlreadyExistsError as error:
            # Shipped before, by an archive that died before it could delete its copy.
            kept = _unpack_whole(bytes(obstore.get(self._store, path).bytes()))
            if kept is None:
                obstore.put(self._store, path, packed)
            elif kept != content:
                raise BackupFailed(
                    f"There is another segment {name} already: another database keeps its log in this place. Give"
                    " each a COSTHUB_BACKUP_URL of its own."
                ) from error

    @_in_reach()
    def has_segment(self, name: str) -> bool:
        """Whether a whole segment of this name is kept."""
        return f"{name}.gz" in self._names("wal")

    @_in_reach()
    def list_log(self, first: str) -> Log:
        """What is kept of the log from ``first`` on, of its timeline."""
        names = [name.removesuffix(".gz") for name in self._names("wal")]
        timeline = [name for name in names if name[:TIMELINE_DIGITS] == first[:TIMELINE_DIGITS]]
        # Backwards: a whole one comes after what it was while it was being filled.
        kept = {name[:SEGMENT_DIGITS]: name for name in reversed(timeline) if HISTORY not in name and name >= first}
        run, due = list[str](), first
        while due in kept and not (run and run[-1].endswith(PARTIAL)):
            run.append(kept[due])
            due = next_segment(due)
        later = sorted(kept.keys() - {name[:SEGMENT_DIGITS] for name in run})
        if not later and run:
            return Log(tuple(run))
        # What was being filled when the log broke off never became whole.
        missing = run[-1][:SEGMENT_DIGITS] if run and run[-1].endswith(PARTIAL) else due
        return Log(tuple(run), missing, later[0] if later else None)

    @_in_reach()
    def fetch_segment(self, name: str, folder: Path) -> Path:
        """Bring a segment, or a timeline's history, into ``folder``; one that was being filled by its whole name."""
        file = folder / name.removesuffix(PARTIAL)
        file.write_bytes(gzip.decompress(obstore.get(self._store, f"wal/{name}.gz").bytes()))
        return file

    @_in_reach()
    def list_histories(self) -> list[str]:
        """The histories of timelines that are kept."""
        return [name.removesuffix(".gz") for name in self._names("wal") if HISTORY in name]

    # --- bases

    @_in_reach()
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

    @_in_reach()
    def seal(self, backup: Backup) -> None:
        """Say that a backup is whole, once it is there for good: older ones may go then."""
        self.settle()
        obstore.put(
            self._store,
            f"base/{backup.name}/backup.json",
            json.dumps(asdict(backup) | {"ended_at": backup.ended_at.isoformat()}).encode(),
        )
        self.settle()

    @_in_reach()
    def list_backups(self) -> list[Backup]:
        """The whole ones, oldest first."""
        names = [path for path in self._names("base") if path.endswith("/backup.json")]
        found = [_parse(obstore.get(self._store, f"base/{path}").bytes()) for path in names]
        return sorted(found, key=lambda backup: backup.ended_at)

    @_in_reach()
    def fetch_base(self, backup: Backup, file: Path) -> None:
        """Bring a backup's files. Raises BackupFailed when they are not what was kept."""
        digest = hashlib.sha256()
        with file.open("wb") as target:
            for part in obstore.get(self._store, f"base/{backup.name}/base.tar.gz"):
                digest.update(part)
                target.write(part)
        if digest.hexdigest() != backup.sha256:
            raise BackupFailed(f"The files of backup {backup.name} are damaged: their SHA-256 is another one.")

    @_in_reach()
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
            self.settle()
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


def _unpack_whole(packed: bytes) -> bytes | None:
    """What was packed; None of what a power cut has left of it, which may be nothing."""
    try:
        return gzip.decompress(packed) if packed else None
    except (EOFError, gzip.BadGzipFile, zlib.error):
        return None


def digest_of_end_user(org_id: UUID, end_user: str) -> str:
    """Who an end user is, to whoever knows their id. Two organisations' of the same id have not the same."""
    return hashlib.sha256(f"{org_id}\n{end_user}".encode("utf-8", "surrogatepass")).hexdigest()


def next_segment(name: str) -> str:
    """The name of the segment behind one, of the same timeline."""
    # A log's file has 4 GiB: 256 segments of 16 MiB.
    number = int(name[8:16], 16) * 256 + int(name[16:], 16) + 1
    return f"{name[:TIMELINE_DIGITS]}{number // 256:08X}{number % 256:08X}"


def name_of(moment: datetime) -> str:
    """What a backup that begins at ``moment`` is called."""
    return moment.astimezone(UTC).strftime(_SHORT)


def _parse(raw: Any) -> Backup:
    found = json.loads(bytes(raw))
    return Backup(**{**found, "ended_at": datetime.fromisoformat(found["ended_at"])})
