"""GPTCache itself on CLINC150: the same requests in the same order with the same vectors as `costhub eval cache`.

python -m bench.gptcache --data DIR --vectors DIR [--seed 1] [--requests N] [--threshold 0.8]

Installs GPTCache into an environment of its own, once. It gets MiniLM's vectors as they are (what it would download is
not asked for), keeps questions in SQLite and vectors in FAISS, as its own examples have it, and serves by distance, at
its default threshold and at one that makes about as few errors as ours. Beside it stands what this repository's
evaluation makes of the same stream.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from bench.peers.base import install_python_package
from costhub.eval.cache import Run, Stream, answers_of, run_stream
from costhub.eval.data import read_clinc
from costhub.eval.vectors import Vectors

PACKAGES: Final = "gptcache==0.1.44 faiss-cpu==1.15.1 sqlalchemy==2.0.58"
#: a rank among 0 to 4 from which it serves, as a share of 4; a cosine of c is 1 - (1 - c) / 2. Its default, and cosines
#: of 0.84 and 0.87
THRESHOLDS: Final = (0.8, 0.92, 0.935)


def main(arguments: Sequence[str]) -> int:
    """Measure and print a table's rows."""
    parser = argparse.ArgumentParser(prog="python -m bench.gptcache")
    parser.add_argument("--data", type=Path, required=True, help="the folder of data, as `costhub eval` has it")
    parser.add_argument("--vectors", type=Path, required=True, help="the folder of vectors that `costhub eval` left")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--requests", type=int, default=0, help="only so many of them")
    parser.add_argument("--threshold", type=float, action="append", help="only from this one on; may be given again")
    wanted = parser.parse_args(arguments)
    python = install_python_package("gptcache", PACKAGES) / "python"
    rows = read_clinc(wanted.data)
    random.Random(wanted.seed).shuffle(rows)
    rows = rows[: wanted.requests or len(rows)]
    texts = [text for text, _ in rows]
    vectors = Vectors(wanted.vectors).embed(texts)
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder) / "vectors.npy", vectors)
        order = {
            "vectors": f"{folder}/vectors.npy",
            "texts": texts,
            "answers": answers_of([intent for _, intent in rows]),
            "thresholds": wanted.threshold or THRESHOLDS,
            "folder": folder,
        }
        script = Path(__file__).parent / "peers" / "gptcache_stream.py"
        ran = subprocess.run([str(python), str(script)], input=json.dumps(order), stdout=subprocess.PIPE, text=True)
    if ran.returncode:
        return 1
    for line in ran.stdout.splitlines():
        found = json.loads(line)
        run = Run(found["requests"], found["hits"], found["wrong"])
        print(_tell(f"GPTCache, threshold {found['threshold']}", run), end=" ")
        print(f"a look-up {found['finding'] / run.requests * 1000:.1f} ms,", end=" ")
        print(f"to keep one {found['keeping'] / max(1, run.requests - run.hits) * 1000:.1f} ms |")
    ours = run_stream(Stream(texts, answers_of([intent for _, intent in rows]), vectors), wanted.seed)
    for name, run in (("gate and guards", ours.guarded), *((f"cosine from {at} on", run) for at, run in ours.static)):
        print(_tell(name, run), "|")
    return 0


def _tell(name: str, run: Run) -> str:
    return f"| {name} | {run.requests:,} | {run.hit_rate:.1%} | {run.error_rate:.2%} | {run.error_upper:.2%} |"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
