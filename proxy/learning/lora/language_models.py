"""A language model with a fresh adapter, on what this machine has. Imports PyTorch."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final, NamedTuple

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging as transformers_logging

from proxy.learning.lora.bases import Base

_log = logging.getLogger(__name__)

#: how strongly an adapter of any rank moves its model, as in the LoRA paper's own experiments: alpha = 2 x rank
_ALPHA_BY_RANK: Final = 2
DROPOUT: Final = 0.05
#: what allocators say when there is no room
_NO_ROOM: Final = ("can't allocate memory", "not enough memory", "out of memory")


class UnusableBase(Exception):
    """The model cannot be read, or is of no kind that an adapter can be made of."""


class Prepared(NamedTuple):
    """A model, and its tokenizer; of ``prepare``, one that only its adapter's weights learn in."""

    model: Any
    tokenizer: Any
    device: torch.device


def choose_device() -> tuple[torch.device, torch.dtype]:
    """Where to compute and how precisely: a GPU where there is one, in bfloat16 where it can; float32 elsewhere, since
    float16 without a scale overflows."""
    if not torch.cuda.is_available():
        return torch.device("cpu"), torch.float32
    return torch.device("cuda"), torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32


def load_base(base: Base) -> Prepared:
    """Load a model as it lies there. Raises UnusableBase and MemoryError."""
    device, dtype = choose_device()
    source: dict[str, Any] = {} if base.is_folder else {"gguf_file": base.gguf}
    # Files of this machine alone, and no code that lies among them.
    source |= {"local_files_only": True, "trust_remote_code": False}
    # A file of pickles may run anything.
    safe = {} if "gguf_file" in source else {"use_safetensors": True}
    transformers_logging.disable_progress_bar()
    try:
        with warnings.catch_warnings(), room():
            # Libraries about each other, and about tensors that nobody writes to.
            warnings.simplefilter("ignore")
            tokenizer = AutoTokenizer.from_pretrained(base.folder, **source)
            model = AutoModelForCausalLM.from_pretrained(base.folder, dtype=dtype, **safe, **source)
            model.config.use_cache = False
            model = model.to(device)
    except MemoryError:
        raise
    except Exception as error:
        raise _explain(error) from error
    _log.info("a language model is loaded", extra={"device": str(device), "dtype": str(dtype)})
    return Prepared(model, tokenizer, device)


def prepare(base: Base, *, rank: int, seed: int) -> Prepared:
    """Load a model and put an adapter into it, the same for the same seed. Raises UnusableBase and MemoryError."""
    loaded = load_base(base)
    try:
        with warnings.catch_warnings(), room():
            warnings.simplefilter("ignore")
            torch.manual_seed(seed)
            adapted = _adapt(loaded.model, rank)
    except MemoryError:
        raise
    except Exception as error:
        raise _explain(error) from error
    for parameter in adapted.parameters():
        if parameter.requires_grad:
            # Steps are smaller than bfloat16's grains.
            parameter.data = parameter.data.float()
    return loaded._replace(model=adapted)


def _explain(error: Exception) -> UnusableBase:
    return UnusableBase(f"The model cannot be read: {str(error).partition(chr(10))[0][:300]}")


@contextmanager
def room() -> Iterator[None]:
    """A block that needs memory. Raises MemoryError, in words for a person, whatever an allocator raises when there is
    none left."""
    try:
        yield
    except RuntimeError as error:
        if isinstance(error, torch.OutOfMemoryError) or any(words in str(error) for words in _NO_ROOM):
            with suppress(RuntimeError):
                torch.cuda.empty_cache()
            raise MemoryError(
                "The worker's memory does not hold this training: give fewer sequence_tokens, or a smaller model."
            ) from error
        raise


def _adapt(model: Any, rank: int) -> Any:
    options: dict[str, Any] = {
        "r": rank,
        "lora_alpha": _ALPHA_BY_RANK * rank,
        "lora_dropout": DROPOUT,
        "bias": "none",
        "task_type": "CAUSAL_LM",
    }
    try:
        # Where peft knows this kind of model, what it adapts in it by itself: for Llama's, queries and values.
        return get_peft_model(model, LoraConfig(**options))
    except ValueError:
        return get_peft_model(model, LoraConfig(**options, target_modules="all-linear"))
