"""An encoder's training in a process of its own, to be interrupted:
``python -m tests.learning.encoder_trainer URL FENCE EPOCHS [METADATA]``."""

import sys

import torch

from proxy.cache.embedder import load_model
from proxy.learning.encoders.learner import EncoderLearner, load_encoder
from proxy.learning.head import Course, number_labels
from proxy.learning.head_learner import HeadLearner, Lesson
from tests.learning.tuner import digest
from tests.proxy.learning.examples import make_support
from tests.proxy.learning.trainer import run

EXAMPLES, BATCH = 24, 8


def make_learner(epochs: int, rate: float = 0.001, count: int = EXAMPLES) -> EncoderLearner:
    """Learns what questions to a shop are about."""
    examples = make_support(count)
    answers = [example.answer for example in examples]
    numbers = number_labels(sorted(set(answers)), answers)
    texts = [example.question for example in examples]
    head = HeadLearner(Lesson(load_model("onnx").embed(texts), numbers, 3, "rows"), Course(epochs=20))
    while head.step < head.steps:
        head.take_step(lambda: False)
    course = Course(epochs, BATCH, rate, 5)
    return EncoderLearner(load_encoder(rank=4, seed=5), texts, numbers, head.state.weights, course, "rows")


def main() -> None:
    """An encoder's."""
    url, fence, epochs, *metadata = sys.argv[1:]
    torch.set_num_threads(1)
    run(url, fence, metadata, lambda: make_learner(int(epochs)), digest, 0.0)


if __name__ == "__main__":
    main()
