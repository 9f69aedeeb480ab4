"""An adapter's training in a process of its own, to be interrupted:
``python -m tests.learning.tuner URL FENCE EPOCHS MODELS NAME [METADATA]``. It says each beat's step, then how it ended
and the digest of its last weights."""

import hashlib
import sys

import torch

from proxy.learning.head import Course
from proxy.learning.lora.adapter_learner import AdapterLearner
from proxy.learning.lora.bases import find_base, read_template
from proxy.learning.lora.language_models import prepare
from proxy.learning.lora.learner import LoraLearner
from proxy.learning.lora.texts import encode_all
from tests.proxy.learning.examples import make_support
from tests.proxy.learning.trainer import run

EXAMPLES, BATCH = 36, 4


def make_learner(models: str, name: str, epochs: int, rate: float = 0.003, count: int = EXAMPLES) -> LoraLearner:
    """Learns what questions to a shop are about."""
    base = find_base(name, models)
    prepared = prepare(base, rank=4, seed=5)
    examples = encode_all(prepared.tokenizer, make_support(count), 128, read_template(base))
    return LoraLearner(prepared, examples, Course(epochs, BATCH, rate, 5), "rows")


def digest(learner: AdapterLearner) -> str:
    """Of the weights and Adam's moments, to the bit."""
    parts = learner.dump()
    return hashlib.sha256(parts["adapter"] + parts["moments"]).hexdigest()


def main() -> None:
    """An adapter's."""
    url, fence, epochs, models, name, *metadata = sys.argv[1:]
    torch.set_num_threads(1)
    run(url, fence, metadata, lambda: make_learner(models, name, int(epochs)), digest, 0.0)


if __name__ == "__main__":
    main()
