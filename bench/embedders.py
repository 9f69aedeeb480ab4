"""Whether both embedders are one: the vectors of ONNX Runtime, which serve, beside those of sentence-transformers.

python -m bench.embedders [--texts FILE]

Needs sentence-transformers and PyTorch, which the default install does not have, beside this project's packages. The
texts are the lines of a file, and always a thousand questions that are hard to tell apart, texts in other languages,
empty ones and ones longer than the model reads.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from costhub.eval.near_misses import make_pairs
from proxy.cache.embedder import Model, Vectors, load_model

EMBEDDERS: Final = ("onnx", "sentence-transformers")
_OTHERS: Final = (
    *(
        "",
        " ",
        "?",
        "Wie heißt die Hauptstadt Frankreichs?",
        "北京的天气怎么样",
        "ما هي عاصمة فرنسا؟",
        "🙂 ok 👩‍👩‍👧‍👦",
    ),
    *(
        "word " * 300,
        "def read_file(path: str) -> bytes: ...",
        '{"a": [1, 2.50, null]}',
        "ＦＵＬＬ ｗｉｄｔｈ",
        "e\u0301a\u0300",
    ),
)
_TIMED: Final = 100


def main(arguments: Sequence[str]) -> int:
    """Measure and print; 1 where they differ by more than rounding."""
    parser = argparse.ArgumentParser(prog="python -m bench.embedders")
    parser.add_argument("--texts", type=Path, help="more texts, one a line")
    wanted = parser.parse_args(arguments)
    texts = [text for pairs in make_pairs().values() for pair in pairs for text in pair] + list(_OTHERS)
    if wanted.texts is not None:
        texts += wanted.texts.read_text("utf-8").splitlines()
    texts = list(dict.fromkeys(texts))
    models = {name: load_model(name) for name in EMBEDDERS}
    found = {name: model.embed(texts) for name, model in models.items()}
    ours, theirs = (found[name] for name in EMBEDDERS)
    cosines = np.sum(ours * theirs, axis=1)
    largest = float(np.abs(ours - theirs).max())
    print(f"{len(texts):,} texts: smallest cosine {cosines.min():.7f}, largest difference of a number {largest:.1e}")
    print(f"the same nearest neighbour: {np.mean(_nearest(ours) == _nearest(theirs)):.4f}")
    for name, model in models.items():
        print(
            f"{name}: {_time(model, texts):.1f} ms of processor time for one question of {len(texts[0].split())} words"
        )
    return int(largest > 1e-5)


def _nearest(vectors: Vectors) -> Vectors:
    products = vectors @ vectors.T
    np.fill_diagonal(products, -1)
    nearest: Vectors = products.argmax(axis=1)
    return nearest


def _time(model: Model, texts: Sequence[str]) -> float:
    spent = []
    for text in (texts[0],) * _TIMED:
        began = time.process_time()
        model.embed([text])
        spent.append(time.process_time() - began)
    return float(np.median(spent)) * 1000


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
