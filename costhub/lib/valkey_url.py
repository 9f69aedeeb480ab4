"""The one form in which a Valkey is named: a server, a cluster, or a master that Sentinels know, with TLS or without.

==============================================  =========================================================
``valkey://user:password@host:6379/0``          one server; ``redis://`` says the same
``valkey+cluster://user:password@a:6379,b``     a cluster, by some of its nodes
``valkey+sentinel://user:password@a:26379,b/m`` the master ``m``, by its Sentinels; ``/m/2`` is its database 2
``valkeys…`` (or ``rediss…``) in front          the same with TLS
==============================================  =========================================================

After ``?``: ``ca``, ``cert`` and ``key`` are files for TLS, ``check_hostname=no`` takes a certificate of another name;
``sentinel_user`` and ``sentinel_password`` are for the Sentinels; ``replicas=1`` believes no write of the hot path
before so many replicas have it.
"""

import re
import ssl
from enum import StrEnum
from functools import cache
from typing import Final, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

_SCHEME: Final = re.compile(r"(?:valkey|redis)(?P<tls>s?)(?:\+(?P<kind>cluster|sentinel))?")
_PARAMETERS: Final = frozenset(
    {"ca", "cert", "key", "check_hostname", "sentinel_user", "sentinel_password", "replicas"}
)
_PORT: Final = 6379
_SENTINEL_PORT: Final = 26379
_MOST_REPLICAS: Final = 5

Address = tuple[str, int]


class Kind(StrEnum):
    """What answers under an address."""

    SERVER = "server"
    CLUSTER = "cluster"
    SENTINEL = "sentinel"


class ValkeyUrl(NamedTuple):
    """A Valkey as it was named. ``nodes`` are the server, nodes of the cluster, or Sentinels; ``master`` is a name that
    Sentinels know."""

    kind: Kind
    nodes: tuple[Address, ...]
    user: str
    password: str
    database: int
    master: str
    is_tls: bool
    ca: str
    cert: str
    key: str
    checks_hostname: bool
    sentinel_user: str
    sentinel_password: str
    replicas: int

    @property
    def tls(self) -> ssl.SSLContext | None:
        """What connections are made with; None without TLS. Raises OSError where a file cannot be read."""
        return _context(self.ca, self.cert, self.key, self.checks_hostname) if self.is_tls else None


def parse_valkey_url(text: str) -> ValkeyUrl:
    """Raises ValueError with one sentence that says what was wrong."""
    try:
        url = urlsplit(text)
    except ValueError:
        # What it says may quote the password.
        raise ValueError("cannot be read: give valkey://host:port, with %XX for special characters") from None
    scheme = _SCHEME.fullmatch(url.scheme)
    if scheme is None:
        raise ValueError(
            f"begins with {url.scheme!r}: give valkey://, valkeys://, valkey+cluster:// or valkey+sentinel://"
        )
    kind = Kind(scheme["kind"] or "server")
    credentials, _, hosts = url.netloc.rpartition("@")
    user, _, password = credentials.partition(":")
    port = _SENTINEL_PORT if kind is Kind.SENTINEL else _PORT
    nodes = tuple(_read_node(node, port) for node in hosts.split(","))
    if kind is Kind.SERVER and len(nodes) > 1:
        raise ValueError("names several servers: give valkey+cluster:// or valkey+sentinel:// for those")
    master, database = _read_path(kind, url.path)
    given = _read_parameters(url.query)
    if not scheme["tls"] and {"ca", "cert", "key", "check_hostname"} & given.keys():
        raise ValueError("has files for TLS, but no TLS: begin it with valkeys")
    return ValkeyUrl(
        kind,
        nodes,
        unquote(user),
        unquote(password),
        database,
        master,
        is_tls=bool(scheme["tls"]),
        ca=given.get("ca", ""),
        cert=given.get("cert", ""),
        key=given.get("key", ""),
        checks_hostname=given.get("check_hostname", "yes") == "yes",
        sentinel_user=given.get("sentinel_user", ""),
        sentinel_password=given.get("sentinel_password", ""),
        replicas=int(given.get("replicas", "0")),
    )


def _read_node(node: str, port: int) -> Address:
    host, colon, written = node.rpartition(":") if not node.endswith("]") else (node, "", "")
    if not colon:
        host, written = node, str(port)
    host = host.removeprefix("[").removesuffix("]")
    if not host or not written.isascii() or not written.isdigit() or not 0 < int(written) < 65_536:
        raise ValueError("has a server without a host or with a bad port: give host:port, with commas between several")
    return host, int(written)


def _read_path(kind: Kind, path: str) -> tuple[str, int]:
    """(the master's name, the database)"""
    parts = path.strip("/").split("/") if path.strip("/") else []
    master = ""
    if kind is Kind.SENTINEL:
        if not parts:
            raise ValueError("does not name the Sentinels' master: give valkey+sentinel://host:26379/name")
        master = unquote(parts.pop(0))
    database = parts.pop(0) if parts else "0"
    if parts or not database.isascii() or not database.isdigit():
        raise ValueError("ends with what is no database: give a number such as /0")
    if kind is Kind.CLUSTER and int(database):
        raise ValueError("names a database: a cluster has the database 0 only")
    return master, int(database)


def _read_parameters(query: str) -> dict[str, str]:
    given = dict(parse_qsl(query, keep_blank_values=True))
    if unknown := sorted(given.keys() - _PARAMETERS):
        # What is no name may be the end of a password with a ? in it.
        named = f" {unknown[0]!r}" if unknown[0].isidentifier() else ""
        raise ValueError(f"has an unknown parameter{named}: give {', '.join(sorted(_PARAMETERS))}")
    if given.get("check_hostname", "yes") not in {"yes", "no"}:
        raise ValueError("has a check_hostname that is neither yes nor no")
    replicas = given.get("replicas", "0")
    if not replicas.isascii() or not replicas.isdigit() or int(replicas) > _MOST_REPLICAS:
        raise ValueError(f"has a bad number of replicas: give a whole number from 0 to {_MOST_REPLICAS}")
    if "key" in given and "cert" not in given:
        raise ValueError("has a key without its certificate: give cert too")
    return given


@cache
def _context(ca: str, cert: str, key: str, checks_hostname: bool) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=ca or None)
    context.check_hostname = checks_hostname
    if cert:
        context.load_cert_chain(cert, key or None)
    return context
