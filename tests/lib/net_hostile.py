"""URLs that try to leave the open internet, each with the error that must stop it. ``{port}`` is a listening
canary's."""

from ipaddress import IPv4Address
from typing import Final

from costhub.lib.errors import AppError, InvalidField
from costhub.lib.net import BlockedAddress, Unresolvable

#: refused for how they are written, before any address is looked at
UNREADABLE: Final = [
    # schemes
    "",
    "/",
    "//127.0.0.1:{port}/",
    "127.0.0.1:{port}",
    "localhost",
    "file:///etc/passwd",
    "ftp://127.0.0.1:{port}/",
    "gopher://127.0.0.1:{port}/_GET",
    "dict://127.0.0.1:{port}/info",
    "ldap://127.0.0.1:{port}/",
    "ws://127.0.0.1:{port}/",
    "unix:///var/run/docker.sock",
    "http+unix://%2Fvar%2Frun%2Fdocker.sock/",
    "data:text/plain,hello",
    "javascript:alert(1)",
    "jar:http://127.0.0.1:{port}/!/",
    "https:127.0.0.1:{port}",
    "https:/127.0.0.1:{port}/",
    "https:///127.0.0.1:{port}/",
    "https://",
    "https://:{port}/",
    "://127.0.0.1:{port}/",
    "http s://127.0.0.1:{port}/",
    # userinfo, and what imitates it
    "https://user@127.0.0.1:{port}/",
    "https://user:password@127.0.0.1:{port}/",
    "https://api.example.com@127.0.0.1:{port}/",
    "https://api.example.com:443@127.0.0.1:{port}/",
    "https://127.0.0.1:{port}@api.example.com/",
    "https://@127.0.0.1:{port}/",
    "https://a@b@127.0.0.1:{port}/",
    "https://api.example.com%40127.0.0.1:{port}/",
    "https://api.example.com\\@127.0.0.1:{port}/",
    # backslashes, blanks, invisible characters
    "https:\\\\127.0.0.1:{port}\\",
    "https://127.0.0.1:{port}\\v1",
    "https://api.example.com\\.127.0.0.1:{port}/",
    " https://127.0.0.1:{port}/",
    "https://127.0.0.1:{port}/ ",
    "https://127.0.0.1 :{port}/",
    "https://api.example.com 127.0.0.1:{port}/",
    "ht\ttps://127.0.0.1:{port}/",
    "https://127.0.\n0.1:{port}/",
    "https://127.0.0.1:{port}/\r\nHost: evil",
    "https://127.0.0.1:{port}/\x00",
    "https://127.0.0.1\x00.example.com:{port}/",
    "https://127.0.0.1\u200b:{port}/",
    "https://\u202e127.0.0.1:{port}/",
    "https://127.0.0.1\u00ad:{port}/",
    "https://127.0.0.1\u00a0:{port}/",
    "\ufeffhttps://127.0.0.1:{port}/",
    "https://\ud800.example.com/",
    # query and fragment in a base URL
    "https://api.example.com/v1?",
    "https://api.example.com/v1?x=1",
    "https://api.example.com#@127.0.0.1:{port}/",
    "https://api.example.com/#fragment",
    "https://127.0.0.1:{port}?@api.example.com/",
    # IPv4 as C's inet_aton reads it
    "http://127.1:{port}/",
    "http://127.0.1:{port}/",
    "http://127:{port}/",
    "http://0:{port}/",
    "http://2130706433:{port}/",
    "http://017700000001:{port}/",
    "http://0x7f000001:{port}/",
    "http://0X7F000001:{port}/",
    "http://0x7f.1:{port}/",
    "http://0x7f.0.0.1:{port}/",
    "http://0x7f.0x0.0x0.0x1:{port}/",
    "http://0177.0.0.1:{port}/",
    "http://0177.1:{port}/",
    "http://0177.0000.0000.0001:{port}/",
    "http://127.0.0.01:{port}/",
    "http://127.000.000.001:{port}/",
    "http://127.0.0x0.1:{port}/",
    "http://127.0.0.0x1:{port}/",
    "http://127.0.0.0x:{port}/",
    "http://127.65535:{port}/",
    "http://383.0.0.1:{port}/",
    "http://127.0.0.257:{port}/",
    "http://127.0.0.1.1:{port}/",
    "http://4294967297:{port}/",
    "http://18446744071562067969:{port}/",
    "http://0xa9fea9fe/",
    "http://2852039166/",
    "http://0251.0376.0251.0376/",
    "http://169.254.43518/",
    "http://api.example.127:{port}/",
    # full stops that hide a name
    "http://localhost.:{port}/",
    "http://127.0.0.1.:{port}/",
    "http://127.0.0.1..:{port}/",
    "http://.127.0.0.1:{port}/",
    "http://127..0.0.1:{port}/",
    "http://.:{port}/",
    # percent-encoding in the host
    "http://%6c%6f%63alhost:{port}/",
    "http://127%2e0%2e0%2e1:{port}/",
    "http://%31%32%37.0.0.1:{port}/",
    "http://127.0.0.1%00.example.com:{port}/",
    "http://127.0.0.1%3a{port}/",
    "http://127.0.0.1%2f@example.com:{port}/",
    "http://%5b::1%5d:{port}/",
    # look-alikes that normalise to an address or to localhost
    "http://\uff11\uff12\uff17.0.0.1:{port}/",
    "http://127\u30020\u30020\u30021:{port}/",
    "http://127\uff0e0\uff0e0\uff0e1:{port}/",
    "http://127\uff610\uff610\uff611:{port}/",
    "http://\u2460\u2461\u2466.\u24ea.\u24ea.\u2460:{port}/",
    "http://\u0661\u0662\u0667.0.0.1:{port}/",
    "http://\u24db\u24de\u24d2\u24d0\u24db\u24d7\u24de\u24e2\u24e3:{port}/",
    "http://\uff4c\uff4f\uff43\uff41\uff4c\uff48\uff4f\uff53\uff54:{port}/",
    "http://loca\u017fhost:{port}/",
    "http://\u212aubernetes:{port}/",
    "http://local\u2060host:{port}/",
    "http://xn--localhost-:{port}/",
    "http://xn--127-:{port}/",
    "http://xn--a:{port}/",
    "http://xn--:{port}/",
    # IPv6
    "http://::1:{port}/",
    "http://[::1:{port}/",
    "http://::1]:{port}/",
    "http://[[::1]]:{port}/",
    "http://[]:{port}/",
    "http://[::1%25lo]:{port}/",
    "http://[fe80::1%eth0]:{port}/",
    "http://[::1%2525]:{port}/",
    "http://[::127.0.0.01]:{port}/",
    "http://[::ffff:0177.0.0.1]:{port}/",
    "http://[::ffff:127.1]:{port}/",
    "http://[:::1]:{port}/",
    "http://[1::2::3]:{port}/",
    "http://[v1.localhost]:{port}/",
    "http://[127.0.0.1]:{port}/",
    "http://[localhost]:{port}/",
    "http://[::1]{port}/",
    "http://[::1].example.com:{port}/",
    "http://example.com[::1]:{port}/",
    # ports
    "http://127.0.0.1:/",
    "http://127.0.0.1:0/",
    "http://127.0.0.1:00080/",
    "http://127.0.0.1:65536/",
    "http://127.0.0.1:99999/",
    "http://127.0.0.1:-1/",
    "http://127.0.0.1:+80/",
    "http://127.0.0.1:8_0/",
    "http://127.0.0.1:0x50/",
    "http://127.0.0.1:http/",
    "http://127.0.0.1:\uff18\uff10/",
    "http://127.0.0.1:{port}:80/",
    "http://127.0.0.1:80,8080/",
    # labels
    "http://-localhost:{port}/",
    "http://localhost-:{port}/",
    "http://local_host:{port}/",
    "http://local*host:{port}/",
    "http://$(hostname):{port}/",
    "http://{{host}}:{port}/",
    "http://localhost,example.com:{port}/",
    "http://localhost;example.com:{port}/",
    "http://<localhost>:{port}/",
    "http://" + "a" * 64 + ".example.com:{port}/",
    "http://" + ".".join(["a" * 50] * 6) + ":{port}/",
    # paths
    "https://api.example.com/v1/../admin",
    "https://api.example.com/%2e%2e/admin",
    "https://api.example.com/v1/.%2E/admin",
    "https://api.example.com/./v1",
    "https://api.example.com/%zz",
    "https://api.example.com/%",
    "https://api.example.com/<v1>",
    "https://api.example.com/caf\u00e9",
    "https://api.example.com/" + "a" * 2048,
]

