"""The semantic cache at size: look-ups by meaning, their recall, and what the index costs.

python -m bench.semantic [--entries 200000] [--organizations 1000] [--vectors FOLDER] [--whole] [--processes 1]

Starts PostgreSQL and Valkey, as `costhub up` runs them, and fills the cache's tables: one organisation has a fifth of
the entries in one scope, one 4 % and one 0.1 %, and all others share the rest. Vectors are scattered around centres, as
questions are around their subjects: around those of real questions where a folder has them (`costhub eval --vectors`
leaves one), else around random ones. A look-up is what a call waits for: the question's vector on one thread, and the
search through row-level security, in the process's own connection.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.rollups import servers


def main(arguments: Sequence[str]) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.semantic")
    parser.add_argument("--entries", type=int, default=200_000)
    parser.add_argument("--organizations", type=int, default=1_000)
    parser.add_argument("--vectors", type=Path, help="a folder with vectors of questions")
    parser.add_argument("--whole", action="store_true", help="an index of whole floats beside it, for its size")
    parser.add_argument("--processes", type=int, default=1, help="how many of PostgreSQL's build an index")
    wanted = parser.parse_args(arguments)
    with servers():
        import django  # noqa: PLC0415 - the settings read where the database is

        os.environ["DJANGO_SETTINGS_MODULE"] = "costhub.settings"
        django.setup()
        from bench.semantic_figures import measure  # noqa: PLC0415
        from costhub.eval.vectors import Vectors  # noqa: PLC0415

        centres = Vectors(wanted.vectors).all() if wanted.vectors else None
        for line in measure(
            wanted.entries, wanted.organizations, centres, with_vector=wanted.whole, processes=wanted.processes
        ):
            print(line, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
