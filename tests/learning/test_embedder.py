"""The vectors that the cache, routes and students use are those of sentence-transformers, to rounding."""

import numpy as np
import pytest

from proxy.cache.embedder import load_model
from tests.proxy.learning.examples import make_support

pytestmark = [pytest.mark.learning, pytest.mark.filterwarnings("default")]

ODD = [
    "",
    " ",
    "?",
    "Zürich, naïve café, 東京, Ελλάδα, العربية",
    "👩‍👩‍👧‍👦 and \u200b nothing",
    "a" * 300,
    "word " * 400,
    "tab\tline\nend\r\n",
    "Ｆｕｌｌ　ｗｉｄｔｈ",
    "e\u0301 and é",
]


def test_the_default_embedder_is_the_reference_to_rounding() -> None:
    texts = [example.question for example in make_support(90)] + ODD
    ours = np.vstack([load_model("onnx").embed(texts[start : start + 10]) for start in range(0, len(texts), 10)])
    theirs = load_model("sentence-transformers").embed(texts)
    assert ours.shape == theirs.shape == (100, 384)
    cosines = (ours * theirs).sum(axis=1)
    assert cosines.min() > 1 - 1e-5
    assert np.abs(ours - theirs).max() < 1e-4
    # A neighbour that is nearer than the others by more than rounding is the same one.
    near, far = ours @ ours.T - 2 * np.eye(100), theirs @ theirs.T - 2 * np.eye(100)
    margin = np.sort(far, axis=1)
    clear = margin[:, -1] - margin[:, -2] > 1e-4
    assert clear.sum() > 80
    assert (near.argmax(axis=1) == far.argmax(axis=1))[clear].all()
