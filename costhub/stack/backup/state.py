"""How old what the archive keeps is: files in the data directory whose times tell when each was kept last."""

from pathlib import Path
from typing import Final

from costhub.lib import clock
from costhub.stack.private_files import make_passable

#: names their folder for the processes of a stack that has an archive
ARCHIVE_STATE: Final = "COSTHUB_ARCHIVE_STATE"
LOG: Final = "log"
BASE: Final = "base"
_BEGUN: Final = "begun"
#: the age in seconds from which on somebody should look: the log goes each ten seconds, and a base backup is good for a
#: daily timer
LATE_AFTER: Final = {LOG: 300.0, BASE: 36 * 3_600.0}


def find_state(data_dir: Path) -> Path:
    """The folder of a stack's."""
    return data_dir / "archive"


def begin(state: Path) -> None:
    """Note from when on there should be something."""
    make_passable(state)
    if not (state / _BEGUN).exists():
        note_kept(state, _BEGUN)


def note_kept(state: Path, name: str) -> None:
    """Note that all of the log that was received is kept (LOG), or a base backup (BASE)."""
    (state / name).touch(mode=0o600)


def read_ages(state: str) -> dict[str, float]:
    """The seconds since each was kept last; where it never was, since an archive was begun. Empty where none was."""
    if not state or not (Path(state) / _BEGUN).exists():
        return {}
    files = {name: Path(state) / (name if was_kept(state, name) else _BEGUN) for name in LATE_AFTER}
    return {name: max(0.0, clock.now_ms() / 1000 - file.stat().st_mtime) for name, file in files.items()}


def was_kept(state: str, name: str) -> bool:
    """Whether that was ever kept."""
    return (Path(state) / name).exists()
