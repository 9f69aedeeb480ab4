"""How a Valkey is named in the settings, and what Celery is told of it."""

import ssl

import pytest

from costhub.lib.broker import broker_options
from costhub.lib.valkey_url import Kind, parse_valkey_url


def test_a_server() -> None:
    named = parse_valkey_url("valkey://gateway:p%40ss%2F@cache.internal/3")
    assert (named.kind, named.nodes, named.user, named.password, named.database, named.is_tls) == (
        *(Kind.SERVER, (("cache.internal", 6379),)),
        *("gateway", "p@ss/", 3, False),
    )
    assert named.tls is None
    assert parse_valkey_url("redis://:x@[::1]:7000/0").nodes == (("::1", 7000),)


def test_a_cluster() -> None:
    named = parse_valkey_url("valkeys+cluster://:secret@a:7000,b,[::1]:7001/?replicas=1&check_hostname=no")
    assert (named.kind, named.nodes) == (Kind.CLUSTER, (("a", 7000), ("b", 6379), ("::1", 7001)))
    assert (named.is_tls, named.replicas, named.checks_hostname) == (True, 1, False)
    assert named.tls is not None
    assert not named.tls.check_hostname
    assert named.tls.verify_mode == ssl.CERT_REQUIRED


def test_sentinels() -> None:
    named = parse_valkey_url("valkey+sentinel://:secret@a,b:7000/money/2?sentinel_password=other")
    assert (named.kind, named.nodes, named.master, named.database) == (
        *(Kind.SENTINEL, (("a", 26379), ("b", 7000))),
        *("money", 2),
    )
    assert (named.password, named.sentinel_password) == ("secret", "other")


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("http://a", "begins with 'http'"),
        ("", "begins with ''"),
        ("valkey+ring://a", "begins with 'valkey+ring'"),
        ("valkey://a,b", "names several servers"),
        ("valkey://", "without a host"),
        ("valkey://a:port", "bad port"),
        ("valkey://a:99999", "bad port"),
        ("valkey+cluster://a,,b", "without a host"),
        ("valkey+cluster://a/1", "the database 0 only"),
        ("valkey+sentinel://a", "does not name the Sentinels' master"),
        ("valkey+sentinel://a/m/x", "what is no database"),
        ("valkey://a/0/1", "what is no database"),
        ("valkey://a/?timeout=1", "unknown parameter 'timeout'"),
        ("valkey://a/?ca=/x.pem", "no TLS"),
        ("valkeys://a/?check_hostname=perhaps", "neither yes nor no"),
        ("valkeys://a/?key=/x.pem", "key without its certificate"),
        ("valkey://a/?replicas=many", "number of replicas"),
        ("valkey://a/?replicas=9", "number of replicas"),
    ],
)
def test_what_names_nothing_is_one_sentence(url: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=r"^[^\n]+$") as error:
        parse_valkey_url(url)
    assert sentence in str(error.value)
    assert "secret" not in str(error.value)


def test_celery_is_told_of_a_server() -> None:
    assert broker_options("valkey://:p%40ss@a/1") == {
        "broker_url": "redis://:p%40ss@a:6379/1",
        "broker_transport_options": {"global_keyprefix": "celery:"},
    }


def test_celery_is_told_of_sentinels() -> None:
    assert broker_options("valkey+sentinel://:x@a,b:7000/money?sentinel_password=y") == {
        "broker_url": "sentinel://:x@a:26379/0;sentinel://:x@b:7000/0",
        "broker_transport_options": {
            "global_keyprefix": "celery:",
            "master_name": "money",
            "sentinel_kwargs": {"socket_timeout": 1, "username": None, "password": "y"},
        },
    }


def test_celery_speaks_tls() -> None:
    options = broker_options("valkeys://:x@a/?ca=/ca.pem")
    assert options["broker_url"] == "rediss://:x@a:6379/0"
    assert options["broker_use_ssl"] == {
        "ssl_cert_reqs": ssl.CERT_REQUIRED,
        "ssl_check_hostname": True,
        "ssl_ca_certs": "/ca.pem",
    }


def test_celery_takes_no_cluster() -> None:
    with pytest.raises(ValueError, match="is a cluster"):
        broker_options("valkey+cluster://a")
