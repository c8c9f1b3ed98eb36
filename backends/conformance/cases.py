"""What a backend is asked to compute: one small call for whatever a kernel may have to do in its own way.

Formulas of elementwise primitives without parameters need no entry: ``conformance`` runs every one that exists.
``CASES`` reaches the others through public functions; ``DRAWS`` are random tensors, whose bits must agree exactly.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

import autograd_core as ag
from autograd_core.ops.activation import gelu, leaky_relu, softplus
from autograd_core.ops.attention import scaled_dot_product_attention
from autograd_core.ops.convolution import conv2d
from autograd_core.ops.cross_entropy import cross_entropy
from autograd_core.ops.linear_algebra import linear
from autograd_core.ops.normalization import moving_average_p
from autograd_core.ops.optimizer_updates import adam_update_p, global_norm_p, scaled_p, sgd_update_p
from autograd_core.ops.pooling import avg_pool2d, max_pool2d
from autograd_core.ops.recurrent import gru, lstm, rnn
from autograd_core.ops.softmax import log_softmax, softmax
from autograd_core.ops.units import elu
from autograd_core.primitive import bind


@dataclass(frozen=True)
class Case:
    """``fn(*operands)`` as a call on tensors; it returns a tensor or a tuple of tensors."""

    name: str
    fn: Callable[..., Any]
    operands: tuple[np.ndarray, ...]


def _reals(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng((seed, *shape)).uniform(-2.0, 2.0, shape)


def _integers(high: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(shape).integers(0, high, shape)


def _sgd(param: Any, grad: Any, buffer: Any, *, nesterov: bool = False) -> Any:
    """Steps of SGD: plain, with momentum, and with a dampened buffer at its second step."""
    rate, step = ag.full((), 0.1, dtype="float64"), ag.ones(())
    options = {"dampening": 0.0, "weight_decay": 0.01, "nesterov": nesterov, "maximize": False}
    return (
        *bind(sgd_update_p, (param, grad, rate), {**options, "momentum": 0.0}),
        *bind(sgd_update_p, (param, grad, rate, buffer), {**options, "momentum": 0.9}),
        *bind(sgd_update_p, (param, grad, rate, buffer, step), {**options, "momentum": 0.9, "dampening": 0.5}),
    )


def _adam(param: Any, grad: Any, mean: Any, square: Any, *peak: Any, decoupled: bool) -> Any:
    rate, step = ag.full((), 0.1, dtype="float64"), ag.full((), 3.0)
    options = {"beta1": 0.9, "beta2": 0.99, "eps": 1e-8, "weight_decay": 0.01, "maximize": True}
    operands = (param, grad, rate, mean, ag.square(square), step, *map(ag.square, peak))
    return bind(adam_update_p, operands, {**options, "decoupled_weight_decay": decoupled})


X, Y = _reals(3, 4), _reals(3, 4, seed=1)
ROW, COLUMN = _reals(4), _reals(3, 1)
BATCH = _reals(2, 3, 4)
SEQUENCE = _reals(5, 2, 4)
IMAGE, WEIGHT, BIAS = _reals(2, 4, 6, 5), _reals(6, 2, 3, 3), _reals(6)
LABELS = _integers(4, 3)

CASES = [
    # elementwise, with what surrounds it
    Case("broadcast", lambda x, r, c: x * r + c, (X, ROW, COLUMN)),
    Case("scalar operand", lambda x: 2 * x - 1, (X,)),
    Case("0-d", lambda x, y: ag.exp(x) * y, (np.array(0.5), np.array(-1.5))),
    Case("0-d with 1-d", lambda x, y: x * y, (np.array(0.5), ROW)),
    Case("zero-size", lambda x, y: ag.tanh(x) + y, (np.ones((0, 4)), ROW)),
    Case("power", lambda x: ag.abs(x) ** 1.5 + x**3, (X,)),
    Case("where", lambda x, y: ag.where(x > y, x, y * y), (X, Y)),
    Case("clip", lambda x: ag.clip(x, -1.0, 0.5), (X,)),
    Case("casts", lambda x: (x.astype("int32"), x.astype("float64"), x.astype("bool")), (X,)),
    Case("integers", lambda i, j: (i + j, i * j, i // (j + 1), i > j), (_integers(9, 5), _integers(7, 5))),
    # creation
    Case(
        "creation",
        lambda: (ag.zeros((2, 3)), ag.full((2,), 7), ag.arange(5), ag.eye(2, 3), ag.linspace(0.0, 1.0, 4)),
        (),
    ),
    # reductions
    Case("sum", lambda x: (ag.sum(x), ag.sum(x, axis=0), ag.sum(x, axis=-1, keepdims=True)), (X,)),
    Case("sum of nothing", lambda x: (ag.sum(x), ag.sum(x, axis=0), ag.prod(x, axis=0)), (np.ones((0, 3)),)),
    Case("mean, var, std", lambda x: (ag.mean(x, axis=1), ag.var(x, axis=0), ag.std(x)), (X,)),
    Case("prod", lambda x: (ag.prod(x), ag.prod(x, axis=1)), (X,)),
    Case("max, min", lambda x: (ag.max(x, axis=1), ag.min(x)), (X,)),
    Case("argmax, argmin", lambda x: (ag.argmax(x, axis=1), ag.argmin(x)), (X,)),
    Case("any, all", lambda x: (ag.any(x > 0, axis=0), ag.all(x > -3)), (X,)),
    Case("logsumexp", lambda x: ag.logsumexp(x * 100, axis=-1), (X,)),
    Case("cumulative", lambda x: (ag.cumulative_sum(x, axis=1), ag.cumulative_prod(x, axis=0)), (X,)),
    # shapes
    Case("reshape, transpose", lambda x: ag.permute_dims(x, (2, 0, 1)).reshape((4, 6)), (BATCH,)),
    Case("join and split", lambda x, y: ag.split(ag.concat([x, y], axis=1), 4, axis=1), (X, Y)),
    Case("stack and unstack", lambda x, y: ag.unstack(ag.stack([x, y], axis=1), axis=2), (X, Y)),
    Case("pad, flip, roll", lambda x: ag.roll(ag.flip(ag.pad(x, ((1, 0), (2, 1)))), 2, axis=1), (X,)),
    Case("tile, repeat", lambda x: (ag.tile(x, (2, 1)), ag.repeat(x, 2, axis=0)), (X,)),
    Case("triangles", lambda x: (ag.tril(x), ag.triu(x, k=1)), (X,)),
    # indexing
    Case("slices", lambda x: (x[1:, ::2], x[::-1], x[..., None, 0]), (X,)),
    Case("index arrays", lambda x, i: (x[i], x[i, i]), (X, _integers(3, 5))),
    Case("mask", lambda x: x[x > 0], (X,)),
    Case("take", lambda x, i: ag.take(x, i, axis=1), (X, _integers(4, 3))),
    # products
    Case("matmul", lambda a, b: a @ b, (X, _reals(4, 5))),
    Case("matmul by vectors", lambda a, v: (a @ v, v @ v), (X, ROW)),
    Case("batched matmul", lambda a, b: a @ b, (_reals(2, 1, 3, 4), _reals(5, 4, 2))),
    Case("matmul of transposes", lambda a, b: a.mT @ b, (X, Y)),
    Case("empty matmul", lambda a, b: a @ b, (np.ones((2, 0)), np.ones((0, 3)))),
    Case("einsum", lambda a, b: ag.einsum("bij,ij->bi", a, b), (BATCH, X)),
    # networks
    Case(
        "convolution",
        lambda x, w, b: conv2d(x, w, b, stride=(2, 1), padding=1, groups=2),
        (IMAGE, WEIGHT, BIAS),
    ),
    Case("pooling", lambda x: (max_pool2d(x, 2), avg_pool2d(x, 3, stride=2, padding=1)), (IMAGE,)),
    Case("softmax", lambda x: (softmax(x * 50, axis=0), log_softmax(x, axis=-1)), (X,)),
    Case("cross entropy", lambda x, labels: cross_entropy(x, labels), (X, LABELS)),
    Case("linear", lambda x, w, b: linear(x, w, b), (BATCH, _reals(5, 4), _reals(5))),
    # sequences
    Case("RNN", lambda x, w, u: rnn(x, w, u), (SEQUENCE, _reals(3, 4), _reals(3, 3))),
    Case("LSTM", lambda x, w, u, b: lstm(x, w, u, b), (SEQUENCE, _reals(12, 4), _reals(12, 3), _reals(12))),
    Case(
        "LSTM, projected, of several lengths, backwards",
        lambda x, w, u, p: lstm(x, w, u, weight_hr=p, lengths=[5, 2], reverse=True),
        (SEQUENCE, _reals(12, 4), _reals(12, 2), _reals(2, 3)),
    ),
    Case("GRU", lambda x, w, u, b: gru(x, w, u, b, b), (SEQUENCE, _reals(9, 4), _reals(9, 3), _reals(9))),
    Case(
        "GRU of several lengths", lambda x, w, u: gru(x, w, u, lengths=[5, 2]), (SEQUENCE, _reals(9, 4), _reals(9, 3))
    ),
    Case(
        "attention", lambda q, k: scaled_dot_product_attention(q, k, k, is_causal=True), (SEQUENCE, SEQUENCE[:, ::-1])
    ),
    Case("attention, masked", scaled_dot_product_attention, (SEQUENCE, SEQUENCE, SEQUENCE, _reals(2, 2))),
    # training
    Case("SGD", _sgd, (X, Y, X + Y)),
    Case("SGD by Nesterov", partial(_sgd, nesterov=True), (X, Y, X + Y)),
    Case("Adam", partial(_adam, decoupled=False), (X, Y, X + Y, X - Y)),
    Case("AMSGrad, decoupled decay", partial(_adam, decoupled=True), (X, Y, X + Y, X - Y, X * Y)),
    Case("norm of gradients", lambda *xs: bind(global_norm_p, xs, {"order": 2.0}), (X, ROW, np.ones((0,)))),
    Case(
        "moving average",
        lambda running, value, momentum: bind(moving_average_p, (running, value, momentum), {"scale": 1.25}),
        (ROW, _reals(1, 4), np.array(0.1)),
    ),
    Case("scaled gradient", lambda x, factor: bind(scaled_p, (x, factor), {}), (X, np.array(0.5))),
    Case("activations", lambda x: (gelu(x), softplus(x), elu(x), leaky_relu(x)), (X,)),
]

SIZES = (0, 1, 5, 4099)
DRAWS: dict[str, Callable[[], Any]] = {
    "uniform float32": lambda: [ag.random.uniform((n,)) for n in SIZES],
    "uniform float64": lambda: [ag.random.uniform((n,), dtype="float64") for n in SIZES],
    "uniform between bounds": lambda: [ag.random.uniform((7, 9), -3.0, 0.1)],
    "normal float32": lambda: [ag.random.normal((n,)) for n in SIZES],
    "normal float64": lambda: [ag.random.normal((n,), dtype="float64") for n in SIZES],
    "bernoulli": lambda: [ag.random.bernoulli(p, (n,)) for n in SIZES for p in (0.0, 0.3, 1.0)],
    "bernoulli by element": lambda: [ag.random.bernoulli(np.linspace(0.0, 1.0, 50), (3, 50))],
    "integers": lambda: [ag.random.integers(-5, 60000, (n,)) for n in SIZES],
    "integers of 64 bits": lambda: [ag.random.integers(-(2**63), high, (99,)) for high in (0, 2**63)],
    "permutation": lambda: [ag.random.permutation(n) for n in SIZES],
    "0-d": lambda: [ag.random.uniform(), ag.random.normal(), ag.random.integers(0, 9), ag.random.bernoulli(0.5)],
}
