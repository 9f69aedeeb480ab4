"""Who runs a server that refuses to be root, and what that user can reach."""

import os
import pwd
import stat
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Account:
    """A user of this machine, by number."""

    uid: int
    gid: int


def is_root() -> bool:
    return os.geteuid() == 0


def find_unprivileged_account(owned: Path) -> Account | None:
    """The account for a server that must not be root: None (stay as you are) unless this process is root.

    Data that exists keeps its owner: a stack that was first started by an ordinary user goes on as that user.
    """
    if not is_root():
        return None
    try:
        owner = owned.stat()
    except FileNotFoundError:
        owner = None
    if owner is not None and owner.st_uid != 0:
        return Account(owner.st_uid, owner.st_gid)
    nobody = pwd.getpwnam("nobody")
    return Account(nobody.pw_uid, nobody.pw_gid)


def can_reach(path: Path, account: Account | None) -> bool:
    """True when the account may pass through every folder above ``path``."""
    return account is None or all(_may_pass(parent.stat(), account) for parent in path.absolute().parents)


def _may_pass(folder: os.stat_result, account: Account) -> bool:
    if folder.st_uid == account.uid:
        return bool(folder.st_mode & stat.S_IXUSR)
    if folder.st_gid == account.gid:
        return bool(folder.st_mode & stat.S_IXGRP)
    return bool(folder.st_mode & stat.S_IXOTH)
