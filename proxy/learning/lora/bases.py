"""Language models that adapters are trained of and served with: by a name, from the operator's folder or the demo's
package, never from elsewhere."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from costhub.stack.model_server import MODEL
from costhub.stack.small_model import CHAT_TEMPLATE, find_weights
from proxy.learning.lora.gguf_file import NoGguf, read_layout

_GGUF: Final = ".gguf"
#: where a model says how conversations are written: its own file, else a field of the tokenizer's
_TEMPLATE_FILE: Final = "chat_template.jinja"
_TOKENIZER_FILE: Final = "tokenizer_config.json"
_TEMPLATE_FIELD: Final = "chat_template"
_TEMPLATE_KEY: Final = "tokenizer.chat_template"
_USUAL: Final = "default"


class UnknownBase(Exception):
    """No model of this name lies here. The message says which do."""


@dataclass(frozen=True, slots=True)
class Base:
    """Where a model lies: a folder of Hugging Face's form, or one file in it. ``chat_template`` takes the place of the
    model's own, where that is not what it is served with."""

    folder: Path
    gguf: str = ""
    chat_template: str | None = None

    @property
    def file(self) -> Path | None:
        """What llama.cpp reads; None where it reads none of it."""
        return self.folder / self.gguf if self.gguf else None

    @property
    def is_folder(self) -> bool:
        """Whether it is trained from a folder of Hugging Face's form; else from the GGUF file."""
        return not self.gguf or (self.folder / "config.json").is_file()


def find_base(name: str, folder: str) -> Base:
    """The model of a name that a person gave. ``folder`` is the operator's, empty for none. Raises UnknownBase."""
    if name == MODEL and (weights := find_weights()) is not None:
        return Base(weights.parent, weights.name, CHAT_TEMPLATE)
    known = _list_bases(folder)
    if name not in known:
        here = sorted({MODEL, *known}) if find_weights() is not None else sorted(known)
        raise UnknownBase(f"This machine has no model {name[:100]!r}: it has {', '.join(here) or 'none'}.")
    return known[name]


def read_template(base: Base) -> str:
    """What conversations are written with, in training as when it is served: what the model says itself, or plain
    ChatML where it says nothing. Raises UnknownBase where its files cannot be read."""
    if base.chat_template is not None:
        return base.chat_template
    try:
        found = _read_folder(base.folder) if base.is_folder else _read_file(base.folder / base.gguf)
    except (OSError, ValueError) as error:
        raise UnknownBase(f"The model's chat template cannot be read: {str(error)[:200]}") from error
    return found or CHAT_TEMPLATE


def _read_folder(folder: Path) -> str:
    if (folder / _TEMPLATE_FILE).is_file():
        return (folder / _TEMPLATE_FILE).read_text(encoding="utf-8")
    if not (folder / _TOKENIZER_FILE).is_file():
        return ""
    said: Any = json.loads((folder / _TOKENIZER_FILE).read_text(encoding="utf-8"))
    templates = said.get(_TEMPLATE_FIELD) if isinstance(said, dict) else None
    if isinstance(templates, list):
        # Several, by their names: for tools, for documents.
        named = [one for one in templates if isinstance(one, dict) and one.get("name") == _USUAL]
        templates = named[0].get("template") if named else None
    return templates if isinstance(templates, str) else ""


def _read_file(path: Path) -> str:
    try:
        return read_layout(np.memmap(path, np.uint8, "r")).texts.get(_TEMPLATE_KEY, "")
    except NoGguf as error:
        raise ValueError(str(error)) from error


def _list_bases(folder: str) -> dict[str, Base]:
    """By name. A name that is looked up in what is there leads nowhere else."""
    if not folder or not Path(folder).is_dir():
        return {}
    found = {}
    for path in Path(folder).iterdir():
        if path.suffix == _GGUF and path.is_file():
            found[path.stem] = Base(path.parent, path.name)
        elif (path / "config.json").is_file():
            beside = path / f"{path.name}{_GGUF}"
            # What is trained of the one is served with the other.
            found[path.name] = Base(path, beside.name if beside.is_file() else "")
    return found
