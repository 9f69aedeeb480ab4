"""What is known of a model by its name, assumed where nobody says otherwise: its vocabulary and its sizes.

The vocabularies are those that the makers publish (OpenAI's tiktoken names them by model); windows come from the
packaged price table where it has one. A server of one's own may call another model by such a name: what was assumed is
told, and can be changed.
"""

import re
from typing import Final, NamedTuple

from tenants.choices import Tokenizer


class KnownModel(NamedTuple):
    """A vocabulary, and the sizes in tokens; None where they differ within the family."""

    tokenizer: Tokenizer
    context_window: int | None = None
    max_output_tokens: int | None = None


_O200K, _CL100K, _LLAMA3, _QWEN3 = Tokenizer.O200K, Tokenizer.CL100K, Tokenizer.LLAMA3, Tokenizer.QWEN3

#: by an expression for the name without its provider, the first that matches
_FAMILIES: Final[tuple[tuple[str, KnownModel], ...]] = (
    (r"gpt-[56](\.\d)?(-\w+)*-chat(-.*)?", KnownModel(_O200K, 128_000, 16_384)),
    (r"gpt-[56](\.\d+)?(-.*)?", KnownModel(_O200K, 400_000, 128_000)),
    (r"gpt-4\.1(-.*)?", KnownModel(_O200K, 1_047_576, 32_768)),
    (r"gpt-4o-2024-05-13", KnownModel(_O200K, 128_000, 4_096)),
    (r"(chat)?gpt-4o(-.*)?", KnownModel(_O200K, 128_000, 16_384)),
    (r"gpt-4\.5(-.*)?", KnownModel(_O200K, 128_000, 16_384)),
    (r"o1-mini(-.*)?", KnownModel(_O200K, 128_000, 65_536)),
    (r"o[134](-.*)?", KnownModel(_O200K, 200_000, 100_000)),
    (r"gpt-oss(-.*)?", KnownModel(_O200K, 131_072, 131_072)),
    (r"gpt-4-(turbo|1106|0125)(-.*)?", KnownModel(_CL100K, 128_000, 4_096)),
    (r"gpt-4-32k(-.*)?", KnownModel(_CL100K, 32_768, 32_768)),
    (r"gpt-4(-\d{4})?", KnownModel(_CL100K, 8_192, 8_192)),
    (r"gpt-3\.5-turbo(-.*)?", KnownModel(_CL100K, 16_385, 4_096)),
    (r"text-embedding-(3-small|3-large|ada-002)", KnownModel(_CL100K, 8_191)),
    (r"(meta-)?llama-?3\.[123](-.*)?", KnownModel(_LLAMA3, 131_072)),
    (r"(meta-)?llama-?3(-.*)?", KnownModel(_LLAMA3, 8_192)),
    (r"qwen-?3(-.*)?", KnownModel(_QWEN3)),
)


def find_known_model(name: str) -> KnownModel | None:
    """What is known of a model that an upstream knows by this name, with or without its provider before it."""
    plain = name.lower().rsplit("/", 1)[-1]
    return next((known for pattern, known in _FAMILIES if re.fullmatch(pattern, plain)), None)
