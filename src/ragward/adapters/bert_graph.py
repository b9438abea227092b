"""A BERT encoder's files as an ONNX graph, made in memory from the weights that were verified.

Built rather than exported: an export takes torch and seconds at every start, or a second file of weights on the disk that
would have to be guarded too. Attention (Vaswani et al. 2017) with learned positions, post-layer normalisation and GELU (Devlin
et al. 2019); the operators are ONNX 20 and ONNX Runtime's fused ones, which need no rewriting at start.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ragward.domain.errors import ConfigurationError

Floats = NDArray[np.float32]
IDS: Final = "input_ids"
MASK: Final = "attention_mask"
VECTOR: Final = "vector"
HIDDEN: Final = "hidden"
_OPSET: Final = 20
_IR: Final = 10
_MODULES: Final = ("Transformer", "Pooling", "Normalize")


def is_bert(directory: Path) -> bool:
    """Whether `bert_graph` answers what the model in `directory` does: BERT with GELU, its tokens' mean, unit length."""
    try:
        config = _read(directory / "config.json")
        pooling = _read(directory / "1_Pooling" / "config.json")
        modules = json.loads((directory / "modules.json").read_text(encoding="utf-8"))
        own = directory / "config_sentence_transformers.json"
        prompted = own.is_file() and bool(_read(own).get("default_prompt_name"))
        names = tuple(str(module["type"]).rpartition(".")[2] for module in modules)
    except (OSError, ValueError, TypeError, KeyError):
        return False
    ways = {name for name, on in pooling.items() if name.startswith("pooling_mode") and on is True}
    return (
        (config.get("model_type"), config.get("hidden_act")) == ("bert", "gelu")
        and config.get("position_embedding_type", "absolute") == "absolute"
        and ways == {"pooling_mode_mean_tokens"}
        and names == _MODULES
        and not prompted
    )


def bert_graph(directory: Path, *, hidden_after: int, vectors: bool = True) -> bytes:
    """An ONNX model, serialised: token ids (int64) and their mask (int32), both of batch x tokens, in; out come the unit-length
    mean of the last layer (`vector`, unless `vectors` is off: then later layers are left out) and layer `hidden_after`
    (`hidden`, batch x tokens x dimensions).

    Raises `config.invalid` for files that are not such a model's."""
    from safetensors.numpy import load_file

    try:
        config = _read(directory / "config.json")
        built = _Graph(config, load_file(directory / "model.safetensors"))
        return built.model(hidden_after, vectors=vectors)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ConfigurationError("the model's files are not those of a BERT encoder") from error


