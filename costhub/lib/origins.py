"""What a URL that somebody typed really names: one strict reading, so that no two parsers can disagree about the host.

A URL that needs guessing (octal IPv4, userinfo, full-width digits, backslashes) is refused rather than normalised:
every HTTP client normalises a little differently, and the difference is where server-side request forgery lives.
"""

import ipaddress
import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

import idna

from costhub.lib.errors import InvalidField

MAX_URL_CHARACTERS: Final = 2048
MAX_HOST_CHARACTERS: Final = 253

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_URL: Final = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<authority>[^/?#]*)(?P<path>/[^?#]*)?(?P<rest>[?#].*)?"
)
_AUTHORITY: Final = re.compile(r"(?P<host>\[[^\[\]]*\]|[^:\[\]]*)(?::(?P<port>.*))?")
_PORT: Final = re.compile(r"[1-9][0-9]{0,4}")
_LABEL: Final = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)")
_ENDS_IN_A_NUMBER: Final = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)")
_PATH: Final = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})*")
_API_VERSION: Final = re.compile(r"api-version=[0-9A-Za-z.-]{1,40}")
_QUERY: Final = re.compile(r"[!$-;=?-\[\]-~]*")


@dataclass(frozen=True, slots=True)
class Target:
    """One place to call. ``host`` is lower-case ASCII, a name or an IP address without brackets."""

    scheme: str
    host: str
    port: int
    path: str = ""
    query: str = ""

    @property
    def origin(self) -> str:
        """``https://host:443``: the port always written, so that equal origins are equal strings."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"

    @property
    def authority(self) -> str:
        """Host and port as a Host header has them: the port where it is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def address(self) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
        """The host as an IP address, or None when it is a name that wants resolving."""
        try:
            return ipaddress.ip_address(self.host)
        except ValueError:
            return None

    def url(self, path: str = "") -> str:
        """The base URL with ``path`` ("/chat/completions") behind it. It can never leave the origin: raises ValueError
        for a ``path`` without a leading slash, which could continue the port."""
        if path and not path.startswith("/"):
            raise ValueError(f"{path!r} must start with a slash")
        query = f"?{self.query}" if self.query else ""
        return f"{self.origin}{self.path}{path}{query}"


def parse_origin(url: str, *, field: str = "base_url") -> Target:
    """Read the base URL of an upstream: an origin and perhaps a path. A query it has only where it names the version of
    an API, as Azure's deployments want it. Raises InvalidField for what not every HTTP client understands alike."""
    target = parse_url(url, field=field)
    if "?" in url and not _API_VERSION.fullmatch(target.query):
        raise InvalidField(
            "A base URL has no query, but for ?api-version=2024-10-21 and the like: drop what follows the question mark.",
            field=field,
        )
    return Target(target.scheme, target.host, target.port, target.path.rstrip("/"), target.query)


def parse_url(url: str, *, field: str = "url") -> Target:
    """Read a whole URL (a webhook's, say), query included. Raises InvalidField for what not every HTTP client
    understands alike."""
    if len(url) > MAX_URL_CHARACTERS:
        raise InvalidField(f"The URL is longer than {MAX_URL_CHARACTERS} characters.", field=field)
    if "\\" in url or any(character.isspace() or not character.isprintable() for character in url):
        raise InvalidField("The URL holds a blank, a backslash or an invisible character: remove it.", field=field)
    parts = _URL.fullmatch(url)
    if parts is None:
        raise InvalidField("This is not a URL: write it as https://api.example.com/v1", field=field)
    scheme = parts["scheme"].lower()
    if scheme not in _DEFAULT_PORTS:
        raise InvalidField(f"The scheme {scheme!r} is not known here: use https.", field=field)
    host, port = _read_authority(parts["authority"], field)
    return Target(
        scheme,
        host,
        port or _DEFAULT_PORTS[scheme],
        _read_path(parts["path"] or "", field),
        _read_query(parts["rest"] or "", field),
    )


def check_same_origin(bound_origin: str, url: str) -> None:
    """Hold a stored credential to the origin that it was given for. Raises InvalidField for a URL of another origin,
    for which the credential must be given again, and for one that cannot be read."""
    bound, wanted = parse_url(bound_origin).origin, parse_url(url, field="base_url").origin
    if bound != wanted:
        raise InvalidField(
            f"The stored credential was given for {bound} and is never sent to {wanted}: enter the credential again for the new URL.",
            field="credential",
        )


def _read_authority(authority: str, field: str) -> tuple[str, int | None]:
    if "@" in authority:
        raise InvalidField("The URL holds a user name or a password: give credentials in their own field.", field=field)
    if "%" in authority:
        raise InvalidField("The host is percent-encoded or has a zone: write it plainly.", field=field)
    parts = _AUTHORITY.fullmatch(authority)
    if parts is None:
        raise InvalidField(
            "The host and port cannot be read: write host:port, and an IPv6 address in brackets.", field=field
        )
    return _read_host(parts["host"], field), _read_port(parts["port"], field)


def _read_port(text: str | None, field: str) -> int | None:
    if text is None:
        return None
    if not _PORT.fullmatch(text) or int(text) > 65_535:
        raise InvalidField("The port must be a plain whole number from 1 to 65535.", field=field)
    return int(text)


def _read_host(host: str, field: str) -> str:
    if not host:
        raise InvalidField("The URL has no host: write it as https://api.example.com/v1", field=field)
    if host.startswith("["):
        try:
            return str(ipaddress.IPv6Address(host[1:-1]))
        except ValueError as error:
            raise InvalidField("The address in brackets is not an IPv6 address.", field=field) from error
    name = _read_name(host, field)
    if _ENDS_IN_A_NUMBER.fullmatch(name):
        try:
            return str(ipaddress.IPv4Address(name))
        except ValueError as error:
            raise InvalidField(
                "Write an IPv4 address as four decimal numbers, such as 192.0.2.10.", field=field
            ) from error
    return name


def _read_name(host: str, field: str) -> str:
    """The host name in ASCII. Nothing is mapped but A to Z: a look-alike character is refused, not translated."""
    # str.lower would turn the Kelvin sign into a plain k; bytes know ASCII only.
    name = host.encode().lower().decode()
    if not name.isascii() or "xn--" in name:
        try:
            # strict: the ideographic full stop and its kin separate nothing
            name = idna.encode(name, strict=True, std3_rules=True).decode("ascii")
        except (idna.IDNAError, UnicodeError) as error:
            raise InvalidField("The host is not a valid international domain name.", field=field) from error
    if len(name) > MAX_HOST_CHARACTERS or not all(_LABEL.fullmatch(label) for label in name.split(".")):
        raise InvalidField(
            "The host name may hold letters, digits and hyphens between single full stops, up to 63 in a part and 253 in all, and no full stop at the end.",
            field=field,
        )
    return name


def _read_path(path: str, field: str) -> str:
    if not _PATH.fullmatch(path):
        raise InvalidField("The path holds a character that must be percent-encoded.", field=field)
    if any(unquote(segment) in {".", ".."} for segment in path.split("/")):
        raise InvalidField("The path steps through . or ..: write where it leads.", field=field)
    return path


def _read_query(rest: str, field: str) -> str:
    if "#" in rest:
        raise InvalidField("The URL has a fragment: drop what follows the hash sign.", field=field)
    if not _QUERY.fullmatch(rest[1:]):
        raise InvalidField("The query holds a character that must be percent-encoded.", field=field)
    return rest[1:]
