"""Checkpoints of a training job in an object store: whole or not there, and one worker's alone.

A checkpoint is its parts and then a manifest that names them with their SHA-256. Manifests are numbered, and each
number can be written once (a conditional put: ``If-None-Match: *`` on S3), so they are a log with one writer at a time.
Each worker has a fencing token, higher than that of whoever had the job before, and begins by writing a manifest with
it: from then on a worker that was thought to be dead finds its next number taken by a higher token, and stops (the idea
is that of Kleppmann's fencing tokens, and of table formats' logs on S3). What is torn, because its writer died or a
part was lost, is passed over for the one before.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final
from uuid import uuid4

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import LocalStore, MemoryStore, S3Store

from costhub.lib import objects

Store = LocalStore | MemoryStore | S3Store

#: whole checkpoints that are kept
KEPT: Final = 3
_JOBS: Final = "jobs"
_DIGITS: Final = 10


class Fenced(Exception):
    """Another worker has the job now: nothing more may be written."""


class StoreFailed(Exception):
    """The object store does not take or give what it should. The message says what."""


@dataclass(frozen=True, slots=True)
class Part:
    """A named piece of a checkpoint."""

    name: str
    key: str
    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """One entry of the log. ``parts`` are empty where a worker began and there was nothing yet; ``writer`` tells two
    writes of one number apart."""

    number: int
    fence: int
    step: int
    writer: str
    parts: tuple[Part, ...] = ()

    def dump(self) -> bytes:
        """As it is stored."""
        return json.dumps(asdict(self), sort_keys=True).encode()

    @classmethod
    def load(cls, raw: bytes) -> "Manifest":
        """What ``dump`` wrote. Raises ValueError, TypeError or KeyError for anything else."""
        found: dict[str, Any] = json.loads(raw)
        return cls(**(found | {"parts": tuple(Part(**part) for part in found["parts"])}))


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What was read back, every part as it was written."""

    step: int
    parts: Mapping[str, bytes]


def open_store(url: str) -> Store:
    """The store of an operator's URL. Raises StoreFailed for what is none."""
    try:
        return objects.open_store(url)
    except objects.NoSuchStore as error:
        raise StoreFailed(f"COSTHUB_CHECKPOINTS_URL: {error}") from error


def list_jobs(store: Store) -> list[str]:
    """The jobs of which something is kept. Raises StoreFailed."""
    # By their files: a folder that is empty stays where it was.
    return sorted({key.split("/")[1] for key in _list(store, _JOBS)})


