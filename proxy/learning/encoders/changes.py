"""What an encoder has learned, as a file: for each matrix W that changes the two small ones of W + B A (LoRA, Hu et al.
2021), in the safetensors form. Pure."""

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from costhub.lib.safetensors import read_floats, write_floats

Weights = Mapping[str, NDArray[np.float32]]

_DOWN: Final = ".lora_A"
_UP: Final = ".lora_B"


def dump_changes(changes: Mapping[str, tuple[NDArray[np.float32], NDArray[np.float32]]]) -> bytes:
    """``changes``: A and B by the name of the weight that they change. The same bytes for the same numbers."""
    parts = {}
    for name, (down, up) in changes.items():
        parts[name + _DOWN], parts[name + _UP] = down, up
    return write_floats(parts)


def change_with(content: bytes) -> Callable[[Weights], Weights]:
    """What puts these changes into an encoder's weights. Raises NoSafetensors for what ``dump_changes`` did not write;
    what it gives raises KeyError or ValueError for weights of another encoder."""
    parts = read_floats(content)
    names = [name.removesuffix(_DOWN) for name in parts if name.endswith(_DOWN)]

    def change(weights: Weights) -> Weights:
        changed = {name: weights[name] + parts[name + _UP] @ parts[name + _DOWN] for name in names}
        return {**weights, **changed}

    return change
