"""How likely a language model finds each token of a text, on what this machine has. Imports PyTorch."""

from typing import Any, Final, NamedTuple

import torch

from proxy.learning.lora.bases import Base
from proxy.learning.lora.language_models import load_base, room

#: a longer text is not scored: 20,000 characters, which is what a call has scored at most, have fewer
MOST_TOKENS: Final = 16_384
#: so many places at once have a number for every word of the vocabulary
_PLACES: Final = 256


class TooLong(Exception):
    """The text has more tokens than are scored at once."""


class Scored(NamedTuple):
    """A token as its text, and the natural logarithm of how likely it was after those before it; None for the first."""

    text: str
    logprob: float | None


class PromptScorer:
    """A model that is open."""

    def __init__(self, base: Base) -> None:
        """Load it. Raises UnusableBase and MemoryError."""
        loaded = load_base(base)
        self._model, self._tokenizer, self._device = loaded.model.eval(), loaded.tokenizer, loaded.device

    def score(self, text: str) -> list[Scored]:
        """The text's tokens in order, which together are the text. Raises TooLong, and MemoryError."""
        if not text:
            return []
        encoded = self._tokenizer(text, return_offsets_mapping=True, add_special_tokens=False)
        ids = encoded["input_ids"]
        if len(ids) > MOST_TOKENS:
            raise TooLong
        return _join(text, encoded["offset_mapping"], [None, *self._rate(ids)])

    def _rate(self, ids: list[int]) -> list[float]:
        """The log probabilities of all but the first token."""
        asked = torch.tensor([ids], device=self._device)
        rated: list[float] = []
        with torch.inference_mode(), room():
            states = self._model.base_model(asked).last_hidden_state[0]
            head = self._model.get_output_embeddings()
            # Of all places together these numbers would be gigabytes.
            for start in range(0, len(ids) - 1, _PLACES):
                end = min(start + _PLACES, len(ids) - 1)
                chances = torch.log_softmax(head(states[start:end]).float(), dim=-1)
                rated += chances.gather(1, asked[0, start + 1 : end + 1, None])[:, 0].tolist()
        return rated


def _join(text: str, offsets: list[Any], logprobs: list[float | None]) -> list[Scored]:
    """Tokens by their places in the text. A character of several tokens is one, as likely as they are together."""
    scored: list[Scored] = []
    place = 0
    for (_, end), logprob in zip(offsets, logprobs, strict=True):
        if end <= place and scored:
            known = scored[-1].logprob
            scored[-1] = Scored(scored[-1].text, logprob if known is None else known + (logprob or 0.0))
            continue
        scored.append(Scored(text[place:end], logprob))
        place = end
    if place < len(text) and scored:
        scored[-1] = Scored(scored[-1].text + text[place:], scored[-1].logprob)
    return scored
