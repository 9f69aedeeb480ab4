"""`costhub up`: everything on one machine."""

import argparse

from costhub.commands.arguments import Commands, default_workers, port, take_data_dir, workers
from costhub.stack.launch import DEFAULT_PORT, UpOptions, run_stack


def add_parser(commands: Commands) -> None:
    """Add the command."""
    up = commands.add_parser(
        "up",
        help="start everything; Ctrl-C stops it",
        description="Start PostgreSQL, Valkey, the demo's model, proxy, console and worker; Ctrl-C stops all of it. "
        "With DATABASE_URL and DATABASE_OWNER_URL, or REDIS_URL, in the environment, that server is not started.",
    )
    up.add_argument(
        "--port", type=port, help=f"of the proxy and the console (default: {DEFAULT_PORT}, or the next free one)"
    )
    up.add_argument("--workers", type=workers, default=default_workers(), help="proxy processes (default: %(default)s)")
    up.add_argument("--no-model", dest="model", action="store_false", help="start no language model")
    up.add_argument("--no-demo", dest="demo", action="store_false", help="make no demo organisation")
    take_data_dir(up)
    up.set_defaults(do=_start)


def _start(options: argparse.Namespace) -> int:
    return run_stack(
        UpOptions(
            data_dir=options.data_dir.absolute(),
            port=options.port,
            workers=options.workers,
            model=options.model,
            demo=options.demo,
        )
    )
