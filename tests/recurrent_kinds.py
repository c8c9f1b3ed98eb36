"""The recurrent primitives as data: what a test goes through."""

from __future__ import annotations

from typing import Any, NamedTuple

from autograd_core.ops import recurrent
from autograd_core.primitive import General


class Kind(NamedTuple):
    primitive: General
    adjoint: General
    gates: int
    states: tuple[str, ...]
    biases: tuple[str, ...]
    params: dict[str, Any] = {}


KINDS = {
    "rnn": Kind(recurrent.rnn_p, recurrent.rnn_vjp_p, 1, ("h0",), ("bias",), {"nonlinearity": "tanh"}),
    "relu": Kind(recurrent.rnn_p, recurrent.rnn_vjp_p, 1, ("h0",), ("bias",), {"nonlinearity": "relu"}),
    "lstm": Kind(recurrent.lstm_p, recurrent.lstm_vjp_p, 4, ("h0", "c0"), ("bias",)),
    "gru": Kind(recurrent.gru_p, recurrent.gru_vjp_p, 3, ("h0",), ("bias_ih", "bias_hh")),
}
