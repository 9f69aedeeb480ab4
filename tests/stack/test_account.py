"""Who runs PostgreSQL, and where that user gets to."""

import os
import pwd
from pathlib import Path

import pytest

from costhub.stack.account import Account, can_reach, find_unprivileged_account
from tests.stack.conftest import needs_root

STRANGER = Account(uid=54_321, gid=54_321)


@pytest.mark.parametrize(("folder_mode", "reachable"), [(0o711, True), (0o755, True), (0o710, False), (0o700, False)])
def test_a_stranger_passes_only_through_open_folders(data_dir: Path, folder_mode: int, reachable: bool) -> None:
    folder = data_dir / "home"
    folder.mkdir()
    folder.chmod(folder_mode)
    assert can_reach(folder / "data", STRANGER) is reachable


def test_the_folder_itself_is_not_above_itself(data_dir: Path) -> None:
    folder = data_dir / "closed"
    folder.mkdir(mode=0o700)
    assert can_reach(folder, STRANGER) is True


def test_a_folders_owner_and_group_have_their_own_bits(data_dir: Path) -> None:
    folder = data_dir / "home"
    folder.mkdir()
    folder.chmod(0o701)
    owner = folder.stat()
    assert can_reach(folder / "data", Account(owner.st_uid, 54_321)) is True
    assert can_reach(folder / "data", Account(54_321, owner.st_gid)) is False


def test_whoever_is_not_changed_reaches_all() -> None:
    assert can_reach(Path("/anywhere/at/all"), None) is True


@needs_root
def test_root_becomes_nobody_or_the_owner_of_the_data(data_dir: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    assert find_unprivileged_account(data_dir / "data") == Account(nobody.pw_uid, nobody.pw_gid)
    (data_dir / "data").mkdir()
    assert find_unprivileged_account(data_dir / "data") == Account(nobody.pw_uid, nobody.pw_gid)
    os.chown(data_dir / "data", STRANGER.uid, STRANGER.gid)
    assert find_unprivileged_account(data_dir / "data") == STRANGER
