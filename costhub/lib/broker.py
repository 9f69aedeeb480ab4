"""How Celery is told of its Valkey. It takes a server or the master of Sentinels; a cluster it does not know."""

import ssl
from typing import Any, Final
from urllib.parse import quote

from costhub.lib.keyspace import CELERY_PREFIX
from costhub.lib.valkey_url import Kind, ValkeyUrl, parse_valkey_url

#: before every key of Celery's
TRANSPORT: Final = {"global_keyprefix": CELERY_PREFIX}


def broker_options(url: str) -> dict[str, Any]:
    """Celery's settings for its broker: its address, what transport and TLS need. Raises ValueError for a cluster."""
    named = parse_valkey_url(url)
    if named.kind is Kind.CLUSTER:
        raise ValueError("is a cluster: Celery's queue wants a Valkey of its own, or one that Sentinels know")
    transport: dict[str, Any] = dict(TRANSPORT)
    scheme = "rediss" if named.is_tls else "redis"
    if named.kind is Kind.SENTINEL:
        scheme = "sentinel"
        transport |= {"master_name": named.master, "sentinel_kwargs": _sentinel_options(named)}
    login = f"{quote(named.user, safe='')}:{quote(named.password, safe='')}@" if named.password else ""
    address = ";".join(f"{scheme}://{login}{_show(host)}:{port}/{named.database}" for host, port in named.nodes)
    options: dict[str, Any] = {"broker_url": address, "broker_transport_options": transport}
    if named.is_tls:
        options["broker_use_ssl"] = _tls(named)
    return options


def _show(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _tls(named: ValkeyUrl) -> dict[str, Any]:
    given = {"ssl_ca_certs": named.ca, "ssl_certfile": named.cert, "ssl_keyfile": named.key}
    return {
        "ssl_cert_reqs": ssl.CERT_REQUIRED,
        "ssl_check_hostname": named.checks_hostname,
        **{name: value for name, value in given.items() if value},
    }


def _sentinel_options(named: ValkeyUrl) -> dict[str, Any]:
    options: dict[str, Any] = {"socket_timeout": 1}
    if named.sentinel_password:
        options |= {"username": named.sentinel_user or None, "password": named.sentinel_password}
    if named.is_tls:
        options |= {"ssl": True, **_tls(named)}
    return options
