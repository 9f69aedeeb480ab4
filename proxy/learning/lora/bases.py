"""Language models that adapters are trained of and served with: by a name, from the operator's folder or the demo's
package, never from elsewhere."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from costhub.stack.model_server import MODEL
from costhub.stack.small_model import CHAT_TEMPLATE, find_weights

_GGUF: Final = ".gguf"


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


def find_base(name: str, folder: str) -> Base:
    """The model of a name that a person gave. ``folder`` is the operator's, empty for none. Raises UnknownBase."""
    if name == MODEL and (weights := find_weights()) is not None:
        return Base(weights.parent, weights.name, CHAT_TEMPLATE)
    known = _list_bases(folder)
    if name not in known:
        here = sorted({MODEL, *known}) if find_weights() is not None else sorted(known)
        raise UnknownBase(f"This machine has no model {name[:100]!r}: it has {', '.join(here) or 'none'}.")
    return known[name]


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
