"""`costhub run`: one of CostHub's own processes."""

import argparse
import os
import sys
from importlib import import_module

from costhub.commands.arguments import Commands, default_workers, port, take_data_dir, workers
from costhub.stack.launch import DEFAULT_PORT
from costhub.stack.part import PartFailed
from costhub.stack.ports import HOST
from costhub.stack.run import PARTS, find_part, run_part


def add_parser(commands: Commands) -> None:
    """Add the command."""
    run = commands.add_parser(
        "run",
        help="one process, for systemd or a container",
        description="Run one of CostHub's own processes, with everything that it needs in the environment. Nothing else "
        "is started, and nothing migrated.",
    )
    run.add_argument("part", choices=PARTS)
    run.add_argument("--host", default=HOST, help="where the proxy listens (default: %(default)s)")
    run.add_argument("--port", type=port, help=f"of the proxy (default: {DEFAULT_PORT})")
    run.add_argument(
        "--workers",
        type=workers,
        default=default_workers(),
        help="processes of proxy or pages (default: %(default)s)",
    )
    take_data_dir(run)
    run.set_defaults(do=_run)


def _run(options: argparse.Namespace) -> int:
    """Become one part. Comes back only where that could not be, after a sentence that says why, with 1."""
    data_dir = options.data_dir.absolute()
    try:
        part = find_part(
            options.part,
            data_dir,
            dict(os.environ),
            host=options.host,
            port=options.port or DEFAULT_PORT,
            workers=options.workers,
        )
        # A setting that cannot be read is said here in a sentence: the part would say it with a traceback.
        import_module(part.environment()["DJANGO_SETTINGS_MODULE"])
        run_part(part)
    except (PartFailed, OSError) as error:
        print(f"costhub run: {error}", file=sys.stderr)
    return 1
