"""Opened data keys: kept for a while, and for no longer than that."""

import os
import threading

import pytest

from costhub.lib import secrets
from costhub.lib.secrets import MasterKeys, UnusableCredential, make_data_key
from tenants import open_keys
from tenants.open_keys import OpenKeys
from tests.patience import PATIENCE_SECONDS

MASTER = MasterKeys(b"m" * 32)
ACME, MALLCORP = "0f0e1c7e-0000-4000-8000-00000000000a", "0f0e1c7e-0000-4000-8000-00000000000b"
OF_ACME, OF_MALLCORP = make_data_key(MASTER, ACME), make_data_key(MASTER, MALLCORP)
LONG = 3_600.0


def test_a_key_is_opened_once_and_forgotten_for_its_organisation_alone() -> None:
    keys = OpenKeys(LONG)
    acme, mallcorp = keys.find(MASTER, ACME, OF_ACME), keys.find(MASTER, MALLCORP, OF_MALLCORP)
    assert keys.find(MASTER, ACME, OF_ACME) is acme
    keys.forget(ACME)
    assert len(keys) == 1
    assert keys.find(MASTER, MALLCORP, OF_MALLCORP) is mallcorp
    again = keys.find(MASTER, ACME, OF_ACME)
    assert again is not acme
    assert again.open("here", acme.seal("here", b"Hi")) == b"Hi"
    keys.forget_all()
    assert len(keys) == 0


def test_another_key_of_the_same_organisation_is_another_one() -> None:
    keys = OpenKeys(LONG)
    sealed = keys.find(MASTER, ACME, OF_ACME).seal("here", b"Hi")
    with pytest.raises(UnusableCredential):
        keys.find(MASTER, ACME, make_data_key(MASTER, ACME)).open("here", sealed)
    with pytest.raises(UnusableCredential):
        keys.find(MASTER, MALLCORP, OF_ACME)
    assert len(keys) == 2, "what does not open is not kept"


def test_whoever_hears_nothing_lets_go_of_it_all_the_same() -> None:
    """Nobody asks for it again, and nobody says that it is over."""
    keys = OpenKeys(0.05)
    keys.find(MASTER, ACME, OF_ACME)
    while (sweeper := keys._sweeper) is not None:
        assert sweeper.daemon, "no process waits for it"
        sweeper.join(PATIENCE_SECONDS)
    assert len(keys) == 0
    # It is opened again, and its time begins anew.
    keys.find(MASTER, ACME, OF_ACME)
    assert (len(keys), keys._sweeper is not None) == (1, True)


def test_where_no_thread_can_begin_keys_are_opened_and_none_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody would let go of them."""
    keys = OpenKeys(LONG)

    def refuse(self: threading.Timer) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as there_are_too_many:
        there_are_too_many.setattr(threading.Timer, "start", refuse)
        assert keys.find(MASTER, ACME, OF_ACME).seal("here", b"Hi")
        assert len(keys) == 0
    keys.find(MASTER, ACME, OF_ACME)
    assert (len(keys), keys._sweeper is not None and keys._sweeper.is_alive()) == (1, True)


def test_what_is_too_old_is_opened_anew_before_anybody_has_swept() -> None:
    keys = OpenKeys(0)
    first = keys.find(MASTER, ACME, OF_ACME)
    assert keys.find(MASTER, ACME, OF_ACME) is not first


def test_what_is_forgotten_while_it_is_opened_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = OpenKeys(LONG)

    def open_slowly(*arguments: object) -> secrets.ContentKey:
        keys.forget(ACME)
        return secrets.ContentKey(MASTER, OF_ACME, ACME)

    monkeypatch.setattr(open_keys, "ContentKey", open_slowly)
    keys.find(MASTER, ACME, OF_ACME)
    assert len(keys) == 0


def test_there_are_so_many_at_most_and_the_oldest_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_keys, "MOST_KEPT", 1)
    keys = OpenKeys(LONG)
    keys.find(MASTER, ACME, OF_ACME)
    mallcorp = keys.find(MASTER, MALLCORP, OF_MALLCORP)
    assert len(keys) == 1
    assert keys.find(MASTER, MALLCORP, OF_MALLCORP) is mallcorp


def test_a_forked_child_begins_with_none_and_can_open_its_own() -> None:
    """Its parent's threads are not there, nor whoever held the lock at that moment."""
    keys = OpenKeys(LONG)
    keys.find(MASTER, ACME, OF_ACME)
    with keys._changing:
        child = os.fork()
        if child == 0:
            found = [len(keys)]
            opening = threading.Thread(
                target=lambda: found.append(len([keys.find(MASTER, ACME, OF_ACME)])), daemon=True
            )
            opening.start()
            opening.join(PATIENCE_SECONDS)
            os._exit(0 if found == [0, 1] and len(keys) == 1 else 1)
        _, status = os.waitpid(child, 0)
    assert status == 0
    assert len(keys) == 1
