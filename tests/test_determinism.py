"""What makes a test's result hang on the machine or on chance, and can be seen in its text."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

TESTS: Final = Path(__file__).parent
CLIENTS: Final = {"Client", "AsyncClient", "get", "post", "put", "delete", "request", "stream"}


def read_tests() -> Iterator[tuple[str, str]]:
    """Every module here, by its path."""
    for path in sorted(TESTS.rglob("*.py")):
        if path != Path(__file__):
            yield str(path.relative_to(TESTS)), path.read_text()


def test_every_client_of_a_server_says_how_long_it_waits() -> None:
    """The library's own five seconds are too few on a busy machine."""
    silent = [
        f"{name}:{call.lineno}"
        for name, text in read_tests()
        if "httpx2." in text
        for call in ast.walk(ast.parse(text))
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr in CLIENTS
        if isinstance(call.func.value, ast.Name) and call.func.value.id == "httpx2"
        # None is `**more`. A transport of a test's own is no server.
        if not {keyword.arg for keyword in call.keywords} & {"timeout", "transport", None}
    ]
    assert silent == []


def test_the_audit_log_is_read_in_the_order_in_which_it_was_written() -> None:
    """Where the clock stands, its moments are all one: tests/audit.py reads it by number."""
    by_moment = re.compile(r'AuditEntry\b[^\n]*\.(?:order_by|latest|earliest)\("-?created_at')
    assert [name for name, text in read_tests() if by_moment.search(text)] == []
