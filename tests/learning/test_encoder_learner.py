"""An encoder's steps: what they learn, that what is served is what was trained, and what is a state."""

import numpy as np
import pytest
import torch

from proxy.cache.embedder import load_model
from proxy.cache.minilm import MiniLM
from proxy.learning.encoders.changes import change_with
from proxy.learning.encoders.learner import EncoderLearner, load_encoder
from proxy.learning.head import TrainingDiverged
from tests.learning.encoder_trainer import EXAMPLES, make_learner
from tests.learning.tuner import digest
from tests.proxy.learning.examples import make_support
from tests.proxy.learning.processes import interrupt_three_ways
from tests.proxy.learning.s3 import S3

pytestmark = [pytest.mark.learning, pytest.mark.filterwarnings("default")]

TEXTS = [example.question for example in make_support(90)]


def go_on() -> bool:
    return False


def learn(learner: EncoderLearner, steps: int) -> list[float]:
    losses = [learner.take_step(go_on) for _ in range(steps)]
    return [loss for loss in losses if loss is not None]


def test_it_learns_and_what_is_served_is_what_was_trained() -> None:
    learner = make_learner(4)
    assert learner.steps == 12
    losses = learn(learner, learner.steps)
    assert np.mean(losses[-3:]) < np.mean(losses[:3])
    assert learner.tokens > 4 * EXAMPLES * 5
    served = MiniLM(change=change_with(learner.export())).embed(TEXTS)
    model = learner._model.eval()
    with torch.inference_mode():
        trained = model.encode(TEXTS, normalize_embeddings=True, show_progress_bar=False)
    assert (served * trained).sum(axis=1).min() > 1 - 1e-5
    # What it has not learned from has moved as well: the same answers nearer to each other than others.
    answers = np.array([example.answer for example in make_support(90)])
    alike = answers[:, None] == answers[None]

    def tell_apart(vectors: np.ndarray) -> float:
        near = vectors[EXAMPLES:] @ vectors[EXAMPLES:].T
        mine = alike[EXAMPLES:, EXAMPLES:]
        return float(near[mine].mean() - near[~mine].mean())

    assert tell_apart(served) > tell_apart(load_model("onnx").embed(TEXTS)) + 0.05


def test_an_encoder_that_has_learned_nothing_is_the_usual_one() -> None:
    served = MiniLM(change=change_with(make_learner(1).export())).embed(TEXTS[:4])
    np.testing.assert_array_equal(served, load_model("onnx").embed(TEXTS[:4]))


def test_a_state_that_was_read_back_goes_on_alike() -> None:
    whole = make_learner(2)
    losses = learn(whole, 6)
    first = make_learner(2)
    learn(first, 3)
    second = make_learner(2)
    torch.manual_seed(99)  # whatever has happened in this process
    second.load(first.dump())
    assert (second.step, second.tokens) == (3, first.tokens)
    assert learn(second, 3) == losses[3:]
    assert digest(second) == digest(whole)
    assert second.export() == whole.export()


def test_a_step_that_is_given_up_is_none() -> None:
    learner = make_learner(1)
    learn(learner, 1)
    before = digest(learner)
    assert learner.take_step(lambda: True) is None
    assert (digest(learner), learner.step) == (before, 1)


def test_a_loss_that_is_no_number_says_so() -> None:
    learner = make_learner(1)
    learn(learner, 1)
    next(iter(learner._learned.values())).data.fill_(torch.nan)
    with pytest.raises(TrainingDiverged, match=r"At step 1 the loss is no number: train again with a lower rate\."):
        learner.take_step(go_on)


def test_only_the_adapter_learns() -> None:
    learned = [name for name, one in load_encoder(rank=2, seed=0).named_parameters() if one.requires_grad]
    assert len(learned) == 2 * 6 * 6
    assert all("lora_" in name for name in learned)


def test_three_interruptions_change_no_bit_of_an_encoder(s3: S3) -> None:
    interrupt_three_ways(s3, "tests.learning.encoder_trainer", ["20"], steps=60, stride=8)
