"""MiniLM's network written down once more, a formula a line, to compare the graph with."""

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import erf

Array = NDArray[np.float32]
HEADS: Final = 12


def embed_one(ids: list[int], weights: Mapping[str, Array]) -> Array:
    """The unit vector of one text's word pieces (Devlin et al. 2019, mean pooling)."""

    def project(values: Array, part: str) -> Array:
        projected: Array = values @ weights[part + "weight"].T + weights[part + "bias"]
        return projected

    def normalise(values: Array, part: str) -> Array:
        centred = values - values.mean(-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-12)
        normal: Array = scaled * weights[part + "weight"] + weights[part + "bias"]
        return normal

    def split(values: Array) -> Array:
        return values.reshape(len(ids), HEADS, -1).transpose(1, 0, 2)

    hidden = weights["embeddings.word_embeddings.weight"][ids]
    hidden = hidden + weights["embeddings.position_embeddings.weight"][: len(ids)]
    hidden = normalise(hidden + weights["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm.")
    for layer in (f"encoder.layer.{number}." for number in range(6)):
        query, key, value = (
            split(project(hidden, f"{layer}attention.self.{part}.")) for part in ("query", "key", "value")
        )
        scores = np.exp(query @ key.transpose(0, 2, 1) / np.sqrt(query.shape[-1]))
        mixed = (scores / scores.sum(-1, keepdims=True) @ value).transpose(1, 0, 2).reshape(len(ids), -1)
        hidden = normalise(
            hidden + project(mixed, layer + "attention.output.dense."), layer + "attention.output.LayerNorm."
        )
        inner = project(hidden, layer + "intermediate.dense.")
        inner = inner * (1 + erf(inner / np.sqrt(2))) / 2
        hidden = normalise(hidden + project(inner, layer + "output.dense."), layer + "output.LayerNorm.")
    mean: Array = hidden.mean(0)
    return mean / np.linalg.norm(mean)