class Checkpoints:
    """One job's, as one worker with its fencing token sees them. Blocks; not for several threads at once."""

    def __init__(self, store: Store, job: str, fence: int, kept: int = KEPT) -> None:
        self._store = store
        self._root = f"{_JOBS}/{job}"
        self._fence = fence
        self._kept = kept
        self._number = 0

    def take_over(self) -> None:
        """Become the only writer. Raises Fenced where a higher token has been here already, and StoreFailed."""
        newest = self._read_newest()
        parts, step = (newest.parts, newest.step) if newest is not None else ((), -1)
        self._append(step, parts)

    def save(self, step: int, parts: Mapping[str, bytes]) -> None:
        """Write a checkpoint: the parts, then the manifest. Raises Fenced and StoreFailed; then it is not there."""
        written = []
        for name, content in parts.items():
            key = f"{self._root}/parts/{self._fence:06d}-{step:012d}-{name}"
            self._put(key, content)
            written.append(Part(name, key, hashlib.sha256(content).hexdigest(), len(content)))
        self._append(step, tuple(written))
        self._prune()

    def load(self) -> Checkpoint | None:
        """The newest checkpoint that is whole; None where there is none. Raises StoreFailed where the store is away."""
        for number in reversed(self._list_numbers()):
            manifest = self._read(number)
            if manifest is None or not manifest.parts:
                continue
            parts = {part.name: content for part in manifest.parts if (content := self._read_part(part)) is not None}
            if len(parts) == len(manifest.parts):
                return Checkpoint(manifest.step, parts)
        return None

    def keep(self, name: str, content: bytes) -> None:
        """Keep something that every worker of the job needs and none changes. Raises StoreFailed."""
        self._put(f"{self._root}/shared/{name}", hashlib.sha256(content).digest() + content)

    def find(self, name: str) -> bytes | None:
        """What ``keep`` kept, if it is there and whole. Raises StoreFailed."""
        raw = self._get(f"{self._root}/shared/{name}")
        if raw is None or hashlib.sha256(raw[32:]).digest() != raw[:32]:
            return None
        return raw[32:]

    def forget(self) -> int:
        """Delete all of the job's; gives how many objects there were. Raises StoreFailed."""
        keys = _list(self._store, self._root)
        self._delete(keys)
        return len(keys)

    def _append(self, step: int, parts: tuple[Part, ...]) -> None:
        """Write the next manifest, behind whatever is there."""
        writer = uuid4().hex
        while True:
            manifest = Manifest(self._number + 1, self._fence, step, writer, parts)
            key = self._manifest_key(manifest.number)
            try:
                obstore.put(self._store, key, manifest.dump(), mode="create")
            except AlreadyExistsError:
                other = self._read(manifest.number)
                # Our own, whose answer was lost on the way.
                if other != manifest:
                    self._check_fence(self._read_newest())
                    continue
            except (BaseError, OSError) as error:
                raise StoreFailed(f"The manifest could not be written: {_first_line(error)}") from error
            self._number = manifest.number
            # A number that was free because its entry was deleted says nothing: only the newest counts.
            self._check_fence(self._read_newest())
            return

    def _check_fence(self, newest: Manifest | None) -> None:
        if newest is None:
            return
        if newest.fence > self._fence:
            raise Fenced(f"Worker {newest.fence} has taken over from {self._fence}.")
        self._number = max(self._number, newest.number)

    def _read_newest(self) -> Manifest | None:
        numbers = self._list_numbers()
        # One that cannot be read has its number all the same.
        self._number = max(self._number, *numbers, 0)
        for number in reversed(numbers):
            manifest = self._read(number)
            if manifest is not None:
                if manifest.fence > self._fence:
                    raise Fenced(f"Worker {manifest.fence} has taken over from {self._fence}.")
                return manifest
        return None

    def _prune(self) -> None:
        """Delete what is older than the checkpoints that are kept. What fails is deleted by the next one."""
        numbers = self._list_numbers()
        manifests = {number: self._read(number) for number in numbers}
        whole = [number for number, manifest in manifests.items() if manifest is not None and manifest.parts]
        steps = sorted({manifest.step for number in whole if (manifest := manifests[number]) is not None})
        kept_steps = set(steps[-self._kept :])
        newest = max(numbers, default=0)
        gone = [
            number
            for number, manifest in manifests.items()
            if number != newest and (manifest is None or manifest.step not in kept_steps)
        ]
        needed = {
            part.key
            for number, manifest in manifests.items()
            if manifest is not None and number not in gone
            for part in manifest.parts
        }
        parts = [key for key in _list(self._store, f"{self._root}/parts") if key not in needed]
        # Parts of a step that is being written belong to nobody else: there is one writer.
        self._delete([self._manifest_key(number) for number in gone] + parts)

    def _manifest_key(self, number: int) -> str:
        return f"{self._root}/manifests/{number:0{_DIGITS}d}.json"

    def _list_numbers(self) -> list[int]:
        names = [key.rsplit("/", 1)[1].removesuffix(".json") for key in _list(self._store, f"{self._root}/manifests")]
        return sorted(int(name) for name in names if name.isdecimal())

    def _read(self, number: int) -> Manifest | None:
        raw = self._get(self._manifest_key(number))
        try:
            return None if raw is None else Manifest.load(raw)
        except (ValueError, TypeError, KeyError):
            return None

    def _read_part(self, part: Part) -> bytes | None:
        content = self._get(part.key)
        if content is None or hashlib.sha256(content).hexdigest() != part.sha256:
            return None
        return content

    def _put(self, key: str, content: bytes) -> None:
        try:
            obstore.put(self._store, key, content)
        except (BaseError, OSError) as error:
            raise StoreFailed(f"{key} could not be written: {_first_line(error)}") from error

    def _get(self, key: str) -> bytes | None:
        try:
            return bytes(obstore.get(self._store, key).bytes())
        except FileNotFoundError:
            return None
        except (BaseError, OSError) as error:
            raise StoreFailed(f"{key} could not be read: {_first_line(error)}") from error

    def _delete(self, keys: list[str]) -> None:
        for key in keys:
            try:
                obstore.delete(self._store, key)
            except FileNotFoundError:
                continue
            except (BaseError, OSError) as error:
                raise StoreFailed(f"{key} could not be deleted: {_first_line(error)}") from error


def _list(store: Store, prefix: str) -> list[str]:
    try:
        return [str(item["path"]) for batch in obstore.list(store, prefix) for item in batch]
    except FileNotFoundError:
        return []
    except (BaseError, OSError) as error:
        raise StoreFailed(f"{prefix} could not be listed: {_first_line(error)}") from error


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0][:300]
