"""A training that is interrupted three ways, in processes of its own, ends with the weights of one that was not."""

from collections.abc import Callable

import pytest

from costhub.lib.instance_metadata import read_interruption
from tests.proxy.learning.processes import NOTICE, Cloud, interrupt_three_ways, run_cloud
from tests.proxy.learning.s3 import S3

EPOCHS = 60
STEPS = 10 * EPOCHS


def test_three_interruptions_change_no_bit(s3: S3) -> None:
    interrupt_three_ways(s3, "tests.proxy.learning.trainer", [str(EPOCHS)], steps=STEPS, stride=60)


@pytest.mark.parametrize(
    ("prepare", "told"),
    [
        (lambda cloud: None, None),
        (lambda cloud: setattr(cloud, "notice", NOTICE), NOTICE),
        (lambda cloud: setattr(cloud, "refuses_tokens", True), None),
    ],
    ids=["nothing planned", "planned", "no token"],
)
def test_what_the_cloud_says(prepare: Callable[[Cloud], None], told: str | None) -> None:
    with run_cloud() as cloud:
        prepare(cloud)
        assert read_interruption(cloud.url) == told


def test_a_cloud_that_is_not_there_says_nothing() -> None:
    assert read_interruption("http://127.0.0.1:9") is None
