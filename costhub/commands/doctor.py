"""`costhub doctor`: how every part is."""

import argparse
import json
from dataclasses import asdict

from costhub.commands.arguments import Commands, take_data_dir
from costhub.commands.joining import join_stack


def add_parser(commands: Commands) -> None:
    """Add the command."""
    doctor = commands.add_parser("doctor", help="tell how every part is", description="Tell how every part is.")
    doctor.add_argument("--json", action="store_true", help="for programs")
    take_data_dir(doctor)
    doctor.set_defaults(do=_examine)


def _examine(options: argparse.Namespace) -> int:
    """Print every check of the doctor. Gives 0 when all works, warnings or not, 1 when something does not."""
    data_dir = options.data_dir.absolute()
    if not join_stack(data_dir):
        return 1
    from costhub.ops.doctor import examine

    checks = examine(data_dir)
    if options.json:
        print(json.dumps([asdict(check) for check in checks], indent=2))
    else:
        width = max(len(check.name) for check in checks)
        for check in checks:
            mark = "BAD " if not check.ok else "warn" if check.is_warning else "ok  "
            print(f"{mark} {check.name:<{width}}  {check.sentence}")
    return 0 if all(check.ok for check in checks) else 1
