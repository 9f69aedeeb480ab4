"""``python -m tests.proxy.edges.job drain|drain_all|reap SHARD``, ``correct ORGANISATION`` or ``drop MONTH``: a
worker's job in a process of its own, to be killed."""

import os
import subprocess
import sys
from datetime import date
from pathlib import Path

import django

from tests.patience import PATIENCE_SECONDS

ROOT = Path(__file__).resolve().parents[3]


def start(job: str, about: object, *, failpoint: str = "") -> subprocess.Popen[bytes]:
    """Start a job; with ``failpoint`` it dies there as by kill -9."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.proxy.edges.job", job, str(about)],
        cwd=ROOT,
        env=os.environ
        | {"DJANGO_SETTINGS_MODULE": "costhub.settings", "COSTHUB_FAILPOINT": failpoint}
        | {"COSTHUB_ALLOWED_NETWORKS": "127.0.0.0/8", "COSTHUB_LOG_LEVEL": "ERROR"},
    )


def run(job: str, about: object, *, failpoint: str = "") -> int:
    """Run a job to its end. Its exit code: -9 where it was killed."""
    with start(job, about, failpoint=failpoint) as process:
        return process.wait(timeout=PATIENCE_SECONDS)


def main(job: str, about: str) -> None:
    django.setup()
    from costhub.lib import keyspace
    from costhub.lib.net import gate_from_settings
    from costhub.lib.redis import client
    from proxy.ledger import bill_corrections, drain, reaper, retention

    if job == "drain":
        drain.drain(int(about))
    elif job == "drain_all":
        while client().xlen(keyspace.ledger_key(int(about))):
            drain.drain(int(about))
    elif job == "reap":
        reaper.reap(int(about))
    elif job == "correct":
        bill_corrections.correct_estimates(about, gate_from_settings())
    elif job == "drop":
        retention.drop_month(date.fromisoformat(about))


if __name__ == "__main__":
    main(*sys.argv[1:])
