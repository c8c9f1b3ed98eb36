"""Attention and recurrent layers by native kernels; small ones by the formulas, which NumPy runs."""

from __future__ import annotations

from typing import Any

import numpy as np

from autograd_core.backend import Kernel
from autograd_core.ops.attention import attention_p, attention_vjp_p
from autograd_core.ops.recurrent import gru_p, gru_vjp_p, lstm_p, lstm_vjp_p, rnn_p, rnn_vjp_p
from autograd_core.primitive import Primitive

from .native import eager


def _kernel(primitive: Primitive) -> Kernel:
    def run(*arrays: np.ndarray, **params: Any) -> Any:
        y = eager.run(primitive, arrays, params)
        return primitive.forward(np, *arrays, **params) if y is None else y

    return run


SEQUENCES = (attention_p, attention_vjp_p, rnn_p, rnn_vjp_p, lstm_p, lstm_vjp_p, gru_p, gru_vjp_p)

KERNELS: dict[Primitive, Kernel] = {primitive: _kernel(primitive) for primitive in SEQUENCES}
