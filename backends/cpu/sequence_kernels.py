"""Attention, recurrent layers and alignments by native kernels; small ones by the formulas, which NumPy runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from autograd_core.backend import Kernel
from autograd_core.ops.attention import attention_p, attention_vjp_p
from autograd_core.ops.ctc import ctc_alignment_p, ctc_alignment_slope_p
from autograd_core.ops.recurrent import GRU, LSTM, RNN, gru_p, gru_vjp_p, lstm_p, lstm_vjp_p, rnn_p, rnn_vjp_p
from autograd_core.primitive import Primitive

from .native import eager

OPERATIONS = 60  # for a state in a step of an alignment

Flops = Callable[[Sequence[np.ndarray]], int]


def _attention(arrays: Sequence[np.ndarray]) -> int:
    q, k, v = arrays[:3]
    return 2 * (q.size * k.shape[-2] + v.size * q.shape[-2])


def _attention_vjp(arrays: Sequence[np.ndarray]) -> int:
    q, k, v = arrays[3:6]  # after a cotangent, the result and the sums of its softmax
    return 2 * (3 * q.size * k.shape[-2] + 2 * v.size * q.shape[-2])


def _layer(arrays: Sequence[np.ndarray]) -> int:
    x, weight_ih, weight_hh = arrays[:3]
    return 2 * x.shape[0] * x.shape[1] * (weight_ih.size + weight_hh.size)


def _adjoint(arrays: Sequence[np.ndarray], before: int) -> int:
    """before: how many operands come before those of the layer."""
    x, weight_hh = arrays[before], arrays[before + 2]
    return 2 * x.shape[0] * x.shape[1] * weight_hh.size


def _alignment(arrays: Sequence[np.ndarray]) -> int:
    return OPERATIONS * max(arrays[:2], key=np.ndim).size  # the log-probabilities, or a cotangent and these


def _kernel(primitive: Primitive, flops: Flops) -> Kernel:
    def run(*arrays: np.ndarray, **params: Any) -> Any:
        if flops(arrays) >= eager.SEQUENCE:
            y = eager.run(primitive, arrays, params)
            if y is not None:
                return y
        return primitive.forward(np, *arrays, **params)

    return run


FLOPS: dict[Primitive, Flops] = {
    attention_p: _attention,
    attention_vjp_p: _attention_vjp,
    rnn_p: _layer,
    rnn_vjp_p: partial(_adjoint, before=len(RNN.before)),
    lstm_p: _layer,
    lstm_vjp_p: partial(_adjoint, before=len(LSTM.before)),
    ctc_alignment_p: _alignment,
    ctc_alignment_slope_p: _alignment,
    gru_p: _layer,
    gru_vjp_p: partial(_adjoint, before=len(GRU.before)),
}

KERNELS: dict[Primitive, Kernel] = {primitive: _kernel(primitive, flops) for primitive, flops in FLOPS.items()}
