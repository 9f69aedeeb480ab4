"""An adapter's steps: what they learn, what they refuse, and what is a state."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import load, save

from proxy.learning.head import Course, TrainingDiverged
from proxy.learning.lora.bases import UnknownBase, find_base
from proxy.learning.lora.language_models import choose_device, prepare
from proxy.learning.lora.learner import LoraLearner
from proxy.learning.lora.texts import encode, encode_all
from tests.learning.bases import CHATML, TINY
from tests.learning.tuner import digest, make_learner
from tests.proxy.deployment import ROOT
from tests.proxy.learning.examples import make_example, make_support

pytestmark = [pytest.mark.learning, pytest.mark.filterwarnings("default")]


def go_on() -> bool:
    return False


def learn(learner: LoraLearner, steps: int) -> list[float]:
    losses = [learner.take_step(go_on) for _ in range(steps)]
    return [loss for loss in losses if loss is not None]


def test_an_adapter_learns_and_its_model_stays(models: str) -> None:
    learner = make_learner(models, TINY, 4, rate=0.02)
    frozen = {name: one.clone() for name, one in learner._model.named_parameters() if not one.requires_grad}
    tests = learner._examples[:6]
    before = learner.score(tests, go_on)
    losses = learn(learner, learner.steps)
    after, plain = learner.score(tests, go_on), learner.score(tests, go_on, with_adapter=False)
    assert before is not None
    assert after is not None
    assert plain is not None
    assert len(losses) == learner.step == 36
    assert np.mean(losses[-5:]) < np.mean(losses[:5]) - 0.1
    assert after.loss < before.loss - 0.1
    assert (plain.loss, plain.same) == (before.loss, before.same)
    assert learner.tokens == 4 * sum(len(one.ids) for one in learner._examples)
    for name, one in learner._model.named_parameters():
        assert one.requires_grad == ("lora_" in name)
        if name in frozen:
            assert torch.equal(one, frozen[name])


def test_a_state_that_was_read_back_goes_on_alike(models: str) -> None:
    whole = make_learner(models, TINY, 2)
    losses = learn(whole, 7)
    first = make_learner(models, TINY, 2)
    learn(first, 3)
    second = make_learner(models, TINY, 2)
    torch.manual_seed(99)  # whatever has happened in this process
    second.load(first.dump())
    assert (second.step, second.tokens) == (3, first.tokens)
    assert learn(second, 4) == losses[3:]
    assert digest(second) == digest(whole)
    # From the very beginning too.
    third = make_learner(models, TINY, 2)
    third.load(make_learner(models, TINY, 2).dump())
    assert learn(third, 7) == losses


def test_a_step_that_is_given_up_is_none(models: str) -> None:
    learner = make_learner(models, TINY, 2)
    learn(learner, 2)
    before, asked = digest(learner), 0

    def stop_at_third() -> bool:
        nonlocal asked
        asked += 1
        return asked == 3

    assert learner.take_step(stop_at_third) is None
    assert (digest(learner), learner.step) == (before, 2)
    twin = make_learner(models, TINY, 2)
    assert learn(twin, 3)[2] == learner.take_step(go_on)


def test_what_is_no_state_changes_nothing(models: str) -> None:
    learner = make_learner(models, TINY, 2)
    learn(learner, 2)
    before, good = digest(learner), dict(learner.dump())
    other = {name: one[:2] for name, one in load(good["adapter"]).items()}
    for bad in (
        {},
        good | {"adapter": b"torn"},
        good | {"adapter": save({})},
        good | {"adapter": save(other)},
        good | {"moments": save({})},
        good | {"place": b"{}"},
        good | {"place": b"["},
    ):
        with pytest.raises((KeyError, ValueError)):
            learner.load(bad)
        assert digest(learner) == before


def test_a_loss_that_is_no_number_says_at_which_step(models: str) -> None:
    learner = make_learner(models, TINY, 9)
    learn(learner, 2)
    next(iter(learner._learned.values())).data.fill_(torch.nan)
    with pytest.raises(TrainingDiverged, match=r"At step 2 the loss is no number: train again with a lower rate\."):
        learner.take_step(go_on)
    assert learner.step == 2


def test_memory_that_does_not_suffice_is_said_in_words() -> None:
    """In a process that may have little more than it has already."""
    program = (
        "import resource, torch\n"
        "from proxy.learning.lora.language_models import room\n"
        "held = int(open('/proc/self/statm').read().split()[0]) * 4096\n"
        "resource.setrlimit(resource.RLIMIT_AS, (held + 2**28, held + 2**28))\n"
        "try:\n"
        "    with room():\n"
        "        torch.ones(2**31)\n"
        "except MemoryError as error:\n"
        "    print(error)\n"
    )
    said = subprocess.run([sys.executable, "-W", "ignore", "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert said.stdout == (
        "The worker's memory does not hold this training: give fewer sequence_tokens, or a smaller model.\n"
    ), said.stderr


def test_examples_are_read_as_they_are_asked(models: str) -> None:
    prepared = prepare(find_base(TINY, models), rank=1, seed=0)
    example = make_example("where is it", "delivery", system="Be short.")
    one = encode(prepared.tokenizer, example, 64, CHATML)
    assert one is not None
    text = prepared.tokenizer.decode(one.ids)
    assert text == (
        "<|im_start|>system\nBe short.<|im_end|>\n<|im_start|>user\nwhere is it<|im_end|>\n"
        "<|im_start|>assistant\ndelivery<|im_end|>"
    )
    assert prepared.tokenizer.decode(one.ids[-one.answer :]) == "delivery<|im_end|>"
    # One that is longer is left out, not cut.
    assert encode(prepared.tokenizer, example, len(one.ids), CHATML) is not None
    assert encode_all(prepared.tokenizer, [example, *make_support(2)], len(one.ids) - 1, CHATML) != []
    assert encode(prepared.tokenizer, example, len(one.ids) - 1, CHATML) is None


def test_one_example_of_a_batch_is_weighed_by_its_tokens(models: str) -> None:
    """A batch's loss is that of its tokens, however they are dealt out to examples."""
    prepared = prepare(find_base(TINY, models), rank=4, seed=5)
    examples = encode_all(prepared.tokenizer, make_support(4), 128, CHATML)
    learner = LoraLearner(prepared, examples, Course(1, 4, 0.0, 0), "rows")
    score = learner.score(examples, go_on)
    assert score is not None
    # B is zero at the beginning: with dropout or without, the model is itself.
    assert learner.take_step(go_on) == pytest.approx(score.loss, rel=1e-5)


@pytest.mark.parametrize("name", ["other", "../tiny", "tiny/..", "/etc/passwd", "", "."])
def test_only_what_lies_in_the_operators_folder_is_a_base(models: str, name: str) -> None:
    with pytest.raises(UnknownBase, match="it has smollm2-135m-instruct, tiny"):
        find_base(name, models)
    with pytest.raises(UnknownBase, match="it has smollm2-135m-instruct"):
        find_base(TINY, "")


def test_the_device_is_what_is_there() -> None:
    device, dtype = choose_device()
    if not torch.cuda.is_available():
        assert (str(device), dtype) == ("cpu", torch.float32)
    else:
        assert device.type == "cuda"
