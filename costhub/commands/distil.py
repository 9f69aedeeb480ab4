"""`costhub distil`: from prompts to a canary."""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from costhub.commands.arguments import Commands, count, take_data_dir
from costhub.commands.joining import join_stack
from costhub.stack.private_files import read_json


def add_parser(commands: Commands) -> None:
    """Add the command."""
    learns = commands.add_parser(
        "distil",
        help="from prompts to a canary on the running stack, with figures",
        description="Have a stand-in for an expensive teacher answer prompts of a public set through the proxy, make a dataset of "
        "them, train a student, compare it, make it a canary by its route, and send it calls. A stack with the demo is "
        "ready for it.",
    )
    learns.add_argument("--data", type=Path, required=True, help="the folder of data; docs/quality.md says where from")
    learns.add_argument("--set", choices=("clinc150", "headlines"), default="clinc150", help="(default: %(default)s)")
    learns.add_argument(
        "--kind",
        choices=("head", "encoder"),
        default="head",
        help="what is trained: a head, or its encoder too, for which the extra costhub[learning] is needed (default: head)",
    )
    learns.add_argument("--email", default="", help="who may open its page (default: the demo's owner)")
    learns.add_argument("--prompts", type=count, default=1_500, help="that are learned from (default: %(default)s)")
    learns.add_argument("--labels", type=count, help="of the set, only the first N (default: 20 intents, 4 directions)")
    learns.add_argument("--calls", type=count, default=300, help="that are sent in the end (default: %(default)s)")
    learns.add_argument("--json", action="store_true", help="for programs")
    take_data_dir(learns)
    learns.set_defaults(do=_distil)


def _distil(options: argparse.Namespace) -> int:
    """From prompts to a canary. Gives 1 where it cannot go on, after a sentence that says why."""
    data_dir = options.data_dir.absolute()
    if not join_stack(data_dir):
        return 1
    from costhub.eval.data import DataMissing
    from costhub.eval.distil import Failed, distil, show
    from costhub.lib.errors import AppError
    from proxy.learning.choices import JobKind

    email = options.email or str(read_json(data_dir / "demo.json").get("admin_email", "demo@costhub.example"))
    try:
        figures = distil(
            *(options.data, data_dir),
            email=email,
            prompts=options.prompts,
            calls=options.calls,
            name=options.set,
            labels=options.labels,
            kind=JobKind(options.kind),
            tell=lambda step: print(f"{step} ...", file=sys.stderr, flush=True),
        )
    except (DataMissing, Failed, AppError) as error:
        print(f"costhub distil: {error}", file=sys.stderr)
        return 1
    print(json.dumps(asdict(figures), indent=2) if options.json else show(figures))
    # A student that no call may be sent to is a result, but not what was asked for.
    return 0 if figures.calls else 1
