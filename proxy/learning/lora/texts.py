"""Examples as a language model reads them. Pure, but for the tokenizer that it is given."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from proxy.learning.conversations import Example


class Tokenizer(Protocol):
    """As much of transformers' as is needed."""

    eos_token_id: int | None

    def apply_chat_template(self, conversation: Any, **options: Any) -> Any:
        """A conversation as one text."""

    def encode(self, text: str, **options: Any) -> list[int]:
        """A text as tokens."""


class Encoded(NamedTuple):
    """An example in tokens, of which the last ``answer`` are learned: what the teacher said, and that it ended."""

    ids: list[int]
    answer: int


def encode(tokenizer: Tokenizer, example: Example, sequence_tokens: int, chat_template: str) -> Encoded | None:
    """One example as it is asked when it is served; None for one that is longer than ``sequence_tokens``: an answer
    to half a question teaches something else."""
    messages = [{"role": message.role, "content": message.content} for message in example.prompt]
    asked = tokenizer.apply_chat_template(
        messages, tokenize=False, add_generation_prompt=True, chat_template=chat_template
    )
    # A template writes the beginning of a text itself, where its model wants one.
    prompt = tokenizer.encode(asked, add_special_tokens=False)
    answer = tokenizer.encode(example.answer, add_special_tokens=False)
    if tokenizer.eos_token_id is not None:
        answer = [*answer, tokenizer.eos_token_id]
    if not prompt or not answer or len(prompt) + len(answer) > sequence_tokens:
        return None
    return Encoded(prompt + answer, len(answer))


def encode_all(
    tokenizer: Tokenizer, examples: Sequence[Example], sequence_tokens: int, chat_template: str
) -> list[Encoded]:
    """Those that are short enough, in their order."""
    found = (encode(tokenizer, example, sequence_tokens, chat_template) for example in examples)
    return [one for one in found if one is not None]
