"""A base is served with the template that its adapter was trained with, whatever that is: the same tokens."""

import asyncio
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save
from transformers import AutoConfig, AutoTokenizer

from costhub.stack.small_model import CHAT_TEMPLATE, find_weights
from proxy.learning.conversations import Example, Message
from proxy.learning.lora.adapter_files import write_gguf
from proxy.learning.lora.bases import Base, find_base, read_template
from proxy.learning.lora.serving import start_child
from proxy.learning.lora.texts import encode

pytestmark = [pytest.mark.learning, pytest.mark.model, pytest.mark.filterwarnings("default")]

#: as Llama 2 is written to, with nothing of ChatML in it
INSTRUCTED = (
    "{% for message in messages %}{% if message['role'] == 'system' %}<<SYS>>{{ message['content'] }}<</SYS>>\n"
    "{% elif message['role'] == 'user' %}[INST] {{ message['content'] }} [/INST]{% else %} {{ message['content'] }}"
    "{{ eos_token }}{% endif %}{% endfor %}{% if add_generation_prompt %} {% endif %}"
)
PROMPT = (
    Message("system", "You sell shoes."),
    Message("user", "Who are you?"),
    Message("assistant", "A shop."),
    Message("user", "Where?"),
)
CONTEXT = 4_096


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """SmolLM2 as a folder whose template is none of ChatML, and as a GGUF file beside it, which says its own."""
    weights = find_weights()
    assert weights is not None
    folder = tmp_path_factory.mktemp("models")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tokenizer = AutoTokenizer.from_pretrained(weights.parent, gguf_file=weights.name)
        own = str(tokenizer.chat_template)
        tokenizer.chat_template = INSTRUCTED
        tokenizer.save_pretrained(folder / "instructed")
        AutoConfig.from_pretrained(weights.parent, gguf_file=weights.name).save_pretrained(folder / "instructed")
    (folder / "instructed" / "instructed.gguf").symlink_to(weights)
    (folder / "plain.gguf").symlink_to(weights)
    # What is read out of the file is what the format's users read.
    assert read_template(find_base("plain", str(folder))) == own != CHAT_TEMPLATE
    return folder


def make_adapter(weights: Path) -> bytes:
    """One that changes nothing."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        config = AutoConfig.from_pretrained(weights.parent, gguf_file=weights.name)
    matrix = "base_model.model.model.layers.0.self_attn.q_proj.lora_{}.weight"
    size = config.hidden_size
    shapes = {"A": (2, size), "B": (size, 2)}
    return write_gguf(
        save({matrix.format(one): np.zeros(shape, np.float32) for one, shape in shapes.items()}), 4, config
    )


async def ask_served(base: Base, folder: Path) -> tuple[str, list[int], int]:
    """How the process writes the conversation, in which tokens, and how many it takes of one."""
    assert base.file is not None
    folder.mkdir(mode=0o700)
    child = await start_child(
        folder,
        name="one",
        base=base.file,
        chat_template=read_template(base),
        context=CONTEXT,
        adapter=make_adapter(base.file.resolve()),
        sha256="",
        threads=1,
    )
    try:
        messages = [{"role": message.role, "content": message.content} for message in PROMPT]
        written = (await child.http.post("/apply-template", json={"messages": messages})).json()["prompt"]
        asked: dict[str, Any] = {"content": written, "add_special": True, "parse_special": True}
        tokens = (await child.http.post("/tokenize", json=asked)).json()["tokens"]
        context = (await child.http.get("/props")).json()["default_generation_settings"]["n_ctx"]
        return str(written), list(tokens), int(context)
    finally:
        await child.stop()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", ["instructed", "plain", "smollm2-135m-instruct"])
def test_what_is_served_is_what_was_trained(models: Path, tmp_path: Path, name: str) -> None:
    base = find_base(name, str(models))
    source: dict[str, Any] = {} if base.is_folder else {"gguf_file": base.gguf}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tokenizer = AutoTokenizer.from_pretrained(base.folder, **source)
    encoded = encode(tokenizer, Example("", 0, PROMPT, "Ulm"), 512, read_template(base))
    assert encoded is not None
    written, tokens, context = asyncio.run(ask_served(base, tmp_path / "child"))
    assert encoded.ids[: -encoded.answer] == tokens
    assert context == CONTEXT
    assert ("[INST] Where? [/INST]" in written, "<|im_start|>" in written) == (
        name == "instructed",
        name != "instructed",
    )
