"""`costhub rotate-master-key`: everything sealed under a new master key."""

import argparse
import os
import sys

from costhub.commands.arguments import Commands, take_data_dir
from costhub.commands.joining import join_stack
from costhub.stack.environment import FORMER_KEYS, MASTER_KEY, begin_rotation, end_rotation
from costhub.stack.private_files import read_json


def add_parser(commands: Commands) -> None:
    """Add the command."""
    rotate = commands.add_parser(
        "rotate-master-key",
        help="seal everything under a new master key, without a stop",
        description="Do the next step of changing the master key: make one (of a stack of `costhub up`), then, once "
        "every process knows both, seal everything under the new one. docs/security.md has the steps.",
    )
    take_data_dir(rotate)
    rotate.set_defaults(do=_rotate_master_key)


def _rotate_master_key(options: argparse.Namespace) -> int:
    """The next step of a rotation, told in a sentence. Gives 1 where something has to be done first."""
    data_dir = options.data_dir.absolute()
    is_ours = MASTER_KEY not in os.environ and MASTER_KEY in read_json(data_dir / "secrets.json")
    if is_ours and begin_rotation(data_dir):
        print("There is a new master key, and the former one still opens. Restart the stack, then run this again.")
        return 0
    # Whoever runs now must know both keys before anything is sealed with the new one.
    started_with = read_json(data_dir / "environment.json").get(MASTER_KEY)
    if is_ours and started_with != read_json(data_dir / "secrets.json")[MASTER_KEY]:
        print("The stack still runs with the former key alone: restart it, then run this again.", file=sys.stderr)
        return 1
    if not join_stack(data_dir):
        return 1
    from django.conf import settings

    from costhub.ops.master_keys import reseal_everything

    if not settings.MASTER_KEYS.former:
        print(f"There is no former key: docs/security.md says how {FORMER_KEYS} is set first.", file=sys.stderr)
        return 1
    done = reseal_everything()
    print(f"Sealed again: {done.orgs} organisations, {done.factors} second factors.")
    if done.lost:
        print(f"These open with no key that is known: {', '.join(done.lost)}.", file=sys.stderr)
        return 1
    if is_ours:
        end_rotation(data_dir)
        print("The former key is forgotten. Restart the stack, so that no process knows it any more.")
    else:
        print(f"Everything is under {MASTER_KEY}: take {FORMER_KEYS} away, and restart.")
    return 0
