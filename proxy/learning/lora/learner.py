"""An adapter of a language model in training: what its examples teach it, and how it does on others. Imports
PyTorch."""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import cross_entropy

from proxy.learning.head import Course
from proxy.learning.lora.adapter_learner import AdapterLearner
from proxy.learning.lora.language_models import Prepared, room
from proxy.learning.lora.texts import Encoded
from proxy.learning.training import Rest


@dataclass(frozen=True, slots=True)
class Score:
    """What a model makes of held-out examples: the mean loss of an answer's token, and how many answers it gives to the
    letter when it always says what is likeliest."""

    loss: float
    same: int
    of: int

    def dump(self) -> dict[str, Any]:
        """As it is stored."""
        return {"loss": round(self.loss, 6), "same": self.same, "of": self.of}


class LoraLearner(AdapterLearner):
    """See ``training.Learner``. A step goes example by example: that is what fits."""

    def __init__(self, prepared: Prepared, examples: Sequence[Encoded], course: Course, rows: str) -> None:
        super().__init__(prepared.model, prepared.device, course, len(examples), rows)
        self._examples = examples

    def learn(self, places: NDArray[np.int64], rest: Rest) -> tuple[float, int] | None:
        """A batch's loss is that of its answers' tokens, however they are dealt out to examples."""
        batch = [self._examples[place] for place in places]
        answers, loss = sum(one.answer for one in batch), 0.0
        for one in batch:
            if rest():
                return None
            with room():
                part = cross_entropy(*self._predict(one), reduction="sum") / answers
                part.backward()
            loss += float(part.detach())
        return loss, sum(len(one.ids) for one in batch)

    def score(self, examples: Sequence[Encoded], rest: Rest, *, with_adapter: bool = True) -> Score | None:
        """How the model does on what it has not learned from; None where ``rest`` had it given up. At least one
        example. Raises MemoryError."""
        self._model.eval()
        total, tokens, same = 0.0, 0, 0
        with torch.inference_mode(), nullcontext() if with_adapter else self._model.disable_adapter():
            for one in examples:
                if rest():
                    return None
                with room():
                    said, wanted = self._predict(one)
                total += float(cross_entropy(said, wanted, reduction="sum"))
                tokens += one.answer
                # Each token likeliest behind the right ones before it: then the likeliest answer is this one.
                same += bool((said.argmax(dim=-1) == wanted).all())
        return Score(total / tokens, same, len(examples))

    def _predict(self, one: Encoded) -> tuple[torch.Tensor, torch.Tensor]:
        """What the model says at each of an answer's tokens, and what these are. Only their scores are computed: of a
        small model, those over a vocabulary are a fifth of the work."""
        ids = torch.tensor([one.ids], device=self._device)
        found = self._model(input_ids=ids, attention_mask=torch.ones_like(ids), logits_to_keep=one.answer + 1).logits
        return found[0, -one.answer - 1 : -1].float(), ids[0, -one.answer :]
