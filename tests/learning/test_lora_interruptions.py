"""An adapter's training that is interrupted three ways, in processes of its own, ends with the weights of one that was
not; and what its checkpoints cost."""

import time
from pathlib import Path

import pytest

from costhub.stack.model_server import MODEL
from proxy.learning.checkpoint_writer import CheckpointWriter
from proxy.learning.checkpoints import Checkpoints, open_store
from tests.learning.bases import TINY
from tests.learning.tuner import make_learner
from tests.proxy.learning.processes import interrupt_three_ways
from tests.proxy.learning.s3 import S3

pytestmark = [pytest.mark.learning, pytest.mark.filterwarnings("default")]

#: nine steps each
EPOCHS = 40
STEPS = 9 * EPOCHS
ROUNDS = 20


def test_three_interruptions_change_no_bit_of_an_adapter(s3: S3, models: str) -> None:
    arguments = [str(EPOCHS), models, TINY]
    interrupt_three_ways(s3, "tests.learning.tuner", arguments, steps=STEPS, stride=20)


@pytest.mark.parametrize("name", [TINY, pytest.param(MODEL, marks=pytest.mark.model)])
def test_checkpoints_cost_next_to_nothing(tmp_path: Path, models: str, name: str) -> None:
    """At one every twenty seconds: the processor's time of a checkpoint, copying and writing, in either thread."""
    learner = make_learner(models, name, 4)
    checkpoints = Checkpoints(open_store(f"file://{tmp_path}"), "job", 1)
    checkpoints.take_over()
    learner.take_step(lambda: False)
    writer = CheckpointWriter(checkpoints)
    before = time.process_time()
    for step in range(ROUNDS):
        writer.submit(step, learner.dump())
        assert writer.flush(20)
    spent = (time.process_time() - before) / ROUNDS
    writer.close(10)
    size = sum(len(part) for part in learner.dump().values())
    print(f"checkpoint of {name}, {size:,} bytes: {spent * 1000:.1f} ms of CPU, {spent / 20:.3%} of one every 20 s")
    assert spent / 20 < 0.03
