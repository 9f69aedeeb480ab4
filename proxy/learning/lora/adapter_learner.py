"""Any adapter's training, step by step. Imports PyTorch.

What chance does in a step follows from the seed and the step's number alone, and the order of an epoch from the seed
and the epoch's: so weights, Adam's moments and the number are the whole state.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load, save

from proxy.learning.head import Course, TrainingDiverged
from proxy.learning.training import Rest

#: a step moves the weights no further than gradients of this norm would
_MOST_NORM: Final = 1.0
#: the rate rises over the first steps, so that Adam knows what it measures with
_WARM_UP_STEPS: Final = 5
_ADAPTER, _MOMENTS, _PLACE = "adapter", "moments", "place"
_FIRST, _SECOND = "first.", "second."
_SEED_STRIDE: Final = 1_000_003


class AdapterLearner(ABC):
    """See ``training.Learner``. Whatever wants a gradient in ``model`` learns from ``count`` examples."""

    def __init__(self, model: Any, device: torch.device, course: Course, count: int, rows: str) -> None:
        self._model = model
        self._device = device
        self._course = course
        self._count = count
        self._learned = {name: one for name, one in model.named_parameters() if one.requires_grad}
        self._adam = torch.optim.AdamW(self._learned.values(), lr=course.rate, weight_decay=0.0, foreach=False)
        self.rows = rows
        self.step = 0
        self.steps = course.count_steps(count)
        self.tokens = 0

    @abstractmethod
    def learn(self, places: NDArray[np.int64], rest: Rest) -> tuple[float, int] | None:
        """The gradient of these examples: gives their loss and how many tokens they have; None where ``rest`` had it
        given up. Raises MemoryError."""

    def take_step(self, rest: Rest) -> float | None:
        """Make the next step. Gives the loss before it; None where ``rest`` had it given up. Raises TrainingDiverged
        and MemoryError."""
        torch.manual_seed((self._course.seed * _SEED_STRIDE + self.step) % 2**63)
        self._model.train()
        self._adam.zero_grad(set_to_none=True)
        found = self.learn(self._choose(), rest)
        if found is None:
            self._adam.zero_grad(set_to_none=True)
            return None
        loss, tokens = found
        norm = torch.nn.utils.clip_grad_norm_(self._learned.values(), _MOST_NORM)
        if not np.isfinite(loss) or not torch.isfinite(norm):
            raise TrainingDiverged(f"At step {self.step} the loss is no number: train again with a lower rate.")
        for group in self._adam.param_groups:
            group["lr"] = self._rate()
        self._adam.step()
        self.step += 1
        self.tokens += tokens
        return loss

    def dump(self) -> Mapping[str, bytes]:
        """The whole state, copied."""
        moments = {}
        for name, one in self._learned.items():
            kept = self._adam.state.get(one)
            if kept:
                moments[_FIRST + name], moments[_SECOND + name] = kept["exp_avg"], kept["exp_avg_sq"]
        place = {"step": self.step, "tokens": self.tokens}
        return {
            _ADAPTER: save({name: one.detach().contiguous() for name, one in self._learned.items()}),
            _MOMENTS: save(moments),
            _PLACE: json.dumps(place).encode(),
        }

    def load(self, parts: Mapping[str, bytes]) -> None:
        """Go on from what ``dump`` gave. Raises KeyError or ValueError for anything else, and changes nothing then."""
        place = json.loads(parts[_PLACE])
        step, tokens = int(place["step"]), int(place["tokens"])
        try:
            adapter, moments = load(parts[_ADAPTER]), load(parts[_MOMENTS])
        except SafetensorError as error:
            raise ValueError(f"This is no checkpoint of an adapter: {error}") from error
        if adapter.keys() != self._learned.keys():
            raise ValueError("This checkpoint is of another model.")
        states: dict[Any, dict[str, torch.Tensor]] = {}
        for name, one in self._learned.items():
            read = [adapter[name], *((moments[_FIRST + name], moments[_SECOND + name]) if step else ())]
            if any(found.shape != one.shape for found in read):
                raise ValueError("This checkpoint is of an adapter of another rank.")
            if step:
                first, second = (found.to(self._device) for found in read[1:])
                states[one] = {"step": torch.tensor(float(step)), "exp_avg": first, "exp_avg_sq": second}
        with torch.no_grad():
            for name, one in self._learned.items():
                one.copy_(adapter[name])
        self._adam.state.clear()
        self._adam.state.update(states)
        self.step, self.tokens = step, tokens

    def _choose(self) -> NDArray[np.int64]:
        """The places of the next step's examples."""
        size = self._course.batch_rows
        epoch, at = divmod(self.step, -(-self._count // size))
        order = np.random.default_rng([self._course.seed, epoch]).permutation(self._count)
        return order[at * size : (at + 1) * size]

    def _rate(self) -> float:
        """It rises over the first steps, and falls to a tenth."""
        rising = min(1.0, (self.step + 1) / _WARM_UP_STEPS)
        return self._course.rate * rising * (1 - 0.9 * self.step / self.steps)