#: well written, and they lead where nobody may go
BLOCKED: Final = [
    "http://127.0.0.1:{port}/",
    "https://127.0.0.1:{port}/",
    "HTTP://127.0.0.1:{port}/",
    "https://127.0.0.1:{port}/v1",
    "http://127.0.0.2:{port}/",
    "http://127.255.255.254:{port}/",
    "http://0.0.0.0:{port}/",
    "https://0.0.0.0:{port}/",
    "http://0.255.255.255:{port}/",
    "http://[::1]:{port}/",
    "https://[::1]:{port}/",
    "http://[0:0:0:0:0:0:0:1]:{port}/",
    "http://[0000:0000:0000:0000:0000:0000:0000:0001]:{port}/",
    "http://[::]:{port}/",
    "https://[::]:{port}/",
    "http://[::127.0.0.1]:{port}/",
    "http://[::ffff:127.0.0.1]:{port}/",
    "https://[::ffff:127.0.0.1]:{port}/",
    "http://[::FFFF:7F00:1]:{port}/",
    "http://[0:0:0:0:0:ffff:7f00:0001]:{port}/",
    "http://[::ffff:0.0.0.0]:{port}/",
    "http://[::ffff:0:127.0.0.1]:{port}/",
    "http://[64:ff9b::127.0.0.1]:{port}/",
    "http://[64:ff9b:1::7f00:1]:{port}/",
    "http://[2002:7f00:1::1]:{port}/",
    "http://[2001:0:808:808::80ff:fffe]:{port}/",
    "http://[2001:0:7f00:1::f7f7:f7f7]:{port}/",
    "http://[2606:4700::5efe:127.0.0.1]:{port}/",
    "http://localhost:{port}/",
    "https://localhost:{port}/",
    "https://LOCALHOST:{port}/",
    "https://LocalHost:{port}/v1",
    "https://loopback.test:{port}/",
    "https://loopback6.test:{port}/",
    "https://mapped.test:{port}/",
    "https://mixed.test:{port}/",
    "https://mixed-last.test:{port}/",
    "https://any.test:{port}/",
    "http://mixed.test:{port}/",
    "https://zone.test:{port}/",
    "https://metadata.test/",
    "https://nat64-metadata.test/",
    "https://xn--bcher-kva.test:{port}/",
    "https://b\u00fccher.test:{port}/",
    "http://169.254.169.254/latest/meta-data/",
    "https://169.254.169.254/",
    "https://169.254.170.2/v2/credentials",
    "https://[::ffff:169.254.169.254]/",
    "https://[::ffff:a9fe:a9fe]/",
    "https://[64:ff9b::a9fe:a9fe]/",
    "https://[64:ff9b:1::a9fe:a9fe]/",
    "https://[2002:a9fe:a9fe::]/",
    "https://[fd00:ec2::254]/",
    "https://[fd20:ce::254]/",
    "https://168.63.129.16/",
    "https://100.100.100.200/",
    "https://100.64.0.1/",
    "https://192.0.0.192/",
    "https://10.0.0.1/",
    "https://172.16.0.1/",
    "https://192.168.0.1/",
    "https://198.18.0.1/",
    "https://224.0.0.1/",
    "https://255.255.255.255/",
    "https://240.0.0.1/",
    "https://[fc00::1]/",
    "https://[fd12:3456::1]/",
    "https://[fe80::1]/",
    "https://[fec0::1]/",
    "https://[ff02::1]/",
    "https://[100::1]/",
    "https://[2001:db8::1]/",
    "https://[3fff::1]/",
    "https://[5f00::1]/",
]

