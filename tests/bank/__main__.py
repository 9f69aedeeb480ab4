"""``python -m tests.bank --port 0 --bill PATH``: run a bank until SIGTERM."""

import argparse
import asyncio
from pathlib import Path

from tests.bank.server import serve


def main() -> None:
    parser = argparse.ArgumentParser(prog="tests.bank", description="An OpenAI-compatible upstream that bills.")
    parser.add_argument("--port", type=int, default=0, help="0 for a free one; it is printed when the bank is ready")
    parser.add_argument("--bill", type=Path, required=True, help="the bill file, read back and continued if it exists")
    parser.add_argument("--port-file", type=Path, help="a file to write the port to")
    parser.add_argument("--no-fsync", action="store_true", help="for benchmarks: survive a kill, not a power cut")
    parser.add_argument("--end-with-stdin", action="store_true", help="end when standard input does")
    parser.add_argument("--other", type=Path, action="append", default=[], help="a bill that it knows, too")
    given = parser.parse_args()
    asyncio.run(
        serve(
            given.bill,
            port=given.port,
            port_file=given.port_file,
            fsync=not given.no_fsync,
            ends_with_stdin=given.end_with_stdin,
            others=given.other,
        )
    )


if __name__ == "__main__":
    main()
