"""An encoder's training: MiniLM in sentence-transformers with an adapter in every layer and a classifier above it, both
of which learn to tell answers apart. Imports PyTorch."""

import re
import warnings
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from peft import LoraConfig, inject_adapter_in_model
from sentence_transformers import SentenceTransformer
from sentence_transformers.util import batch_to_device
from torch.nn.functional import cross_entropy, normalize

from proxy.cache.minilm import find_vetted_folder
from proxy.learning.encoders.changes import dump_changes
from proxy.learning.head import SCALE, Course, Rows
from proxy.learning.lora.adapter_learner import AdapterLearner
from proxy.learning.lora.language_models import choose_device, room
from proxy.learning.training import Rest

#: alpha is so many times the rank, as for language models
_SCALE: Final = 2
_DROPOUT: Final = 0.05
#: every matrix of a BERT layer; what lies above the last one is not asked for vectors
_ADAPTED: Final = r"encoder\.layer\..+\.(query|key|value|dense)"
_NAME: Final = re.compile(r"(?:.*\.)?(encoder\.layer\..+)\.lora_([AB])\.\w+\.weight")


def load_encoder(*, rank: int, seed: int) -> Any:
    """MiniLM, from the files that were vetted, with a fresh adapter, the same for the same seed. Raises ModelUnusable
    and MemoryError."""
    device, _ = choose_device()
    with warnings.catch_warnings(), room():
        # Libraries about each other.
        warnings.simplefilter("ignore")
        encoder = SentenceTransformer(str(find_vetted_folder()), device=str(device), local_files_only=True)
        torch.manual_seed(seed)
        options = {"r": rank, "lora_alpha": _SCALE * rank, "lora_dropout": _DROPOUT, "bias": "none"}
        inject_adapter_in_model(LoraConfig(**options, target_modules=_ADAPTED), encoder[0].auto_model)
    return encoder


class EncoderLearner(AdapterLearner):
    """See ``training.Learner``. ``head`` is a classifier that has learned on the encoder's vectors as they are: under
    one that knows nothing the encoder would first forget what it knows (Kumar et al. 2022)."""

    def __init__(
        self, encoder: Any, texts: Sequence[str], answers: Rows, head: NDArray[np.float64], course: Course, rows: str
    ) -> None:
        self._head = torch.nn.Parameter(torch.tensor(head, dtype=torch.float32, device=encoder.device))
        # As one model: what learns and is kept.
        encoder.register_parameter("head", self._head)
        super().__init__(encoder, encoder.device, course, len(texts), rows)
        self._texts = texts
        self._answers = torch.from_numpy(answers)

    def learn(self, places: NDArray[np.int64], rest: Rest) -> tuple[float, int] | None:
        """The answers' loss."""
        if rest():
            return None
        features = batch_to_device(self._model.preprocess([self._texts[place] for place in places]), self._device)
        tokens = int(features["attention_mask"].sum())
        with room():
            vectors = normalize(self._model(features)["sentence_embedding"], dim=1) * SCALE
            said = vectors @ self._head[:-1] + self._head[-1]
            loss = cross_entropy(said, self._answers[places].to(self._device))
            loss.backward()
        return float(loss.detach()), tokens

    def export(self) -> bytes:
        """What it has learned, as it serves."""
        found: dict[str, dict[str, NDArray[np.float32]]] = {}
        for name, one in self._learned.items():
            # The head above has done its part: one that is served learns on what the encoder gives now.
            if (named := _NAME.fullmatch(name)) is not None:
                found.setdefault(f"{named[1]}.weight", {})[named[2]] = one.detach().float().cpu().numpy()
        return dump_changes({name: (two["A"], _SCALE * two["B"]) for name, two in found.items()})
