"""`costhub admin`: what the console does, from a shell."""

import argparse
import os

from costhub.client import admin
from costhub.commands.arguments import Commands
from costhub.stack.launch import DEFAULT_PORT


def add_parser(commands: Commands) -> None:
    """Add the command."""
    admin.add_parser(commands).set_defaults(do=_ask)


def _ask(options: argparse.Namespace) -> int:
    url = options.url or os.environ.get("COSTHUB_URL", f"http://127.0.0.1:{DEFAULT_PORT}")
    return admin.run(options, url=url, token=options.token or os.environ.get("COSTHUB_ADMIN_TOKEN", ""))