class _Graph:
    """Nodes and weights as they are put together; a node is known by the name of what it gives."""

    def __init__(self, config: Mapping[str, Any], weights: Mapping[str, Floats]) -> None:
        self._config, self._weights = config, weights
        self._nodes: list[Any] = []
        self._constants: list[Any] = []

    def model(self, hidden_after: int, *, vectors: bool) -> bytes:
        """The whole, serialised."""
        from onnx import TensorProto, helper

        state = self._embedded()
        for layer in range(self._config["num_hidden_layers"] if vectors else hidden_after):
            state = self._layer(layer, state)
            if layer + 1 == hidden_after:
                self._node("Identity", [state], HIDDEN)
        width = self._config["hidden_size"]
        outputs = [
            helper.make_tensor_value_info(HIDDEN, TensorProto.FLOAT, ["batch", "tokens", width])
        ]
        if vectors:
            self._mean(state)
            outputs.append(
                helper.make_tensor_value_info(VECTOR, TensorProto.FLOAT, ["batch", width])
            )
        graph = helper.make_graph(
            self._nodes,
            "bert",
            [
                helper.make_tensor_value_info(IDS, TensorProto.INT64, ["batch", "tokens"]),
                helper.make_tensor_value_info(MASK, TensorProto.INT32, ["batch", "tokens"]),
            ],
            outputs,
            self._constants,
        )
        opsets = [helper.make_opsetid("", _OPSET), helper.make_opsetid("com.microsoft", 1)]
        made = helper.make_model(graph, opset_imports=opsets, ir_version=_IR)
        data: bytes = made.SerializeToString()
        return data

    def _embedded(self) -> str:
        """Words, positions and the first segment's type (there are no pairs here), normalised."""
        weights = self._weights
        words = self._constant("words", weights["embeddings.word_embeddings.weight"])
        places = (
            weights["embeddings.position_embeddings.weight"]
            + weights["embeddings.token_type_embeddings.weight"][0]
        )
        start = self._constant("start", np.zeros(1, np.int64))
        length = self._node("Shape", [IDS], "length", start=1, end=2)
        spots = self._node("Slice", [self._constant("places", places), start, length], "spots")
        taken = self._node("Gather", [words, IDS], "taken")
        return self._normalised(self._node("Add", [taken, spots], "embedded"), "embeddings")

    def _layer(self, number: int, state: str) -> str:
        at = f"encoder.layer.{number}"
        queries = [f"{at}.attention.self.{part}" for part in ("query", "key", "value")]
        weight = np.concatenate([self._weights[f"{name}.weight"].T for name in queries], axis=1)
        bias = np.concatenate([self._weights[f"{name}.bias"] for name in queries])
        attended = self._node(
            "Attention",
            [
                state,
                self._constant(f"{at}.weight", weight),
                self._constant(f"{at}.bias", bias),
                MASK,
            ],
            f"{at}.attended",
            domain="com.microsoft",
            num_heads=self._config["num_attention_heads"],
        )
        turned = self._dense(attended, f"{at}.attention.output.dense")
        summed = self._node("Add", [turned, state], f"{at}.summed")
        middle = self._normalised(summed, f"{at}.attention.output")
        wide = self._dense(middle, f"{at}.intermediate.dense", activation="BiasGelu")
        narrow = self._dense(wide, f"{at}.output.dense")
        both = self._node("Add", [narrow, middle], f"{at}.both")
        return self._normalised(both, f"{at}.output")

    def _dense(self, given: str, name: str, activation: str = "") -> str:
        weight = self._constant(f"{name}.weight", self._weights[f"{name}.weight"].T)
        bias = self._constant(f"{name}.bias", self._weights[f"{name}.bias"])
        product = self._node("MatMul", [given, weight], f"{name}.product")
        if activation:
            return self._node(activation, [product, bias], f"{name}.out", domain="com.microsoft")
        return self._node("Add", [product, bias], f"{name}.out")

    def _normalised(self, given: str, name: str) -> str:
        parts = [
            self._constant(f"{name}.norm.{part}", self._weights[f"{name}.LayerNorm.{part}"])
            for part in ("weight", "bias")
        ]
        return self._node(
            "LayerNormalization",
            [given, *parts],
            f"{name}.normalised",
            axis=-1,
            epsilon=float(self._config["layer_norm_eps"]),
        )

    def _mean(self, state: str) -> None:
        """The sum over the tokens that are there, at unit length: dividing by their number would change nothing."""
        from onnx import TensorProto

        last, second = (self._constant(f"axis{n}", np.array([n], np.int64)) for n in (2, 1))
        mask = self._node("Cast", [MASK], "there", to=TensorProto.FLOAT)
        column = self._node("Unsqueeze", [mask, last], "column")
        kept = self._node("Mul", [state, column], "kept")
        total = self._node("ReduceSum", [kept, second], "total", keepdims=0)
        self._node("LpNormalization", [total], VECTOR, axis=1, p=2)

    def _constant(self, name: str, value: NDArray[Any]) -> str:
        from onnx import numpy_helper

        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def _node(
        self, kind: str, given: list[str], name: str, *, domain: str = "", **options: object
    ) -> str:
        from onnx import helper

        self._nodes.append(helper.make_node(kind, given, [name], domain=domain, **options))
        return name


def _read(path: Path) -> dict[str, Any]:
    found = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(found, dict):
        raise TypeError(path.name)
    return found
