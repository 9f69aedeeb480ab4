"""The end of a month at size: closing it for all customers, the largest invoice, and the bill bridge.

python -m bench.close [--rows 10000000] [--organizations 1000]

Starts PostgreSQL and Valkey, as `costhub up` runs them, and fills a ledger with a month of calls: half of them are one
organisation's, the others share the rest, all in office hours. The largest has as many in the month before, so that its
bridge joins two months. Then the job that closes months runs as the worker runs it, is killed in the middle, and goes
on; what was issued is compared with the ledger, to the nano. Mails find no addresses: their documents are made.
"""

import argparse
import os
import sys
from collections.abc import Sequence

from bench.rollups import servers


def main(arguments: Sequence[str]) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.close")
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--organizations", type=int, default=1_000)
    wanted = parser.parse_args(arguments)
    with servers():
        import django  # noqa: PLC0415 - the settings read where the database is

        os.environ["DJANGO_SETTINGS_MODULE"] = "costhub.settings"
        django.setup()
        from bench.close_figures import measure  # noqa: PLC0415

        for line in measure(wanted.rows, wanted.organizations):
            print(line, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
