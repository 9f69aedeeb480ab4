"""`costhub serving-worker`: one server of an upstream, on a machine that may be taken away."""

import argparse
import os
import sys

from costhub.commands.arguments import Commands, count
from costhub.stack.launch import DEFAULT_PORT


def add_parser(commands: Commands) -> None:
    """Add the command."""
    serve = commands.add_parser(
        "serving-worker",
        help="one server of an upstream, on a machine that may be taken away",
        description="Register a model server as an endpoint of an upstream. On SIGTERM, or when the cloud takes the "
        "machine away, it drains: no new call comes, and those under way end. COSTHUB_URL and COSTHUB_ADMIN_TOKEN say "
        "where and who; COSTHUB_ENDPOINT_CREDENTIAL is what the server asks of its callers.",
    )
    serve.add_argument("--upstream", required=True, help="whose calls it takes, by name or id")
    serve.add_argument("--base-url", required=True, help="where proxies reach it, such as http://10.0.0.7:8000/v1")
    serve.add_argument(
        "--busy-url",
        default="",
        help="its metrics, such as http://127.0.0.1:8000/metrics: when its last call has ended",
    )
    serve.add_argument("--name", default="", help="what lists call it")
    serve.add_argument("--weight", type=int, default=1, help="its share of the calls (default: 1)")
    serve.add_argument("--per-hour", default="", metavar="USD", help="what an hour of each of its GPUs costs")
    serve.add_argument("--gpus", default="1", metavar="N", help="how many it has, such as 0.5 (default: 1)")
    serve.add_argument("--project", default="", help="who pays for its hours in which nobody calls, by name or id")
    serve.add_argument(
        "--drain-seconds", type=count, default=110, metavar="N", help="the longest that it waits for its last calls"
    )
    serve.add_argument("server", nargs="*", metavar="COMMAND", help="after --: starts the server, if nobody else does")
    serve.set_defaults(do=_serve)


def _serve(options: argparse.Namespace) -> int:
    """Have a server take calls of an upstream until a notice comes. Gives 1 where that cannot be."""
    from costhub.client.serving_worker import Gone, Serving, ServingWorker, open_costhub
    from proxy.learning.interruptions import Interruption

    token = os.environ.get("COSTHUB_ADMIN_TOKEN", "")
    if not token:
        print("Give an admin token that may write settings: set COSTHUB_ADMIN_TOKEN.", file=sys.stderr)
        return 1
    interruption = Interruption()
    interruption.listen_to_signals()
    if metadata := os.environ.get("COSTHUB_INSTANCE_METADATA_URL"):
        interruption.poll_cloud(metadata)
    serving = Serving(
        upstream=options.upstream,
        base_url=options.base_url.rstrip("/"),
        busy_url=options.busy_url,
        command=options.server,
        name=options.name,
        weight=options.weight,
        per_hour=options.per_hour,
        gpus=options.gpus,
        project=options.project,
        credential=os.environ.get("COSTHUB_ENDPOINT_CREDENTIAL", ""),
        drain_seconds=options.drain_seconds,
    )
    url = os.environ.get("COSTHUB_URL", f"http://127.0.0.1:{DEFAULT_PORT}")
    try:
        with open_costhub(url, token) as costhub:
            ServingWorker(serving, costhub, interruption).run()
    except (Gone, OSError) as error:
        print(f"costhub serving-worker: {error}", file=sys.stderr)
        return 1
    finally:
        interruption.stop()
    return 0
