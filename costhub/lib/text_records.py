"""TXT records of DNS, by which the owner of a domain proves that it is theirs."""

from typing import Final

import dns.exception
import dns.nameserver
import dns.resolver
from django.conf import settings

#: for all servers and tries together: somebody waits for it
LIFETIME_SECONDS: Final = 3.0
#: of one record: a challenge is far shorter
MOST_CHARACTERS: Final = 1_000


def find_text_records(name: str) -> list[str]:
    """The TXT records of ``name``, each in one piece; none where there are none, or nobody answers in time.

    Asks the resolver of the system, or the one of ``COSTHUB_DNS_SERVER``; tenants choose the name, never the server.
    """
    try:
        # A machine without /etc/resolv.conf has no resolver: whoever made this says so with an exception of its own.
        resolver = dns.resolver.Resolver(configure=settings.DNS_SERVER is None)
        if settings.DNS_SERVER is not None:
            address, port = settings.DNS_SERVER
            resolver.nameservers = [dns.nameserver.Do53Nameserver(address, port)]
        answer = resolver.resolve(f"{name}.", "TXT", lifetime=LIFETIME_SECONDS, search=False)
    except (dns.exception.DNSException, OSError):
        return []
    return [b"".join(record.strings).decode("utf-8", "replace")[:MOST_CHARACTERS] for record in answer]
