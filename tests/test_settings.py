"""Settings that are read from the environment: a mistake is told in one sentence, at the start."""

import os
import re
import subprocess
import sys
from ipaddress import ip_network
from typing import Any, Final

import pytest
from django.core.exceptions import ImproperlyConfigured

from costhub.settings import _broker, _choices, _database, _networks, _origins, _valkey

NAME = "COSTHUB_ALLOWED_NETWORKS"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", []),
        (" , ", []),
        ("10.0.0.0/8", [("10.0.0.0/8", None)]),
        ("10.1.2.3:8000, 127.0.0.1:1 ,fd00::/8", [("10.1.2.3/32", 8000), ("127.0.0.1/32", 1), ("fd00::/8", None)]),
        ("[fd00::1]:65535", [("fd00::1/128", 65535)]),
        ("[fd00::/8]", [("fd00::/8", None)]),
        ("10.1.2.0/24:80", [("10.1.2.0/24", 80)]),
    ],
)
def test_private_networks_that_are_opened(monkeypatch: pytest.MonkeyPatch, text: str, found: list[Any]) -> None:
    monkeypatch.setenv(NAME, text)
    assert _networks(NAME) == tuple((ip_network(network), port) for network, port in found)


@pytest.mark.parametrize(
    "item",
    [
        *("10.0.0.0/8:", "10.0.0.1: ", "[fd00::1]:", "[fd00::/8]:", "10.0.0.1:0", "10.0.0.1:65536", "10.0.0.1:+80"),
        *(
            "10.0.0.1:-1",
            "10.0.0.1:8e3",
            "10.0.0.1:\u0668\u0660",
            "10.0.0.1:http",
            "[fd00::1]80",
            "[fd00::1",
            "fd00::1]",
        ),
        *("10.0.0.0/33", "gpu.internal", "gpu.internal:80", ":80", "*", "[]:80", "10.0.0.1::80"),
    ],
)
def test_one_that_says_no_port_where_it_should_opens_none(monkeypatch: pytest.MonkeyPatch, item: str) -> None:
    monkeypatch.setenv(NAME, f"127.0.0.1:80,{item}")
    said = re.escape(f"{NAME}: {item.strip()!r} is not a network such as")
    with pytest.raises(ImproperlyConfigured, match=said):
        _networks(NAME)


@pytest.mark.parametrize(
    ("typed", "origins"),
    [
        ("", set()),
        (" , ", set()),
        ("*", {"*"}),
        ("https://App.example.org/", {"https://app.example.org"}),
        ("https://app.example.org, http://localhost:3000", {"https://app.example.org", "http://localhost:3000"}),
    ],
)
def test_origins_are_read_as_browsers_write_them(
    typed: str, origins: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORIGINS_OF_A_TEST", typed)
    assert _origins("ORIGINS_OF_A_TEST") == origins


@pytest.mark.parametrize("typed", ["app.example.org", "https://", "https://a.example/path", "ftp://a.example", "null"])
def test_what_is_no_origin_is_refused(typed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORIGINS_OF_A_TEST", typed)
    with pytest.raises(ImproperlyConfigured, match="no origin such as"):
        _origins("ORIGINS_OF_A_TEST")


def test_a_valkey_that_is_named_wrongly(monkeypatch: pytest.MonkeyPatch) -> None:
    for url, sentence in (
        ("http://:secret@a", "REDIS_URL begins with 'http': give valkey://"),
        ("valkey+sentinel://:secret@a", "REDIS_URL does not name the Sentinels' master"),
        ("valkey://[::1", "REDIS_URL cannot be read"),
        ("redis://:\u2100secret@a", "REDIS_URL cannot be read"),
        ("redis://a:1?secret@b", "REDIS_URL has an unknown parameter: give"),
    ):
        monkeypatch.setenv("REDIS_URL", url)
        with pytest.raises(ImproperlyConfigured, match=re.escape(sentence)) as error:
            _valkey("REDIS_URL", "")
        assert "secret" not in str(error.value)


def test_celery_follows_no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COSTHUB_BROKER_URL", raising=False)
    assert _broker("COSTHUB_BROKER_URL", "valkey+sentinel://a/m") == "valkey+sentinel://a/m"
    with pytest.raises(ImproperlyConfigured, match="COSTHUB_BROKER_URL is or follows a cluster"):
        _broker("COSTHUB_BROKER_URL", "valkey+cluster://a,b")


def test_some_of_what_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for text in ("", " b , a", "a"):
        monkeypatch.setenv("COSTHUB_SOME", text)
        found.append(_choices("COSTHUB_SOME", "a", ("a", "b")))
    assert found == [(), ("b", "a"), ("a",)]
    monkeypatch.setenv("COSTHUB_SOME", "a,c")
    with pytest.raises(ImproperlyConfigured, match="COSTHUB_SOME: 'c' is none of a, b"):
        _choices("COSTHUB_SOME", "a", ("a", "b"))


def test_a_database_that_is_reached_by_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is asked for behind the address is passed on, or said to be unknown: silently dropped it would look kept."""
    address = "postgresql://costhub_app:p%40ss@db.example:6432/costhub"
    monkeypatch.setenv("DATABASE_URL", f"{address}?sslmode=verify-full&sslrootcert=/etc/ca.pem")
    found = _database("DATABASE_URL", "")
    assert (found["HOST"], found["PORT"], found["PASSWORD"]) == ("db.example", "6432", "p@ss")
    wishes = {name: value for name, value in found["OPTIONS"].items() if name.startswith("ssl")}
    assert wishes == {"sslmode": "verify-full", "sslrootcert": "/etc/ca.pem"}
    for wish in ("ssl=true", "options=-c%20log_statement%3Dall", "host=elsewhere", "secret"):
        monkeypatch.setenv("DATABASE_URL", f"{address}?{wish}")
        with pytest.raises(
            ImproperlyConfigured, match="DATABASE_URL has an unknown parameter: give sslcert, "
        ) as error:
            _database("DATABASE_URL", "")
        assert "secret" not in str(error.value)


MULTIPLIES: Final = """
import django
django.setup()
import proxy.app
from threadpoolctl import threadpool_info, threadpool_limits
def count():
    return sum(pool["num_threads"] for pool in threadpool_info() if pool["internal_api"] == "openblas")
with threadpool_limits(2):
    more = count()
print(count(), more)
"""


def test_one_thread_of_a_process_multiplies_matrices_unless_more_are_wanted_for_a_while() -> None:
    """As by what learns. Pytest's own environment says the same: here nobody has."""
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "costhub.settings"}
    environment.pop("OPENBLAS_NUM_THREADS", None)
    told = subprocess.run([sys.executable, "-c", MULTIPLIES], env=environment, capture_output=True, check=True)
    assert told.stdout.decode().split() == ["1", "2"]
