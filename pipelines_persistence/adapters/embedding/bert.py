"""Builds a BERT sentence encoder out of OpenVINO's operators: no torch, no ONNX, no conversion.

Source: Devlin et al. 2019 (BERT), Reimers and Gurevych 2019 (Sentence-BERT).
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pipelines_persistence.adapters.embedding.models import ModelFolder
from pipelines_persistence.errors import ConfigurationError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from openvino import Model, Node

_KNOWN_STEPS = {"Transformer", "Pooling", "Normalize"}
_FAR = 1e4  # away from every score: enough to vanish in the softmax, and finite in every precision


def obstacle(model: ModelFolder) -> str | None:
    """Return why the graph below would not give this model's vectors, or None if it does."""
    config = model.config
    checks = {
        f"its architecture is {config.get('model_type')!r}": config.get("model_type") == "bert",
        f"its positions are {config.get('position_embedding_type')!r}": config.get(
            "position_embedding_type", "absolute"
        )
        == "absolute",
        f"its activation is {config.get('hidden_act')!r}": config.get("hidden_act") in _ACTIVATIONS,
        f"its steps are {', '.join(model.modules)}": set(model.modules) <= _KNOWN_STEPS,
        f"its pooling is {model.pooling!r}": model.pooling in {"mean", "cls"},
        "it puts prompts before texts": not model.prompts,
        "it has no model.safetensors": model.weights.is_file(),
        "it has no tokenizer.json": model.tokenizer.is_file(),
    }
    return next((problem for problem, is_fine in checks.items() if not is_fine), None)


def build(model: ModelFolder) -> "Model":
    """Return the graph: token ids and attention mask, both int64 of shape (n, length), to unit vectors.

    Raises:
        ConfigurationError: the weights lack a tensor or have a type that NumPy cannot hold.
    """
    import openvino as ov
    from openvino import opset13 as op

    graph = _Graph(_weights(model), model.config)
    ids = op.parameter([-1, -1], ov.Type.i64, name="ids")
    mask = op.parameter([-1, -1], ov.Type.i64, name="mask")
    present = op.convert(mask, "f32")
    hidden = graph.embedded(ids)
    # Shape (n, 1, 1, length): the same for all heads and all positions that look.
    bias = op.unsqueeze(op.multiply(op.subtract(present, graph.number(1)), graph.number(_FAR)), [1, 2])
    for layer in range(model.config["num_hidden_layers"]):
        hidden = graph.layer(f"encoder.layer.{layer}", hidden, bias)
    pooled = graph.first(hidden) if model.pooling == "cls" else graph.mean(hidden, present)
    unit = op.normalize_l2(pooled, [1], 1e-12, "max")
    return ov.Model([op.result(unit)], [ids, mask], "sentence-encoder")


class _Graph:
    """The parts of the network, each with its weights from the file."""

    def __init__(self, weights: "Mapping[str, NDArray[np.float32]]", config: Mapping[str, Any]) -> None:
        from openvino import opset13

        self.op = opset13
        self.weights = weights
        self.heads = int(config["num_attention_heads"])
        self.epsilon = float(config.get("layer_norm_eps", 1e-12))
        self.activation = config["hidden_act"]

    def number(self, value: float) -> "Node":
        import numpy as np

        return self.op.constant(np.float32(value))

    def weight(self, name: str) -> "Node":
        try:
            return self.op.constant(self.weights[name], shared_memory=True)
        except KeyError as error:
            raise ConfigurationError(f"the model's weights have no tensor {name!r}") from error

    def linear(self, name: str, x: "Node") -> "Node":
        product = self.op.matmul(x, self.weight(f"{name}.weight"), False, True)  # noqa: FBT003 - positional in OpenVINO
        return self.op.add(product, self.weight(f"{name}.bias"))

    def norm(self, name: str, x: "Node") -> "Node":
        centred = self.op.mvn(x, [-1], True, self.epsilon, "inside_sqrt")  # noqa: FBT003 - positional in OpenVINO
        scaled = self.op.multiply(centred, self.weight(f"{name}.weight"))
        return self.op.add(scaled, self.weight(f"{name}.bias"))

    def embedded(self, ids: "Node") -> "Node":
        op = self.op
        length = op.squeeze(op.gather(op.shape_of(ids), [1], 0), [0])
        words = op.gather(self.weight("embeddings.word_embeddings.weight"), ids, 0)
        positions = op.gather(
            self.weight("embeddings.position_embeddings.weight"), op.range(0, length, 1, "i64"), 0
        )
        # One segment only: every token has type 0.
        types = op.gather(self.weight("embeddings.token_type_embeddings.weight"), [0], 0)
        return self.norm("embeddings.LayerNorm", op.add(op.add(words, positions), types))

    def layer(self, name: str, x: "Node", bias: "Node") -> "Node":
        attended = self.linear(f"{name}.attention.output.dense", self.attention(name, x, bias))
        x = self.norm(f"{name}.attention.output.LayerNorm", self.op.add(x, attended))
        widened = _ACTIVATIONS[self.activation](self.op, self.linear(f"{name}.intermediate.dense", x))
        return self.norm(
            f"{name}.output.LayerNorm", self.op.add(x, self.linear(f"{name}.output.dense", widened))
        )

    def attention(self, name: str, x: "Node", bias: "Node") -> "Node":
        op = self.op
        query, key, value = (
            op.transpose(
                op.reshape(self.linear(f"{name}.attention.self.{part}", x), [0, 0, self.heads, -1], True),  # noqa: FBT003 - positional in OpenVINO
                [0, 2, 1, 3],
            )
            for part in ("query", "key", "value")
        )
        context = op.scaled_dot_product_attention(query, key, value, bias)
        return op.reshape(op.transpose(context, [0, 2, 1, 3]), [0, 0, -1], True)  # noqa: FBT003 - positional in OpenVINO

    def mean(self, x: "Node", present: "Node") -> "Node":
        """The direction of the mean over the present tokens; normalization takes the division."""
        row = self.op.unsqueeze(present, [1])
        return self.op.squeeze(self.op.matmul(row, x, False, False), [1])  # noqa: FBT003 - positional in OpenVINO

    def first(self, x: "Node") -> "Node":
        return self.op.squeeze(self.op.gather(x, [0], 1), [1])


_ACTIVATIONS = {
    "gelu": lambda op, x: op.gelu(x, "ERF"),
    "gelu_new": lambda op, x: op.gelu(x, "TANH"),
    "gelu_pytorch_tanh": lambda op, x: op.gelu(x, "TANH"),
    "relu": lambda op, x: op.relu(x),
}


def _weights(model: ModelFolder) -> "dict[str, NDArray[np.float32]]":
    import numpy as np
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        tensors = load_file(model.weights)
    except (SafetensorError, TypeError, OSError) as error:
        raise ConfigurationError(f"{model.weights} cannot be read: {error}") from error
    # Models saved with a head on top carry the prefix.
    return {
        name.removeprefix("bert."): np.ascontiguousarray(tensor, np.float32)
        for name, tensor in tensors.items()
        if np.issubdtype(tensor.dtype, np.floating)
    }
