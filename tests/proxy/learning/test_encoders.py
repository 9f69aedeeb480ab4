"""What an encoder has learned, as it is stored and served; without PyTorch."""

import numpy as np
import pytest

from costhub.lib.safetensors import NoSafetensors
from proxy.cache.minilm import DIMENSIONS, MiniLM
from proxy.learning.encoders import served
from proxy.learning.encoders.changes import Weights, change_with, dump_changes
from proxy.learning.encoders.served import Encoders

TEXTS = ["Where is my parcel?", "Send me the invoice."]
NAME = "encoder.layer.5.attention.self.query.weight"


def make_changes(size: float = 0.02, rank: int = 4) -> bytes:
    draw = np.random.default_rng(3)
    down, up = (draw.normal(0, 1, shape).astype(np.float32) for shape in ((rank, DIMENSIONS), (DIMENSIONS, rank)))
    return dump_changes({NAME: (down, size * up)})


def test_changes_are_added_to_the_weights_that_they_name() -> None:
    content = make_changes()
    weights: Weights = {NAME: np.ones((DIMENSIONS, DIMENSIONS), np.float32), "other": np.ones(2, np.float32)}
    changed = change_with(content)(weights)
    draw = np.random.default_rng(3)
    down, up = (draw.normal(0, 1, shape) for shape in ((4, DIMENSIONS), (DIMENSIONS, 4)))
    np.testing.assert_allclose(changed[NAME], 1 + 0.02 * up @ down, atol=1e-5)
    assert changed["other"] is weights["other"]
    assert weights[NAME].max() == 1
    assert make_changes() == content


def test_what_is_no_encoders_is_refused() -> None:
    with pytest.raises(NoSafetensors):
        change_with(b"torn")
    with pytest.raises(KeyError):
        change_with(make_changes())({"other": np.ones(2, np.float32)})
    with pytest.raises(ValueError, match="could not be broadcast"):
        change_with(make_changes())({NAME: np.ones((2, 2), np.float32)})


def test_an_encoder_that_has_learned_nothing_is_minilm_and_one_that_has_is_another() -> None:
    encoders, usual = Encoders(), MiniLM().embed(TEXTS)
    nothing = encoders.embed("nothing", lambda: make_changes(0.0), TEXTS)
    np.testing.assert_array_equal(nothing, usual)
    something = encoders.embed("something", make_changes, TEXTS)
    np.testing.assert_allclose(np.linalg.norm(something, axis=1), 1, atol=1e-6)
    assert (something * usual).sum(axis=1).max() < 0.999


def test_so_many_are_kept_as_there_is_room_for_and_none_that_was_withdrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    monkeypatch.setattr("proxy.cache.minilm.MiniLM", lambda change: FakeModel())
    encoders = Encoders(most=2)

    def ask(name: str) -> None:
        encoders.embed(name, lambda: read.append(name) or make_changes(), TEXTS)  # type: ignore[func-returns-value]

    for name in "abacab":
        ask(name)
    # b was not asked for longest when c came, then c when b came back.
    assert read == ["a", "b", "c", "b"]
    encoders.forget("a")
    encoders.forget("never there")
    ask("a")
    assert read[4:] == ["a"]
    assert served.MOST_LOADED == 3


class FakeModel:
    def embed(self, texts: list[str]) -> list[str]:
        return texts
