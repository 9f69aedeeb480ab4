"""The embedded Valkey: a password, an append-only file, and no eviction."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from costhub.stack.ports import HOST
from costhub.stack.valkey import Valkey
from tests.patience import PATIENCE_SECONDS


@contextmanager
def running(data_dir: Path) -> Iterator[Valkey]:
    valkey = Valkey(data_dir)
    try:
        valkey.start()
        valkey.wait_ready()
        yield valkey
    finally:
        valkey.stop()


@contextmanager
def connected(valkey: Valkey) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(valkey.url, decode_responses=True) as client:
        yield client


def test_it_keeps_everything_and_refuses_rather_than_forgets(data_dir: Path) -> None:
    with running(data_dir) as valkey, connected(valkey) as client:
        assert client.config_get("appendonly", "appendfsync", "maxmemory-policy", "bind", "save") == {
            "appendonly": "yes",
            "appendfsync": "everysec",
            "maxmemory-policy": "noeviction",
            "bind": "127.0.0.1",
            "save": "",
        }


@pytest.mark.parametrize(
    ("secret", "refusal"), [("", "Authentication required"), (":wrong@", "invalid username-password")]
)
def test_a_wrong_or_missing_password_is_refused(data_dir: Path, secret: str, refusal: str) -> None:
    with (
        running(data_dir) as valkey,
        redis.Redis.from_url(f"redis://{secret}{HOST}:{valkey.port}/0") as client,
        pytest.raises(
            redis.AuthenticationError,
            match=r"must be called with the client already authenticated|invalid username-password",
        ),
    ):
        client.get("anything")


def test_the_password_is_neither_readable_by_others_nor_among_the_arguments(data_dir: Path) -> None:
    with running(data_dir) as valkey:
        password = valkey.url.split(":")[2].split("@")[0]
        assert password not in Path(f"/proc/{valkey.pid}/cmdline").read_text() + valkey.log_path.read_text()
    holders = [path for path in data_dir.rglob("*") if path.is_file() and password in path.read_text(errors="replace")]
    assert {(path.name, oct(path.stat().st_mode & 0o777)) for path in holders} == {
        ("valkey.json", "0o600"),
        ("valkey.conf", "0o600"),
    }


def test_data_password_and_port_are_kept_over_a_restart_and_over_a_kill(data_dir: Path) -> None:
    with running(data_dir) as first, connected(first) as client:
        url = first.url
        client.set("held", 7)
    with running(data_dir) as second:
        assert second.url == url
        with connected(second) as client:
            assert client.incrby("held", 3) == 10
        assert second.pid is not None
        os.kill(second.pid, signal.SIGKILL)
        assert second.wait_exit(PATIENCE_SECONDS)
        assert second.reap() == -signal.SIGKILL
        second.start()
        second.wait_ready()
        with connected(second) as client:
            assert client.get("held") == "10"


def test_two_servers_live_side_by_side(data_dir: Path) -> None:
    with running(data_dir / "one") as one, running(data_dir / "two") as two:
        with connected(one) as client:
            client.set("mine", 1)
        with connected(two) as client:
            assert client.get("mine") is None
