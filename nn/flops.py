"""What a primitive costs in floating-point operations, from the shapes that it meets.

Every kind has its rule; the products and sums that dominate networks are listed beside it. A primitive that is in no
list is still counted: by its kind.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

from autograd_core.aval import Aval
from autograd_core.ops import (
    attention,
    casting,
    convolution,
    linear_algebra,
    normalization,
    pooling,
    recurrent,
    reductions,
    scans,
)
from autograd_core.primitive import Elementwise, Multilinear, Primitive

Cost = Callable[[Sequence[Aval], Sequence[Aval], dict[str, Any]], int]


def _matmul(inputs: Sequence[Aval], outputs: Sequence[Aval], params: dict[str, Any]) -> int:
    return 2 * outputs[0].size * inputs[0].shape[-1]


def _convolution(inputs: Sequence[Aval], outputs: Sequence[Aval], params: dict[str, Any]) -> int:
    return 2 * outputs[0].size * prod(inputs[1].shape[1:])


def _convolution_bias(inputs: Sequence[Aval], outputs: Sequence[Aval], params: dict[str, Any]) -> int:
    return _convolution(inputs, outputs, params) + outputs[0].size


def _transposed_convolution(inputs: Sequence[Aval], outputs: Sequence[Aval], params: dict[str, Any]) -> int:
    return 2 * inputs[0].size * prod(inputs[1].shape[1:])


def _pool(inputs: Sequence[Aval], outputs: Sequence[Aval], params: dict[str, Any]) -> int:
    return outputs[0].size * params["windows"].taps


def _recurrent(inputs: Sequence[Aval], outputs: Sequence[Aval], params: dict[str, Any]) -> int:
    """Every step's product with each matrix of weights."""
    named = dict(zip(params["has"], inputs))
    steps = prod(named["x"].shape[:2])
    return 2 * steps * sum(x.size for name, x in named.items() if name.startswith("weight"))


def _attention(inputs: Sequence[Aval], outputs: Sequence[Aval], params: dict[str, Any]) -> int:
    q, k, v = inputs[:3]
    return 2 * prod(q.shape[:-1]) * k.shape[-2] * (q.shape[-1] + v.shape[-1])


def _read(inputs: Sequence[Aval], outputs: Sequence[Aval], params: dict[str, Any]) -> int:
    return inputs[0].size


def _free(inputs: Sequence[Aval], outputs: Sequence[Aval], params: dict[str, Any]) -> int:
    return 0


COSTS: dict[Primitive, Cost] = {
    linear_algebra.matmul_p: _matmul,
    linear_algebra.linear_p: _matmul,
    convolution.convolution_p: _convolution,
    convolution.convolution_bias_p: _convolution_bias,
    convolution.convolution_input_p: _transposed_convolution,
    pooling.max_pool_p: _pool,
    pooling.avg_pool_p: _pool,
    reductions.sum_p: _read,
    reductions.mean_p: _read,
    scans.cumulative_sum_p: _read,
    normalization.moments_p: lambda inputs, outputs, params: 4 * inputs[0].size,
    normalization.normalize_p: lambda inputs, outputs, params: 4 * inputs[0].size,
    recurrent.rnn_p: _recurrent,
    recurrent.lstm_p: _recurrent,
    recurrent.gru_p: _recurrent,
    attention.attention_p: _attention,
    casting.detach_p: _free,
    casting.alias_p: _free,
    casting.truncating_cast_p: _free,
}


def flops(primitive: Primitive, inputs: Sequence[Aval], outputs: Sequence[Aval], params: dict[str, Any]) -> int:
    """The cost of one call: as listed; else one for each element of an elementwise result, or read by a general one."""
    cost = COSTS.get(primitive)
    if cost is not None:
        return cost(inputs, outputs, params)
    if isinstance(primitive, Elementwise):
        return outputs[0].size
    if isinstance(primitive, Multilinear):
        return 0  # casts, reshapes, indexing: elements that only move
    return max((x.size for x in inputs), default=0)
