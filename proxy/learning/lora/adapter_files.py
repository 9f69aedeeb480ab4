"""An adapter as files: peft's (safetensors and a configuration), and llama.cpp's (GGUF). Imports PyTorch."""

import re
import tempfile
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from gguf import GGUFWriter
from numpy.typing import NDArray
from peft import get_peft_model_state_dict
from safetensors.numpy import load
from safetensors.torch import save

#: modules of Llama's kind, by llama.cpp's names for them, and whose rows it keeps in another order, by the heads
_MODULES: Final = {
    "q_proj": ("attn_q", "num_attention_heads"),
    "k_proj": ("attn_k", "num_key_value_heads"),
    "v_proj": ("attn_v", ""),
    "o_proj": ("attn_output", ""),
    "gate_proj": ("ffn_gate", ""),
    "up_proj": ("ffn_up", ""),
    "down_proj": ("ffn_down", ""),
}
_ARCHITECTURE: Final = "llama"
_NAME: Final = re.compile(r"base_model\.model\.model\.layers\.(\d+)\.(?:self_attn|mlp)\.(\w+)\.lora_([AB])\.weight")
_CONFIGURED: Final = ("r", "lora_alpha", "target_modules", "task_type", "peft_type", "bias", "fan_in_fan_out")


class AdapterFiles(NamedTuple):
    """``peft`` and its ``config`` go together; ``gguf`` is empty where llama.cpp does not know this kind of model."""

    peft: bytes
    config: dict[str, Any]
    gguf: bytes


def write_adapter(model: Any, base_model: str) -> AdapterFiles:
    """The adapter that a model has learned."""
    weights = {name: one.detach().cpu().contiguous() for name, one in get_peft_model_state_dict(model).items()}
    peft = save(weights, {"format": "pt"})
    said = model.peft_config["default"].to_dict()
    config = {name: said[name] for name in _CONFIGURED} | {
        "target_modules": _plain(said["target_modules"]),
        "base_model_name_or_path": base_model,
        "inference_mode": True,
    }
    return AdapterFiles(peft, config, write_gguf(peft, float(said["lora_alpha"]), model.config))


def write_gguf(peft: bytes, alpha: float, config: Any) -> bytes:
    """The same for llama.cpp. Empty for a model of another kind than Llama's."""
    tensors = load(peft)
    found = {name: _NAME.fullmatch(name) for name in tensors}
    if config.model_type != _ARCHITECTURE or any(one is None or one[2] not in _MODULES for one in found.values()):
        return b""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "adapter.gguf"
        writer = GGUFWriter(str(path), _ARCHITECTURE)
        writer.add_type("adapter")
        writer.add_string("adapter.type", "lora")
        writer.add_float32("adapter.lora.alpha", alpha)
        for name, one in sorted(found.items()):
            assert one is not None
            module, heads = _MODULES[one[2]]
            tensor = tensors[name]
            if one[3] == "B" and heads:
                tensor = _interleave(tensor, getattr(config, heads))
            writer.add_tensor(
                f"blk.{one[1]}.{module}.weight.lora_{one[3].lower()}", np.ascontiguousarray(tensor, np.float32)
            )
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return path.read_bytes()


def _interleave(tensor: NDArray[Any], heads: int) -> NDArray[Any]:
    """Rotary halves, which Hugging Face keeps apart, side by side, as llama.cpp has them."""
    rows, columns = tensor.shape
    return tensor.reshape(heads, 2, rows // heads // 2, columns).swapaxes(1, 2).reshape(rows, columns)


def _plain(modules: Any) -> Any:
    return modules if isinstance(modules, str) else sorted(modules)
