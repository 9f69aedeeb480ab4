"""A name server of one's own, for what is read from DNS: it knows some TXT records, and no other name."""

import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset


@contextmanager
def serve_text_records(records: Mapping[str, str]) -> Iterator[tuple[str, int]]:
    """Its address and port, until the block ends. ``records`` may change meanwhile."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    listener.bind(("127.0.0.1", 0))
    thread = threading.Thread(target=_answer, args=(listener, records), daemon=True)
    thread.start()
    address, port = listener.getsockname()
    try:
        yield address, port
    finally:
        # An empty datagram is the end: a close alone wakes nobody who waits.
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", (address, port))
        thread.join(5)
        listener.close()


def _answer(listener: socket.socket, records: Mapping[str, str]) -> None:
    while True:
        asked, caller = listener.recvfrom(4_096)
        if not asked:
            return
        query = dns.message.from_wire(asked)
        answer = dns.message.make_response(query)
        question = query.question[0]
        text = records.get(question.name.to_text(omit_final_dot=True).lower())
        if text is None:
            answer.set_rcode(dns.rcode.NXDOMAIN)
        elif question.rdtype == dns.rdatatype.TXT:
            parts = " ".join(f'"{text[start : start + 200]}"' for start in range(0, len(text) or 1, 200))
            answer.answer.append(dns.rrset.from_text(question.name, 60, "IN", "TXT", parts))
        answer.flags |= dns.flags.AA | dns.flags.RA
        listener.sendto(answer.to_wire(), caller)
