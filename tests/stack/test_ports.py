"""Ports: what is taken is seen, what is given is free."""

import socket

import pytest

from costhub.stack import ports
from costhub.stack.ports import HIGHEST, HOST, LOWEST, find_free_port, is_free, next_free_port


def test_a_port_somebody_listens_on_is_not_free() -> None:
    with socket.create_server((HOST, 0)) as server:
        port = server.getsockname()[1]
        assert is_free(port) is False
    assert is_free(port) is True


def test_a_found_port_is_below_the_range_of_outgoing_connections() -> None:
    port = find_free_port()
    assert LOWEST <= port < HIGHEST
    with socket.create_server((HOST, port)) as server:
        assert server.getsockname() == (HOST, port)


def test_a_port_that_was_just_given_is_not_given_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever got it may not listen there yet: of so many two would always be alike. Nor does it ever run out of them,
    however few there are."""
    monkeypatch.setattr(ports, "HIGHEST", LOWEST + 400)
    given = [find_free_port() for _ in range(1_000)]
    assert all(len({*given[first : first + 200]}) == 200 for first in range(801))


def test_the_next_free_port_skips_a_taken_one() -> None:
    first = find_free_port()
    with socket.create_server((HOST, first)):
        assert first < next_free_port(first) <= first + 99
    assert next_free_port(first) == first


def test_no_port_beyond_the_last_is_tried() -> None:
    with socket.socket() as blocker:
        blocker.bind((HOST, 65_535))
        blocker.listen()
        with pytest.raises(OSError, match="the ports from 65535 on are taken: give a free one with --port"):
            next_free_port(65_535)
