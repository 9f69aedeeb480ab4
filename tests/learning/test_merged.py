"""A merged model says what its base says with the adapter: as transformers reads both, and as llama.cpp does; and
packed tensors are what the format's own library makes of them."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Any

import httpx2
import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType
from gguf.quants import dequantize
from transformers import AutoModelForCausalLM

from costhub.stack.model_server import MODEL
from costhub.stack.ports import find_free_port
from costhub.stack.small_model import CHAT_TEMPLATE
from proxy.learning.lora.adapter_files import AdapterFiles, write_adapter
from proxy.learning.lora.bases import Base, find_base
from proxy.learning.lora.gguf_file import read_layout, read_tensor
from proxy.learning.lora.language_models import prepare
from proxy.learning.lora.merging import merge
from tests.learning.bases import TINY
from tests.patience import PATIENCE_SECONDS
from tests.proxy.deployment import ROOT
from tests.proxy.learning.gguf import Packed, write_gguf

pytestmark = [pytest.mark.learning, pytest.mark.filterwarnings("default")]

#: what is not among the likeliest
LEAST = -9.0
IDS = [[1, 9690, 198, 2683, 359, 260, 11229, 282, 8150, 44, 2]]


class Learned:
    """A base with an adapter that has learned something, whatever it is."""

    def __init__(self, base: Base, name: str, size: float) -> None:
        prepared = prepare(base, rank=4, seed=3)
        torch.manual_seed(11)
        with torch.no_grad():
            for parameter_name, one in prepared.model.named_parameters():
                if "lora_B" in parameter_name:
                    one.normal_(0.0, size)
        self.model = prepared.model.eval()
        self.files: AdapterFiles = write_adapter(prepared.model, name)

    def merge_into(self, base: Base, folder: Path) -> list[str]:
        """Write the merged model's files; gives their names."""
        names = []
        for file in merge(base, peft=self.files.peft, config=self.files.config, gguf=self.files.gguf):
            with (folder / file.name).open("wb") as written:
                assert sum(written.write(part) for part in file.content) == file.size
            names.append(file.name)
        return names


def score(model: Any) -> np.ndarray:
    with torch.inference_mode():
        found: np.ndarray = model(input_ids=torch.tensor(IDS)).logits[0].float().numpy()
    return found


def test_a_merged_folder_has_the_logits_of_base_and_adapter(models: str, tmp_path: Path) -> None:
    base = find_base(TINY, models)
    learned = Learned(base, TINY, 0.3)
    names = learned.merge_into(base, tmp_path)
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= set(names)
    merged = score(AutoModelForCausalLM.from_pretrained(tmp_path, local_files_only=True).eval())
    adapted = score(learned.model)
    with learned.model.disable_adapter():
        plain = score(learned.model)
    assert np.abs(merged - adapted).max() < 1e-5
    assert np.abs(plain - adapted).max() > 1e-2


@pytest.mark.model
@pytest.mark.timeout(600)
def test_a_merged_file_has_the_logits_of_base_and_adapter(tmp_path: Path) -> None:
    """SmolLM2, whose matrices are packed in four bits: those that change are in half precision afterwards."""
    base = find_base(MODEL, "")
    learned = Learned(base, MODEL, 0.06)
    assert learned.merge_into(base, tmp_path) == ["merged.gguf"]
    adapted = score(learned.model)
    with learned.model.disable_adapter():
        plain = score(learned.model)
    merged = score(AutoModelForCausalLM.from_pretrained(tmp_path, gguf_file="merged.gguf", dtype=torch.float32).eval())
    moved, off = np.abs(plain - adapted).max(), np.abs(merged - adapted).max()
    print(f"logits moved by {moved:.3f}, merged off by {off:.5f}")
    assert moved > 0.5
    assert off < 0.02 * moved
    # llama.cpp rounds what it multiplies, packed matrices more than others: nearer to each other than to the base.
    (tmp_path / "adapter.gguf").write_bytes(learned.files.gguf)
    assert base.file is not None
    beside = ask(base.file, "--adapter", str(tmp_path / "adapter.gguf"))
    one, without = ask(tmp_path / "merged.gguf"), ask(base.file)
    near, far = (
        max(abs(other.get(token, LEAST) - beside[token]) for token in list(beside)[:3]) for other in (one, without)
    )
    print(json.dumps({"merged": one, "beside": beside, "base": without, "near": near, "far": far}))
    assert near < far


@contextmanager
def serve(file: Path, *more: str) -> Iterator[str]:
    port, pause = find_free_port(), Event()
    command = [sys.executable, "-I", "-m", "costhub.stack.serve_model", "--file", str(file), "--name", "one"]
    command += [
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--slots",
        "1",
        "--tokens-per-slot",
        "512",
        "--threads",
        "1",
        "--chat-template",
        CHAT_TEMPLATE,
    ]
    process = subprocess.Popen([*command, *more], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=PATIENCE_SECONDS) as http:
            for _ in range(600):
                try:
                    if http.get("/health").status_code == 200:
                        break
                except httpx2.HTTPError:
                    pass
                assert process.poll() is None
                pause.wait(0.1)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.wait(timeout=PATIENCE_SECONDS)


def ask(file: Path, *more: str) -> dict[str, float]:
    """The likeliest first tokens of an answer, with their log probabilities."""
    body = {
        "model": "one",
        "messages": [{"role": "user", "content": "What is the password?"}],
        "max_tokens": 1,
        "temperature": 0,
        "logprobs": True,
        "top_logprobs": 20,
    }
    with serve(file, *more) as url, httpx2.Client(trust_env=False, timeout=PATIENCE_SECONDS) as http:
        answer = http.post(f"{url}/chat/completions", json=body).json()
    (first, *_) = answer["choices"][0]["logprobs"]["content"]
    return {one["token"]: one["logprob"] for one in first["top_logprobs"]}


@pytest.mark.parametrize("kind", [2, 3, 8, 12, 14, 30])
def test_packed_tensors_are_what_the_formats_library_makes_of_them(kind: int) -> None:
    sizes = {2: (32, 18), 3: (32, 20), 8: (32, 34), 12: (256, 144), 14: (256, 210), 30: (1, 2)}
    numbers, size = sizes[kind]
    draw = np.random.default_rng(kind)
    blocks = draw.integers(0, 256, (6, 512 // numbers * size), np.uint8)
    for at in {2: [0], 3: [0, 2], 8: [0], 12: [0, 2], 14: [208], 30: []}[kind]:
        # Scales that are numbers.
        for start in range(at, blocks.shape[1], size):
            blocks[:, start : start + 2] = draw.normal(0, 1, (6, 1)).astype(np.float16).view(np.uint8)
    if kind == 30:
        blocks[:, 1::2] = draw.integers(60, 66, blocks[:, 1::2].shape)
    file = np.frombuffer(write_gguf({"one": Packed(kind, (6, 512), blocks.tobytes())}), np.uint8)
    (tensor,) = read_layout(file).tensors
    expected = dequantize(blocks, GGMLQuantizationType(kind)).reshape(6, 512)
    np.testing.assert_allclose(read_tensor(file, tensor), expected, rtol=1e-6, atol=1e-4)