#: a public host in plain http: the field is told to use https
PLAIN_HTTP: Final = ["http://public.test/", "http://1.1.1.1/", "http://[2606:4700:4700::1111]:{port}/"]

NO_ADDRESS: Final = [
    "https://missing.test/",
    "https://empty.test/",
    "https://garbage.test/",
    "http://missing.test:{port}/",
]

#: where credentials and other people's machines are, each dressed up in every way below
_INSIDE: Final = ("169.254.169.254", "10.0.0.1", "192.168.1.1", "172.17.0.1", "168.63.129.16", "100.100.100.200")


def _misspell(text: str) -> list[str]:
    """An IPv4 address as C and browsers read it, and nobody writes it."""
    number, parts = int(IPv4Address(text)), text.split(".")
    return [
        str(number),
        hex(number),
        f"0{number:o}",
        ".".join(hex(int(part)) for part in parts),
        ".".join(f"0{int(part):o}" for part in parts),
        f"{parts[0]}.{number & 0xFF_FFFF}",
        f"{text}.",
        text.replace(".", "\u3002"),
        "".join(chr(ord(character) + 0xFEE0) if character.isdigit() else character for character in text),
    ]


def _disguise(text: str) -> list[str]:
    """An IPv4 address inside an IPv6 address."""
    high, low = divmod(int(IPv4Address(text)), 1 << 16)
    return [
        text,
        f"[::ffff:{text}]",
        f"[::{text}]",
        f"[64:ff9b::{high:x}:{low:x}]",
        f"[2002:{high:x}:{low:x}::1]",
        f"[2606:4700::5efe:{text}]",
    ]


