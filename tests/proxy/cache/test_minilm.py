"""MiniLM's vectors: the network's own, whatever else is in the batch, for every text that JSON can spell."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from costhub.lib.safetensors import read_floats
from proxy.cache import minilm
from proxy.cache.minilm import DIMENSIONS, MOST_PIECES, MiniLM, ModelUnusable
from tests.proxy.cache.bert import embed_one

TEXTS = ["What is the capital of France?", "Wie heißt die Hauptstadt Frankreichs?", "", "🙂 ok", "one two " * 60]


@pytest.fixture(scope="module")
def model() -> MiniLM:
    return MiniLM()


def test_the_vectors_are_the_networks(model: MiniLM) -> None:
    folder = minilm._find_folder()
    weights = read_floats(minilm._read(folder, "model.safetensors"))
    tokenizer = minilm._make_tokenizer(minilm._read(folder, "tokenizer.json"))
    expected = np.array([embed_one(tokenizer.encode(text).ids, weights) for text in TEXTS])

    np.testing.assert_allclose(model.embed(TEXTS), expected, atol=2e-6)


def test_what_means_the_same_is_near(model: MiniLM) -> None:
    question, paraphrase, other = model.embed(
        ["What is the capital of France?", "Tell me the capital city of France", "How do I bake bread?"]
    )

    assert round(float(question @ paraphrase), 3) == 0.923
    assert round(float(question @ other), 3) == 0.148


def test_a_text_has_one_vector_in_every_batch(model: MiniLM) -> None:
    alone = np.concatenate([model.embed([text]) for text in TEXTS])

    np.testing.assert_allclose(model.embed(TEXTS * 3), np.tile(alone, (3, 1)), atol=2e-6)
    assert model.embed([]).shape == (0, DIMENSIONS)


@given(st.lists(st.integers(2, MOST_PIECES)))
def test_no_run_is_larger_than_one_long_text(lengths: list[int]) -> None:
    batches = list(minilm._batch_by_length(lengths))

    assert sorted(place for batch in batches for place in batch) == list(range(len(lengths)))
    assert all(len(batch) * max(lengths[place] for place in batch) <= MOST_PIECES for batch in batches)


@pytest.mark.parametrize("text", ["\ud800", "\x00", "a" * 1_000_000, " " * 1_000_000, "שלום " * 500, "👩‍👩‍👧‍👦" * 300])
def test_every_text_has_a_unit_vector(model: MiniLM, text: str) -> None:
    assert float(np.linalg.norm(model.embed([text])[0])) == pytest.approx(1, abs=1e-5)


def test_what_stands_behind_the_256th_piece_is_not_read(model: MiniLM) -> None:
    first, second = model.embed(["word " * 254 + "apple", "word " * 254 + "pear"])

    assert np.array_equal(first, second)


def test_a_file_that_was_changed_is_refused(tmp_path: Path) -> None:
    folder = minilm._find_folder()
    shutil.copy(folder / "tokenizer.json", tmp_path)
    with pytest.raises(ModelUnusable, match=r"model\.safetensors cannot be read: No such file"):
        MiniLM(folder=tmp_path)
    (tmp_path / "tokenizer.json").write_bytes((folder / "tokenizer.json").read_bytes() + b" ")
    with pytest.raises(ModelUnusable, match=r"tokenizer\.json has been changed"):
        MiniLM(folder=tmp_path)
