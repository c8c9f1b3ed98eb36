"""The rows as JAX states them: a loss as a function of a tree of parameters, and the tree's initial values.

Weights of linear maps are (in, out), sequences have time first, and data is a constant of the jitted function.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import isqrt
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import rnn

from ..workloads.workload import Arrays

Loss = Callable[..., Any]
Stated = tuple[Loss, Any]
Differentiated = tuple[Loss, tuple[Any, ...], tuple[Any, ...]]


# ------------------------------------------------------------------------------------------------ layers


def _linear(parameters: Arrays, name: str) -> dict[str, np.ndarray]:
    return {"w": np.ascontiguousarray(parameters[f"{name}.weight"].T), "b": parameters[f"{name}.bias"]}


def _stack(parameters: Arrays) -> list[dict[str, np.ndarray]]:
    return [_linear(parameters, name.removesuffix(".weight")) for name in parameters if name.endswith(".weight")]


def _recurrent(parameters: Arrays, prefix: str) -> dict[str, np.ndarray]:
    return {
        "wi": np.ascontiguousarray(parameters[f"{prefix}weight_ih_l0"].T),
        "wh": np.ascontiguousarray(parameters[f"{prefix}weight_hh_l0"].T),
        "bi": parameters[f"{prefix}bias_ih_l0"],
        "bh": parameters[f"{prefix}bias_hh_l0"],
    }


def _norm(parameters: Arrays, name: str) -> tuple[np.ndarray, np.ndarray]:
    return parameters[f"{name}.weight"], parameters[f"{name}.bias"]


def _mapped(p: Any, x: Any) -> Any:
    return x @ p["w"] + p["b"]


def _mlp(layers: Any, x: Any, activation: Callable[[Any], Any] = jax.nn.relu) -> Any:
    for p in layers[:-1]:
        x = activation(_mapped(p, x))
    return _mapped(layers[-1], x)


def _cross_entropy(logits: Any, labels: Any) -> Any:
    return -jnp.take_along_axis(jax.nn.log_softmax(logits), labels[..., None], -1).mean()


def _convolution(x: Any, w: Any, padding: str = "VALID") -> Any:
    return jax.lax.conv_general_dilated(x, w, (1, 1), padding)


def _layer_norm(x: Any, p: Any) -> Any:
    mean, variance = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    return (x - mean) / jnp.sqrt(variance + 1e-5) * p[0] + p[1]


def _lstm(p: Any, x: Any) -> Any:
    """x: (T, B, features); the states of every step."""
    bias = p["bi"] + p["bh"]

    def cell(carry: Any, x: Any) -> Any:
        h, c = carry
        i, f, g, o = jnp.split(x @ p["wi"] + h @ p["wh"] + bias, 4, -1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), h

    zeros = jnp.zeros((x.shape[1], p["wh"].shape[0]))
    return jax.lax.scan(cell, (zeros, zeros), x)[1]


def _packed(parameters: Arrays, prefix: str) -> np.ndarray:
    """As cuDNN has them: one after the other in one array, which is a parameter as a whole."""
    kinds = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    return np.concatenate([parameters[f"{prefix}{kind}_l0"].reshape(-1) for kind in kinds])


def _lstm_of_cudnn(p: Any, x: Any) -> Any:
    """x: (T, B, features); the states of every step."""
    steps, batch, features = x.shape
    hidden = (isqrt((features + 2) ** 2 + p.size) - features - 2) // 2  # 4 h (features + h + 2) numbers
    zeros, lengths = jnp.zeros((1, batch, hidden)), jnp.full((batch,), steps, jnp.int32)
    y, _, _ = rnn.lstm(x.swapaxes(0, 1), zeros, zeros, p, lengths, features, hidden, 1, 0.0, False)
    return y.swapaxes(0, 1)


class Recurrent(NamedTuple):
    """A way to compute an LSTM: its parameters, from ours under a prefix, and the layer."""

    parameters: Callable[[Arrays, str], Any]
    layer: Callable[[Any, Any], Any]


BY_SCAN = Recurrent(_recurrent, _lstm)
BY_CUDNN = Recurrent(_packed, _lstm_of_cudnn)


def _gru(p: Any, x: Any) -> Any:
    """x: (T, B, features); the states of every step."""

    def cell(h: Any, x: Any) -> Any:
        xr, xz, xn = jnp.split(x @ p["wi"] + p["bi"], 3, -1)
        hr, hz, hn = jnp.split(h @ p["wh"] + p["bh"], 3, -1)
        z = jax.nn.sigmoid(xz + hz)
        h = (1 - z) * jnp.tanh(xn + jax.nn.sigmoid(xr + hr) * hn) + z * h
        return h, h

    return jax.lax.scan(cell, jnp.zeros((x.shape[1], p["wh"].shape[0])), x)[1]


def _attention(p: Any, x: Any, heads: int) -> Any:
    batch, steps, width = x.shape
    q, k, v = _mapped(p["qkv"], x).reshape(batch, steps, 3, heads, width // heads).transpose(2, 0, 3, 1, 4)
    weights = jax.nn.softmax(q @ k.swapaxes(-1, -2) / np.sqrt(width // heads).astype(np.float32))
    return _mapped(p["o"], (weights @ v).transpose(0, 2, 1, 3).reshape(x.shape))


# ------------------------------------------------------------------------------------------------ rows that train


def _mlp_row(data: Arrays, parameters: Arrays) -> Stated:
    return lambda p: _cross_entropy(_mlp(p, data["x"]), data["labels"]), _stack(parameters)


def _tiny_mlp_row(data: Arrays, parameters: Arrays) -> Stated:
    return lambda p: _cross_entropy(_mlp(p, data["x"], jnp.tanh), data["labels"]), _stack(parameters)


def _autoencoder_row(data: Arrays, parameters: Arrays) -> Stated:
    x = data["x"]
    return lambda p: ((jax.nn.sigmoid(_mlp(p, x)) - x) ** 2).mean(), _stack(parameters)


def _cnn_row(data: Arrays, parameters: Arrays) -> Stated:
    x, labels = data["x"], data["labels"]

    def convolved(p: Any, x: Any) -> Any:
        return jax.nn.relu(_convolution(x, p["w"]) + p["b"])

    def loss(p: Any) -> Any:
        h = convolved(p["c2"], convolved(p["c1"], x))
        return _cross_entropy(_mlp(p["f"], _pooled(h).reshape(len(x), -1)), labels)

    convolutions = {
        ours: {"w": parameters[f"{name}.weight"], "b": parameters[f"{name}.bias"][:, None, None]}
        for ours, name in (("c1", "0"), ("c2", "2"))
    }
    return loss, {**convolutions, "f": [_linear(parameters, "6"), _linear(parameters, "8")]}


def _normalized(y: Any, p: Any) -> Any:
    """Over the batch and the pixels, by channel."""
    mean, variance = y.mean((0, 2, 3), keepdims=True), y.var((0, 2, 3), keepdims=True)
    return (y - mean) / jnp.sqrt(variance + 1e-5) * p[0][:, None, None] + p[1][:, None, None]


def _pooled(x: Any) -> Any:
    return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")


def _large_cnn_row(data: Arrays, parameters: Arrays) -> Stated:
    x, labels = data["x"], data["labels"]

    def loss(p: Any) -> Any:
        h: Any = x
        for at, (weight, norm) in enumerate(p["c"]):
            h = jax.nn.relu(_normalized(_convolution(h, weight, "SAME"), norm))
            h = _pooled(h) if at % 2 else h
        return _cross_entropy(_mapped(p["f"], h.reshape(len(x), -1)), labels)

    places = (0, 3, 7, 10)
    layers = [(parameters[f"{at}.weight"], _norm(parameters, str(at + 1))) for at in places]
    return loss, {"c": layers, "f": _linear(parameters, "15")}


def _batch_norm_row(data: Arrays, parameters: Arrays) -> Stated:
    x = data["x"]

    def loss(p: Any) -> Any:
        y = _convolution(x, p["w"], "SAME")  # its bias is what the normalization takes away again
        return (jax.nn.relu(_normalized(y, p["n"])) ** 2).mean()

    return loss, {"w": parameters["0.weight"], "n": _norm(parameters, "1")}


def _character_row(data: Arrays, parameters: Arrays, lstm: Recurrent = BY_SCAN) -> Stated:
    x, labels = data["x"].T, data["labels"].T

    def loss(p: Any) -> Any:
        return _cross_entropy(_mapped(p["o"], lstm.layer(p["r"], p["e"][x])), labels)

    return loss, {"e": parameters["e.weight"], "r": lstm.parameters(parameters, "r."), "o": _linear(parameters, "o")}


def _addition_row(data: Arrays, parameters: Arrays, lstm: Recurrent = BY_SCAN) -> Stated:
    x, labels = np.ascontiguousarray(data["x"].swapaxes(0, 1)), data["labels"].T

    def loss(p: Any) -> Any:
        h = lstm.layer(p["enc"], x)[-1]
        return _cross_entropy(_mapped(p["o"], lstm.layer(p["dec"], jnp.broadcast_to(h, (4, *h.shape)))), labels)

    layers = {name: lstm.parameters(parameters, f"{name}.") for name in ("enc", "dec")}
    return loss, {**layers, "o": _linear(parameters, "o")}


def _gru_row(data: Arrays, parameters: Arrays) -> Stated:
    x = np.ascontiguousarray(data["x"].swapaxes(0, 1))
    return lambda p: (_gru(p, x) ** 2).mean(), _recurrent(parameters, "")


def _encoder_row(data: Arrays, parameters: Arrays, heads: int = 4) -> Stated:
    def loss(layers: Any) -> Any:
        x = data["x"]
        for p in layers:
            x = _layer_norm(x + _attention(p, x, heads), p["n1"])
            x = _layer_norm(x + _mapped(p["d"], jax.nn.gelu(_mapped(p["u"], x), approximate=False)), p["n2"])
        return (x * x).mean()

    def layer(name: str) -> dict[str, Any]:
        weight, bias = (parameters[f"{name}.self_attn.in_proj_{kind}"] for kind in ("weight", "bias"))
        return {
            "qkv": _linear({"in.weight": weight, "in.bias": bias}, "in"),
            "o": _linear(parameters, f"{name}.self_attn.out_proj"),
            "u": _linear(parameters, f"{name}.linear1"),
            "d": _linear(parameters, f"{name}.linear2"),
            "n1": _norm(parameters, f"{name}.norm1"),
            "n2": _norm(parameters, f"{name}.norm2"),
        }

    count = sum(name.endswith("norm1.weight") for name in parameters)
    return loss, [layer(f"layers.{n}") for n in range(count)]


# ------------------------------------------------------------------------------- rows that end with gradients


def _chain_row(data: Arrays, parameters: Arrays) -> Differentiated:
    def loss(x: Any, b: Any) -> Any:
        for _ in range(50):
            x = x * b + b
        return x.sum()

    return loss, (data["x"],), (data["b"],)  # with a constant b the gradient would be a constant


def _gelu_row(data: Arrays, parameters: Arrays) -> Differentiated:
    return lambda x: (jax.nn.gelu(x) * jax.nn.sigmoid(x) + x).sum(), (data["x"],), ()


def _softmax_row(data: Arrays, parameters: Arrays) -> Differentiated:
    def loss(x: Any, p: Any) -> Any:
        return (jax.nn.softmax(_layer_norm(x, p)) ** 2).sum()

    return loss, (data["x"], (parameters["weight"], parameters["bias"])), ()


def _trees_row(data: Arrays, parameters: Arrays) -> Stated:
    leaves = jnp.asarray(data["leaves"])

    def loss(p: Any, batch: Arrays) -> Any:
        depths = len(batch) // 2
        states = leaves[batch[f"leaves {depths - 1}"]]
        for depth in reversed(range(depths - 1)):
            nodes = jnp.tanh(_mapped(p, states[batch[f"children {depth}"]].reshape(-1, 128)))
            states = jnp.concatenate([nodes, leaves[batch[f"leaves {depth}"]]])
        return (states**2).sum()

    return loss, {"w": np.ascontiguousarray(parameters["weight"].T), "b": parameters["bias"]}


# Row -> a loss of one tree of parameters, and of a batch where the row has batches, and that tree.
TRAINED: dict[str, Callable[[Arrays, Arrays], Stated]] = {
    "mlp_784_256_128_10_b128": _mlp_row,
    "mlp_tiny_8_16_3_b16": _tiny_mlp_row,
    "cnn_mnist_b64": _cnn_row,
    "deep_autoencoder_784_30_b256": _autoencoder_row,
    "lstm_charlm_h256_t64_b32": _character_row,
    "addition_rnn_h128_b128": _addition_row,
    "gru_h256_t64_b32": _gru_row,
    "transformer_d128_l2_t64_b16": _encoder_row,
    "conv_bn_relu_64x32x32_b32": _batch_norm_row,
    "trees_by_depth_64leaves_d64_b16": _trees_row,
    "lstm_charlm_h512_t64_b128": _character_row,
    "lstm_charlm_h1024_t64_b128": _character_row,
    "mlp_1024_4096x3_1000_b1024": _mlp_row,
    "cnn_32x32_64_128_b256": _large_cnn_row,
    "transformer_d512_l4_t128_b64": partial(_encoder_row, heads=8),
}

# The same rows with cuDNN's LSTM, which is several times faster than a scan on a GPU.
TRAINED_BY_CUDNN: dict[str, Callable[[Arrays, Arrays], Stated]] = {
    name: partial(row, lstm=BY_CUDNN) for name, row in TRAINED.items() if row in (_character_row, _addition_row)
}

# Row -> a loss, its operands whose gradients are asked for (the leaves, then the parameters), and its other operands.
GRADIENTS: dict[str, Callable[[Arrays, Arrays], Differentiated]] = {
    "tiny_chain_100ops": _chain_row,
    "elementwise_gelu_4M": _gelu_row,
    "layernorm_softmax_8192x512": _softmax_row,
}
