"""The network of all-MiniLM-L6-v2 as an ONNX graph, made from its published weights.

The package that carries the weights has them as PyTorch writes them (safetensors). ONNX Runtime has one operator for
each half of a BERT layer (Vaswani et al. 2017; Devlin et al. 2019), so the whole network is sixty nodes, and neither
PyTorch nor a second copy of the weights as an ONNX file is needed to run it.
"""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

Weights = Mapping[str, NDArray[np.float32]]

#: the graph's inputs (texts, tokens) and its output (texts, dimensions)
TOKENS: Final = "tokens"
MASK: Final = "mask"
VECTORS: Final = "vectors"

_LAYERS: Final = 6
_HEADS: Final = 12
_EPSILON: Final = 1e-12
_OPSET: Final = 17
_MICROSOFT: Final = "com.microsoft"


def make_graph(weights: Weights) -> ModelProto:
    """Token numbers and their mask to unit vectors: BERT's encoder, the mean over the tokens, length one."""
    graph = _Graph(weights)
    hidden = graph.embed()
    for layer in range(_LAYERS):
        hidden = graph.attend(hidden, f"encoder.layer.{layer}.")
        hidden = graph.feed_forward(hidden, f"encoder.layer.{layer}.")
    graph.pool(hidden)
    texts_by_tokens = ["texts", "tokens"]
    return helper.make_model(
        helper.make_graph(
            graph.nodes,
            "all-MiniLM-L6-v2",
            [helper.make_tensor_value_info(name, TensorProto.INT32, texts_by_tokens) for name in (TOKENS, MASK)],
            [helper.make_tensor_value_info(VECTORS, TensorProto.FLOAT, ["texts", None])],
            initializer=graph.tensors,
        ),
        opset_imports=[helper.make_opsetid("", _OPSET), helper.make_opsetid(_MICROSOFT, 1)],
        ir_version=8,
    )


class _Graph:
    """Nodes and tensors while they are put together; each method adds one part and names its output."""

    def __init__(self, weights: Weights) -> None:
        self.nodes: list[NodeProto] = []
        self.tensors: list[TensorProto] = []
        self._weights = weights

    def embed(self) -> str:
        # Every text is one segment: the first segment's vector goes into every position's.
        segment = self._weights["embeddings.token_type_embeddings.weight"][0]
        positions = self._weights["embeddings.position_embeddings.weight"] + segment
        self._add(
            "EmbedLayerNormalization",
            [
                TOKENS,
                "",
                self._weight("embeddings.word_embeddings.weight"),
                self._tensor("positions", positions),
                "",
                self._weight("embeddings.LayerNorm.weight"),
                self._weight("embeddings.LayerNorm.bias"),
            ],
            "embedded",
            extra_outputs=["embedded.mask"],
            epsilon=_EPSILON,
        )
        return "embedded"

    def attend(self, hidden: str, layer: str) -> str:
        parts = [f"{layer}attention.self.{part}." for part in ("query", "key", "value")]
        matrix = np.concatenate([self._weights[part + "weight"].T for part in parts], axis=1)
        bias = np.concatenate([self._weights[part + "bias"] for part in parts])
        self._add(
            "Attention",
            [hidden, self._tensor(layer + "qkv", matrix), self._tensor(layer + "qkv.bias", bias), MASK],
            layer + "attended",
            num_heads=_HEADS,
        )
        return self._project_and_add(layer + "attended", hidden, layer + "attention.output.")

    def feed_forward(self, hidden: str, layer: str) -> str:
        inner = layer + "intermediate.dense."
        self._add("MatMul", [hidden, self._turned(inner + "weight")], inner + "product", domain="")
        self._add("BiasGelu", [inner + "product", self._weight(inner + "bias")], inner + "output")
        return self._project_and_add(inner + "output", hidden, layer + "output.")

    def pool(self, hidden: str) -> None:
        """The mean of the real tokens' vectors, not of the padding's (Reimers and Gurevych 2019)."""
        self._tensor("axis.one", np.array([1], np.int64))
        self._tensor("axis.two", np.array([2], np.int64))
        self._add("Cast", [MASK], "mask.float", domain="", to=TensorProto.FLOAT)
        self._add("Unsqueeze", ["mask.float", "axis.two"], "mask.wide", domain="")
        self._add("Mul", [hidden, "mask.wide"], "masked", domain="")
        self._add("ReduceSum", ["masked", "axis.one"], "sum", domain="", keepdims=0)
        # The mean and the sum have one direction, and only the direction is kept.
        self._add("LpNormalization", ["sum"], VECTORS, domain="", axis=1, p=2)

    def _project_and_add(self, value: str, hidden: str, part: str) -> str:
        self._add("MatMul", [value, self._turned(part + "dense.weight")], part + "product", domain="")
        normed = [self._weight(part + "LayerNorm.weight"), self._weight(part + "LayerNorm.bias")]
        self._add(
            "SkipLayerNormalization",
            [part + "product", hidden, *normed, self._weight(part + "dense.bias")],
            part + "normed",
            epsilon=_EPSILON,
        )
        return part + "normed"

    def _weight(self, name: str) -> str:
        return self._tensor(name, self._weights[name])

    def _turned(self, name: str) -> str:
        """PyTorch keeps a matrix as (out, in); ONNX multiplies from the left."""
        return self._tensor(name, np.ascontiguousarray(self._weights[name].T))

    def _tensor(self, name: str, value: NDArray[np.float32] | NDArray[np.int64]) -> str:
        self.tensors.append(numpy_helper.from_array(value, name))
        return name

    def _add(
        self,
        operator: str,
        inputs: list[str],
        output: str,
        *,
        domain: str = _MICROSOFT,
        extra_outputs: list[str] | None = None,
        **attributes: Any,
    ) -> None:
        outputs = [output, *(extra_outputs or [])]
        self.nodes.append(helper.make_node(operator, inputs, outputs, domain=domain, **attributes))
