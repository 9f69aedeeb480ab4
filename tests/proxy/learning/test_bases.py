"""Base models: found by their names alone, each with what conversations are written with in training and in serving."""

import json
from pathlib import Path
from typing import Any

import pytest

from costhub.stack.small_model import CHAT_TEMPLATE
from proxy.learning.lora.bases import Base, UnknownBase, find_base, read_template
from tests.proxy.learning.gguf import write_gguf

OWN, OTHER = "{{ messages[0]['content'] }} ->", "<{{ messages[0]['content'] }}>"


def write_base(folder: Path, *, tokenizer: dict[str, Any] | None = None, jinja: str = "") -> Path:
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    if tokenizer is not None:
        (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer))
    if jinja:
        (folder / "chat_template.jinja").write_text(jinja)
    return folder


@pytest.mark.parametrize(
    ("tokenizer", "jinja", "expected"),
    [
        (None, "", CHAT_TEMPLATE),
        ({}, "", CHAT_TEMPLATE),
        ({"chat_template": OWN}, "", OWN),
        ({"chat_template": OTHER}, OWN, OWN),
        ({"chat_template": [{"name": "tools", "template": OTHER}, {"name": "default", "template": OWN}]}, "", OWN),
        ({"chat_template": [{"name": "tools", "template": OTHER}]}, "", CHAT_TEMPLATE),
    ],
    ids=["nothing", "none", "a field", "a file", "several", "none that is usual"],
)
def test_a_folder_says_how_conversations_are_written(
    tmp_path: Path, tokenizer: dict[str, Any] | None, jinja: str, expected: str
) -> None:
    write_base(tmp_path / "shop", tokenizer=tokenizer, jinja=jinja)
    # What llama.cpp is given of the same name says something else: it was trained with the folder's.
    (tmp_path / "shop" / "shop.gguf").write_bytes(write_gguf({}, texts={"tokenizer.chat_template": OTHER}))
    base = find_base("shop", str(tmp_path))
    assert (base.file, base.is_folder) == (tmp_path / "shop" / "shop.gguf", True)
    assert read_template(base) == expected


@pytest.mark.parametrize("texts", [{"tokenizer.chat_template": OWN}, {}], ids=["its own", "none"])
def test_a_gguf_file_says_it_too(tmp_path: Path, texts: dict[str, str]) -> None:
    (tmp_path / "shop.gguf").write_bytes(write_gguf({}, texts=texts))
    base = find_base("shop", str(tmp_path))
    assert (base.file, base.is_folder) == (tmp_path / "shop.gguf", False)
    assert read_template(base) == (texts.get("tokenizer.chat_template") or CHAT_TEMPLATE)


def test_what_stands_in_its_place_is_taken_first(tmp_path: Path) -> None:
    assert read_template(Base(tmp_path, "none.gguf", OWN)) == OWN


def test_files_that_cannot_be_read_are_told_of(tmp_path: Path) -> None:
    (tmp_path / "torn.gguf").write_bytes(b"GGUF\x03")
    with pytest.raises(UnknownBase, match="chat template cannot be read: The file's beginning cannot be read"):
        read_template(find_base("torn", str(tmp_path)))
    (write_base(tmp_path / "shop") / "tokenizer_config.json").write_bytes(b"\xff{")
    with pytest.raises(UnknownBase, match="chat template cannot be read"):
        read_template(find_base("shop", str(tmp_path)))


def test_a_name_leads_nowhere_else(tmp_path: Path) -> None:
    write_base(tmp_path / "shop")
    with pytest.raises(UnknownBase, match=r"no model '\.\./shop': it has .*shop"):
        find_base("../shop", str(tmp_path / "shop" / ".."))
