"""Streams requests through GPTCache: run by the interpreter of its own environment, which has nothing of ours.

Standard input has JSON: ``vectors``, a file of numpy's with the texts' vectors; ``texts`` and ``answers``, in the order
in which they come; ``thresholds``; ``folder``, for its files. Prints for each threshold a line of JSON: hits, wrong
ones, and seconds that look-ups and writes took.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from gptcache import Cache, Config  # type: ignore[import-not-found]
from gptcache.adapter.api import get, put  # type: ignore[import-not-found]
from gptcache.manager import CacheBase, VectorBase, get_data_manager  # type: ignore[import-not-found]
from gptcache.processor.pre import get_prompt  # type: ignore[import-not-found]
from gptcache.similarity_evaluation.distance import SearchDistanceEvaluation  # type: ignore[import-not-found]


def stream(order: dict[str, Any], threshold: float) -> dict[str, float]:
    """All requests into an empty cache: what is not there is put there."""
    vectors = np.load(order["vectors"])
    folder = Path(order["folder"]) / str(threshold)
    folder.mkdir(parents=True)
    place = 0
    cache = Cache()
    cache.init(
        pre_embedding_func=get_prompt,
        embedding_func=lambda *_, **__: vectors[place],
        data_manager=get_data_manager(
            CacheBase("sqlite", sql_url=f"sqlite:///{folder}/answers.db"),
            VectorBase("faiss", dimension=vectors.shape[1], index_path=str(folder / "faiss.index")),
            # Nothing is thrown out; when nobody says anything it keeps a thousand.
            max_size=len(order["texts"]) + 1,
        ),
        similarity_evaluation=SearchDistanceEvaluation(),
        config=Config(similarity_threshold=threshold),
    )
    hits = wrong = 0
    finding = keeping = 0.0
    for text, answer in zip(order["texts"], order["answers"], strict=True):
        began = time.perf_counter()
        found = get(text, cache_obj=cache)
        finding += time.perf_counter() - began
        if found is not None:
            hits += 1
            wrong += found != str(answer)
        else:
            began = time.perf_counter()
            put(text, str(answer), cache_obj=cache)
            keeping += time.perf_counter() - began
        place += 1
    return {
        "threshold": threshold,
        "requests": len(order["texts"]),
        "hits": hits,
        "wrong": wrong,
        "finding": finding,
        "keeping": keeping,
    }


if __name__ == "__main__":
    wanted = json.load(sys.stdin)
    for value in wanted["thresholds"]:
        print(json.dumps(stream(wanted, value)), flush=True)
