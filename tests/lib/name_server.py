"""A name server of one's own, for what is read from DNS: it knows some TXT records or addresses, and no other name."""

import socket
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

from tests.patience import PATIENCE_SECONDS

#: what there is of a name and a type of record, as text: None for a name that is not there
Known = Callable[[str, dns.rdatatype.RdataType], Sequence[str] | None]


@contextmanager
def serve_text_records(records: Mapping[str, str]) -> Iterator[tuple[str, int]]:
    """Its address and port, until the block ends. ``records`` may change meanwhile."""

    def know(name: str, kind: dns.rdatatype.RdataType) -> Sequence[str] | None:
        text = records.get(name)
        if text is None or kind != dns.rdatatype.TXT:
            return None if text is None else ()
        return [" ".join(f'"{text[start : start + 200]}"' for start in range(0, len(text) or 1, 200))]

    with serve_names(know) as address:
        yield address


@contextmanager
def serve_names(know: Known) -> Iterator[tuple[str, int]]:
    """Its address and port, until the block ends. What it says is good for no longer than the moment."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    listener.bind(("127.0.0.1", 0))
    thread = threading.Thread(target=_answer, args=(listener, know), daemon=True)
    thread.start()
    address, port = listener.getsockname()
    try:
        yield address, port
    finally:
        # An empty datagram is the end: a close alone wakes nobody who waits.
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", (address, port))
        thread.join(PATIENCE_SECONDS)
        listener.close()


def _answer(listener: socket.socket, know: Known) -> None:
    while True:
        asked, caller = listener.recvfrom(4_096)
        if not asked:
            return
        query = dns.message.from_wire(asked)
        answer = dns.message.make_response(query)
        question = query.question[0]
        known = know(question.name.to_text(omit_final_dot=True).lower(), question.rdtype)
        if known is None:
            answer.set_rcode(dns.rcode.NXDOMAIN)
        elif known:
            answer.answer.append(dns.rrset.from_text(question.name, 0, "IN", question.rdtype, *known))
        answer.flags |= dns.flags.AA | dns.flags.RA
        listener.sendto(answer.to_wire(), caller)
