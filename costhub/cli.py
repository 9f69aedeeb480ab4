"""The command `costhub`: bring the stack up, tell how it is."""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import django

from costhub.stack.launch import DEFAULT_PORT, UpOptions, run_stack
from costhub.stack.private_files import read_json


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one subcommand. Gives the exit code: 0 done, 1 failed (a sentence on stderr says why), 2 wrong usage."""
    options = _make_parser().parse_args(arguments)
    if options.command == "doctor":
        return _examine(options.data_dir.absolute(), as_json=options.json)
    return run_stack(
        UpOptions(
            data_dir=options.data_dir.absolute(),
            port=options.port,
            workers=options.workers,
            model=options.model,
            demo=options.demo,
        )
    )


def _examine(data_dir: Path, *, as_json: bool) -> int:
    """Print every check of the doctor. Gives 0 when all is well, 1 when something is not."""
    for name, value in read_json(data_dir / "environment.json").items():
        os.environ.setdefault(name, str(value))
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "costhub.settings")
    if not {"DATABASE_URL", "DATABASE_OWNER_URL", "REDIS_URL"} <= os.environ.keys():
        print(
            f"There is no stack in {data_dir}: start one with `costhub up`, or set DATABASE_URL, DATABASE_OWNER_URL "
            "and REDIS_URL.",
            file=sys.stderr,
        )
        return 1
    django.setup()
    from costhub.doctor import examine

    checks = examine(data_dir)
    if as_json:
        print(json.dumps([asdict(check) for check in checks], indent=2))
    else:
        width = max(len(check.name) for check in checks)
        for check in checks:
            print(f"{'ok  ' if check.ok else 'BAD '} {check.name:<{width}}  {check.sentence}")
    return 0 if all(check.ok for check in checks) else 1


def _make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="costhub", description="An LLM gateway that accounts to the nano-dollar.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    up = commands.add_parser(
        "up",
        help="start everything; Ctrl-C stops it",
        description="Start PostgreSQL, Valkey, the demo's model, proxy, console and worker; Ctrl-C stops all of it. "
        "With DATABASE_URL and DATABASE_OWNER_URL, or REDIS_URL, in the environment, that server is not started.",
    )
    up.add_argument(
        "--port", type=_port, help=f"of the proxy and the console (default: {DEFAULT_PORT}, or the next free one)"
    )
    up.add_argument(
        "--workers", type=_workers, default=_default_workers(), help="proxy processes (default: %(default)s)"
    )
    up.add_argument("--no-model", dest="model", action="store_false", help="start no language model")
    up.add_argument("--no-demo", dest="demo", action="store_false", help="make no demo organisation")

    doctor = commands.add_parser("doctor", help="tell how every part is", description="Tell how every part is.")
    doctor.add_argument("--json", action="store_true", help="for programs")

    for command in (up, doctor):
        command.add_argument(
            "--data-dir", type=Path, default=Path("var"), help="where everything is kept (default: var)"
        )
    return parser


def _default_workers() -> int:
    """Half of the processors: the other half is for PostgreSQL, Valkey and the Celery worker."""
    return max(1, len(os.sched_getaffinity(0)) // 2)


def _port(text: str) -> int:
    return _whole(text, 1, 65_535)


def _workers(text: str) -> int:
    return _whole(text, 1, 64)


def _whole(text: str, low: int, high: int) -> int:
    if not text.isascii() or not text.isdigit() or not low <= int(text) <= high:
        raise argparse.ArgumentTypeError(f"{text!r}: give a whole number from {low} to {high}")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
