"""`costhub eval`: what caching, routing and compression save, and what they spoil."""

import argparse
from pathlib import Path

from costhub.commands.arguments import Commands


def add_parser(commands: Commands) -> None:
    """Add the command."""
    measure = commands.add_parser(
        "eval",
        help="measure what caching, routing and compression save, and what they spoil",
        description="Measure quality on public data, with controls and intervals. docs/quality.md says where it is from.",
    )
    measure.add_argument("subject", choices=("all", "routing", "cascade", "compression", "cache", "distillation"))
    measure.add_argument("--data", type=Path, required=True, help="the folder of data")
    measure.add_argument("--vectors", type=Path, help="a folder that keeps the texts' vectors for the next run")
    measure.add_argument("--json", action="store_true", help="for programs")
    measure.add_argument(
        "--write", type=Path, metavar="FILE", help="put the tables into this document, pictures beside it"
    )
    measure.set_defaults(do=_evaluate)


def _evaluate(options: argparse.Namespace) -> int:
    # Its libraries take seconds to import, which `up` and `doctor` do not need.
    from costhub.eval.command import evaluate

    return evaluate(
        options.subject, options.data, vectors=options.vectors, as_json=options.json, document=options.write
    )
