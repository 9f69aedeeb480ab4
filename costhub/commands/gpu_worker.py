"""`costhub gpu-worker`: trains what learns."""

import argparse
import sys

from costhub.commands.arguments import Commands, count, take_data_dir
from costhub.commands.joining import join_stack


def add_parser(commands: Commands) -> None:
    """Add the command."""
    worker = commands.add_parser(
        "gpu-worker",
        help="train students; SIGTERM or the cloud's notice makes it stop safely",
        description="Work on training jobs. On SIGTERM, or when the cloud takes the machine away, the present state is "
        "made safe and another worker goes on from there. Checkpoints go to COSTHUB_CHECKPOINTS_URL.",
    )
    worker.add_argument("--once", action="store_true", help="end when no job is left")
    worker.add_argument("--name", default="", help="what jobs call this worker (default: host and process)")
    worker.add_argument(
        "--threads",
        type=count,
        default=1,
        help="of the processor; with one an interrupted training ends with the same bits (default: 1)",
    )
    take_data_dir(worker)
    worker.set_defaults(do=_train)


def _train(options: argparse.Namespace) -> int:
    """Work on training jobs until a notice comes. Gives 1 where there is no stack or no place for checkpoints."""
    data_dir = options.data_dir.absolute()
    if not join_stack(data_dir, COSTHUB_CHECKPOINTS_URL=(data_dir / "checkpoints").as_uri()):
        return 1
    from proxy.learning.checkpoints import StoreFailed
    from proxy.learning.worker_process import run_worker

    try:
        ended = run_worker(is_once=options.once, name=options.name, threads=options.threads)
    except StoreFailed as error:
        print(f"costhub gpu-worker: {error}", file=sys.stderr)
        return 1
    print(f"{ended} training job{'' if ended == 1 else 's'} ended.")
    return 0
