"""When a captured recurrent layer, or its adjoint, is one native kernel.

Left to the device's ordinary kernels are empty sequences.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from autograd_core.compiler.ir import Equation
from autograd_core.ops.recurrent import GRU, LSTM, RNN, gru_p, gru_vjp_p, lstm_p, lstm_vjp_p, rnn_p, rnn_vjp_p
from autograd_core.primitive import Primitive

from ..engine import KernelSpec
from ..located import Copies, Located, Lowered, Lowering
from .gru import gru, gru_adjoint
from .kernels import Layer
from .lstm import lstm, lstm_adjoint
from .projected import lstm_projected, lstm_projected_adjoint
from .rnn import rnn, rnn_adjoint

FLOATS = (np.dtype(np.float32), np.dtype(np.float64))

Names = tuple[str, ...]


def _layer(named: dict[str, Located], reverse: bool) -> Layer | None:
    """The layer's sizes; None if no kernel is for it."""
    x, weight_hh = named["x"], named["weight_hh"]
    if x.dtype not in FLOATS:
        return None
    if "lengths" in named and named["lengths"].dtype != np.int64:
        return None
    if 0 in x.shape or 0 in weight_hh.shape:
        return None
    length, batch, features = x.shape
    hidden = named.get(PROJECTION, weight_hh).shape[1]
    return Layer(x.dtype, length, batch, features, hidden, reverse)


def _lowering(
    before: Names, long: str, others: Names, optional: Names, results: int, build: Callable[..., KernelSpec]
) -> Lowering:
    """For a primitive whose operands are ``before`` and those that its parameter ``has`` names.

    The kernel takes, in this order, ``long``, a sequence whose steps and rows may lie anywhere, the ``others``, of the
    ``optional`` ones those that there are, and the results. build: (layer, strides of ``long``, further parameters,
    for each optional operand whether there is one, and if states are projected, to how many) -> kernel.
    """

    def lowering(equation: Equation, inputs: Sequence[Located], outputs: Sequence[Located]) -> Lowered | Copies | None:
        params = dict(equation.params)
        names = (*before, *params.pop("has"))
        named = dict(zip(names, inputs, strict=True))
        layer = _layer(named, params.pop("reverse"))
        if layer is None:
            return None
        order = (long, *others, *[name for name in optional if name in named])
        unfit = [name for name in order[1:] if not named[name].contiguous]
        if named[long].shape[2] > 1 and named[long].strides[2] != 1:
            unfit.append(long)
        if unfit:
            return Copies(tuple(names.index(name) for name in unfit))
        given: dict[str, int] = {name: name in named for name in optional}
        if PROJECTION in named:
            given["states"] = named[PROJECTION].shape[0]
        spec = build(layer, named[long].strides[:2], **params, **given)
        operands = [(False, names.index(name)) for name in order]
        return Lowered(spec, (*operands, *[(True, i) for i in range(results)]))

    return lowering


def _either(plain: Lowering, projected: Lowering) -> Lowering:
    """``projected`` where the states are, which the weight tells."""

    def lowering(equation: Equation, inputs: Sequence[Located], outputs: Sequence[Located]) -> Lowered | Copies | None:
        return (projected if PROJECTION in equation.params["has"] else plain)(equation, inputs, outputs)

    return lowering


PROJECTION = "weight_hr"
WEIGHTS = ("weight_ih", "weight_hh")
SAVED = ("g_h0", "g_c0", "gates", "cells", "weight_hh")

LOWERINGS: dict[Primitive, Lowering] = {
    rnn_p: _lowering((), "x", (*WEIGHTS, "h0"), ("bias", "lengths"), 2, rnn),
    rnn_vjp_p: _lowering(RNN.before, "gy", ("g_h0", "states", "weight_hh"), ("lengths",), 2, rnn_adjoint),
    lstm_p: _either(
        _lowering((), "x", (*WEIGHTS, "h0", "c0"), ("bias", "lengths"), 5, lstm),
        _lowering((), "x", (*WEIGHTS, PROJECTION, "h0", "c0"), ("bias", "lengths"), 5, lstm_projected),
    ),
    lstm_vjp_p: _either(
        _lowering(LSTM.before, "gy", (*SAVED, "c0"), ("lengths",), 3, lstm_adjoint),
        _lowering(LSTM.before, "gy", (*SAVED, PROJECTION, "c0"), ("lengths",), 5, lstm_projected_adjoint),
    ),
    gru_p: _lowering((), "x", (*WEIGHTS, "h0"), ("bias_ih", "bias_hh", "lengths"), 4, gru),
    gru_vjp_p: _lowering(
        GRU.before, "gy", ("g_h0", "gates", "inner", "states", "weight_hh", "h0"), ("lengths",), 3, gru_adjoint
    ),
}
