"""An hour of a real service's traffic, replayed through the whole product, and everything that it says compared:

    python -m bench.replay --data AzureLLMInferenceTrace_conv.csv [--speed 20] [--calls N] [--out FOLDER]

A whole `costhub up`, the tests' bank for an upstream, a real SMTP server for a sink. The trace (the Azure LLM inference
trace of 2023, conversations; TIMESTAMP, ContextTokens, GeneratedTokens) is read where it lies. Ends with 1 if anything
does not hold, and prints all figures as one JSON object. With ``--out`` one mail of each kind is rendered there.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import httpx2

from bench.alerts import run_stack
from bench.replay.stack import join_stack
from bench.replay.trace import read_trace
from tests.bank import Bank
from tests.mail import run_mail_sink


def main(arguments: Sequence[str]) -> int:
    """Run, check, print."""
    parser = argparse.ArgumentParser(prog="python -m bench.replay")
    parser.add_argument("--data", type=Path, required=True, help="the trace, a CSV file")
    parser.add_argument("--speed", type=float, default=20.0, help="how many times as fast as it was recorded")
    parser.add_argument("--calls", type=int, help="only the first so many")
    parser.add_argument("--out", type=Path, help="where one picture of each kind of mail goes")
    options = parser.parse_args(arguments)
    calls = read_trace(options.data, options.calls)
    with tempfile.TemporaryDirectory(prefix="costhub-bench-") as folder, run_mail_sink() as sink:
        work = Path(folder)
        work.chmod(0o711)
        bank = Bank.start(work, fsync=False)
        try:
            with run_stack(work / "stack", sink) as stack, httpx2.Client(timeout=60, trust_env=False) as http:
                join_stack(work / "stack", sink.port)
                from bench.replay.provoke import provoke  # noqa: PLC0415 - the settings read where the stack is
                from bench.replay.run import run_replay  # noqa: PLC0415

                findings, world, org = run_replay(http, stack, bank, sink, calls, options.speed)
                if options.out:
                    from bench.replay.pictures import draw  # noqa: PLC0415

                    provoke(http, world, org, bank)
                    draw(findings, org, sink.mails, options.out)
        finally:
            bank.stop()
    print(json.dumps({"holds": not findings.failed, "failed": findings.failed, **findings.figures}))
    return 1 if findings.failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
