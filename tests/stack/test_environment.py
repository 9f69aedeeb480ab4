"""What our processes find in their environment."""

import base64
import stat
from pathlib import Path

import pytest

from costhub.stack.environment import (
    KEYS,
    allow_networks,
    find_external_database,
    find_external_redis,
    load_or_make_keys,
)
from costhub.stack.part import PartFailed


def test_keys_are_32_bytes_each_made_once_and_private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in KEYS:
        monkeypatch.delenv(name, raising=False)
    keys = load_or_make_keys(tmp_path)
    assert [len(base64.b64decode(keys[name])) for name in KEYS] == [32, 32, 32]
    assert len(set(keys.values())) == 3
    assert load_or_make_keys(tmp_path) == keys
    assert stat.S_IMODE((tmp_path / "secrets.json").stat().st_mode) == 0o600


def test_a_key_of_the_environment_wins_and_is_not_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = base64.b64encode(b"ada".ljust(32, b".")).decode()
    monkeypatch.setenv("COSTHUB_MASTER_KEY", given)
    assert load_or_make_keys(tmp_path)["COSTHUB_MASTER_KEY"] == given
    assert given not in (tmp_path / "secrets.json").read_text()


def test_a_database_of_ones_own_needs_both_roles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://app@db/costhub")
    monkeypatch.setenv("DATABASE_OWNER_URL", "postgresql://owner@db/costhub")
    assert find_external_database() == ("postgresql://app@db/costhub", "postgresql://owner@db/costhub")
    monkeypatch.delenv("DATABASE_OWNER_URL")
    with pytest.raises(PartFailed, match=r"^DATABASE_URL is set but DATABASE_OWNER_URL is not\. Set both"):
        find_external_database()
    monkeypatch.delenv("DATABASE_URL")
    assert find_external_database() is None


def test_redis_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://cache/0")
    assert find_external_redis() == "redis://cache/0"
    monkeypatch.setenv("REDIS_URL", "")
    assert find_external_redis() is None


def test_an_address_is_added_to_what_the_operator_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COSTHUB_ALLOWED_NETWORKS", raising=False)
    assert allow_networks("127.0.0.1:8081") == "127.0.0.1:8081"
    monkeypatch.setenv("COSTHUB_ALLOWED_NETWORKS", "10.1.0.0/16")
    assert allow_networks("127.0.0.1:8081", "127.0.0.1:8020") == "10.1.0.0/16,127.0.0.1:8081,127.0.0.1:8020"
