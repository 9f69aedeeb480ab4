"""Usage on its way to Stripe: how many deltas a second the job sends, customers side by side.

python -m bench.outbox [--customers 200] [--deltas 20] [--answers-after-ms 40]

Starts PostgreSQL and Valkey, as `costhub up` runs them, and the tests' stateful double of Stripe in a process of its
own. Each customer has so many hourly deltas pending; the job sends them as the worker runs it, through the real library
and the gate. The double answers at once first, which says what a delta costs us, then after as long as an API across
the internet may take. Each time the double's sums are compared with the deltas, and events that came twice counted.
"""

import argparse
import os
import sys
from collections.abc import Sequence

from bench.rollups import servers


def main(arguments: Sequence[str]) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.outbox")
    parser.add_argument("--customers", type=int, default=200)
    parser.add_argument("--deltas", type=int, default=20, help="of each customer")
    parser.add_argument("--answers-after-ms", type=int, default=40)
    wanted = parser.parse_args(arguments)
    with servers():
        os.environ |= {
            "DJANGO_SETTINGS_MODULE": "costhub.settings",
            "COSTHUB_ALLOWED_NETWORKS": "127.0.0.0/8",
        }
        import django  # noqa: PLC0415 - the settings read where the database is

        django.setup()
        from bench.outbox_figures import measure  # noqa: PLC0415

        for line in measure(wanted.customers, wanted.deltas, wanted.answers_after_ms / 1000):
            print(line, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