MISSPELT: Final = [f"https://{host}:{{port}}/" for inside in _INSIDE for host in _misspell(inside)]
DISGUISED: Final = [f"https://{host}:{{port}}/" for inside in _INSIDE for host in _disguise(inside)]

HOSTILE: Final[list[tuple[str, type[AppError]]]] = [
    *((url, InvalidField) for url in dict.fromkeys((*UNREADABLE, *MISSPELT, *PLAIN_HTTP))),
    *((url, BlockedAddress) for url in dict.fromkeys((*BLOCKED, *DISGUISED))),
    *((url, Unresolvable) for url in NO_ADDRESS),
]

_ANSWERS: Final = {
    "localhost": ("::1", "127.0.0.1"),
    "loopback.test": ("127.0.0.1",),
    "loopback6.test": ("::1",),
    "mapped.test": ("::ffff:127.0.0.1",),
    "mixed.test": ("127.0.0.1", "1.1.1.1"),
    "mixed-last.test": ("1.1.1.1", "2606:4700::1", "127.0.0.1"),
    "any.test": ("0.0.0.0",),
    "zone.test": ("fe80::1%lo",),
    "metadata.test": ("169.254.169.254",),
    "nat64-metadata.test": ("64:ff9b::a9fe:a9fe",),
    "xn--bcher-kva.test": ("127.0.0.1",),
    "public.test": ("1.1.1.1",),
    "empty.test": (),
    "garbage.test": ("127.1",),
}


def resolve_hostile(host: str, port: int) -> tuple[str, ...]:
    """The DNS server of somebody who means harm."""
    if host not in _ANSWERS:
        raise OSError("no such host")
    return _ANSWERS[host]
