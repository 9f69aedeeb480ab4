"""The command `costhub`: bring the stack up, tell how it is, measure how well it saves."""

import argparse
import sys
from collections.abc import Sequence
from typing import Final

from django.core.exceptions import ImproperlyConfigured
from django.db import InterfaceError, OperationalError
from redis.exceptions import RedisError

from costhub.commands import (
    admin,
    backups,
    departures,
    distil,
    doctor,
    evaluation,
    gpu_worker,
    master_key,
    model_servers,
    run,
    serving_worker,
    up,
)

#: in the order in which `costhub --help` lists them; each says itself what is done
COMMANDS: Final = (
    up,
    run,
    doctor,
    gpu_worker,
    distil,
    model_servers,
    serving_worker,
    evaluation,
    backups,
    master_key,
    departures,
    admin,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one subcommand. Gives the exit code: 0 done, 1 failed (a sentence on stderr says why), 2 wrong usage."""
    parser = argparse.ArgumentParser(prog="costhub", description="An LLM gateway that accounts to the nano-dollar.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add_parser(commands)
    options = parser.parse_args(arguments)
    try:
        done: int = options.do(options)
    except ImproperlyConfigured as error:
        print(f"costhub {options.command}: {error}", file=sys.stderr)
        return 1
    except (OperationalError, InterfaceError, RedisError) as error:
        said = next(iter(str(error).strip().splitlines()), type(error).__name__)
        told = f"PostgreSQL or Valkey is away, or in trouble: {said}"
        print(f"costhub {options.command}: {told}. `costhub doctor` looks at both.", file=sys.stderr)
        return 1
    return done


if __name__ == "__main__":
    sys.exit(main())
