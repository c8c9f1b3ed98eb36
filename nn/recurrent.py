"""Recurrent layers: stacks of layers and directions over the operations of ``ops.recurrent``, and single cells."""

from __future__ import annotations

import math
from typing import Any

from autograd_core.errors import ArgumentError, ShapeError
from autograd_core.ops import creation, indexing, joining, shaping
from autograd_core.ops.dropout import check_probability
from autograd_core.ops.dropout import dropout as dropped
from autograd_core.ops.recurrent import gru, lstm, rnn
from autograd_core.tensor import Tensor

from . import init
from .linear import check_positive
from .module import Module
from .packing import PackedSequence, lengths_of, packed_rows, padded_rows
from .parameter import Parameter


class _Recurrent(Module):
    """What RNN, LSTM and GRU share: parameters by layer and direction, and the way through them."""

    n_gates: int

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int,
        bias: bool,
        batch_first: bool,
        dropout: float,
        bidirectional: bool,
        proj_size: int,
        device: Any,
        dtype: Any,
    ):
        layer = type(self).__name__
        check_positive(layer, input_size=input_size, hidden_size=hidden_size, num_layers=num_layers)
        check_probability(layer, dropout)
        if isinstance(proj_size, bool) or not isinstance(proj_size, int) or not 0 <= proj_size < hidden_size:
            raise ArgumentError(
                f"{layer}: proj_size must be an int from 0 (no projection) to hidden_size - 1 = {hidden_size - 1}, "
                f"got {proj_size!r}"
            )
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.bias, self.batch_first, self.dropout = bias, batch_first, dropout
        self.bidirectional, self.proj_size = bidirectional, proj_size
        for i in range(num_layers):
            for suffix in self._suffixes(i):
                for name, shape in self._shapes(i).items():
                    setattr(self, name + suffix, Parameter(creation.zeros(shape, device=device, dtype=dtype)))
        self.reset_parameters()

    @property
    def _state_size(self) -> int:
        return self.proj_size or self.hidden_size

    def _suffixes(self, layer: int) -> list[str]:
        return [f"_l{layer}", f"_l{layer}_reverse"] if self.bidirectional else [f"_l{layer}"]

    def _shapes(self, layer: int) -> dict[str, tuple[int, ...]]:
        rows, states = self.n_gates * self.hidden_size, self._state_size
        below = states * (2 if self.bidirectional else 1)
        shapes: dict[str, tuple[int, ...]] = {
            "weight_ih": (rows, below if layer else self.input_size),
            "weight_hh": (rows, states),
        }
        if self.bias:
            shapes.update(bias_ih=(rows,), bias_hh=(rows,))
        if self.proj_size:
            shapes["weight_hr"] = (self.proj_size, self.hidden_size)
        return shapes

    def reset_parameters(self) -> None:
        """Draw all weights and biases anew."""
        bound = 1 / math.sqrt(self.hidden_size)
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound)

    def flatten_parameters(self) -> None:
        """Does nothing: parameters need no arranging. For code that calls it."""

    @property
    def all_weights(self) -> list[list[Parameter]]:
        """The parameters of every layer and direction."""
        layers = range(self.num_layers)
        return [
            [getattr(self, name + suffix) for name in self._shapes(i)] for i in layers for suffix in self._suffixes(i)
        ]

    # ------------------------------------------------------------------------------ running

    def _one(self, x: Tensor, weights: dict[str, Tensor], initial: dict[str, Any], lengths: Any, reverse: bool) -> Any:
        """The states of one layer in one direction, and the last ones."""
        raise NotImplementedError

    def _run(self, input: Any, initial: dict[str, Any]) -> tuple[Any, list[Tensor]]:
        """The top layer's states, as the input came, and (layers x directions, B, ...) of each last state."""
        if isinstance(input, PackedSequence):
            return self._run_packed(input, initial)
        x = creation.asarray(input)
        if len(x.shape) not in (2, 3):
            axes = "(B, T, input_size)" if self.batch_first else "(T, B, input_size)"
            raise ShapeError(f"input must be {axes} or (T, input_size), got shape {x.shape}")
        turned = self.batch_first and len(x.shape) == 3
        if not x.shape[1 if turned else 0]:
            raise ShapeError(f"input of shape {x.shape} holds sequences of length 0, which have no last state")
        x = x.swapaxes(0, 1) if turned else x
        self._check(x, initial)
        y, last = self._layers(x, initial, None)
        return y.swapaxes(0, 1) if turned else y, last

    def _run_packed(self, input: PackedSequence, initial: dict[str, Any]) -> tuple[PackedSequence, list[Tensor]]:
        data, sizes, order, inverse = input
        lengths = creation.asarray(lengths_of(sizes), device=data.device)
        x = padded_rows(data, sizes, sizes.shape[0])
        self._check(x, initial)
        if order is not None:
            initial = {
                name: None if v is None else indexing.take(creation.asarray(v), order, axis=1)
                for name, v in initial.items()
            }
        y, last = self._layers(x, initial, lengths)
        if inverse is not None:
            last = [indexing.take(v, inverse, axis=1) for v in last]
        return PackedSequence(packed_rows(y, sizes), sizes, order, inverse), last

    def _layers(self, x: Tensor, initial: dict[str, Any], lengths: Any) -> tuple[Tensor, list[Tensor]]:
        states = {name: None if v is None else joining.unstack(v) for name, v in initial.items()}
        lasts: list[list[Tensor]] = [[] for _ in initial]
        for i in range(self.num_layers):
            if i and self.training and self.dropout:
                x = dropped(x, self.dropout)
            outputs = []
            for direction, suffix in enumerate(self._suffixes(i)):
                weights = {name: getattr(self, name + suffix) for name in self._shapes(i)}
                at = i * (2 if self.bidirectional else 1) + direction
                given = {name: None if v is None else v[at] for name, v in states.items()}
                y, *last = self._one(x, weights, given, lengths, direction == 1)
                outputs.append(y)
                for column, v in zip(lasts, last, strict=True):
                    column.append(v)
            x = outputs[0] if len(outputs) == 1 else joining.concat(outputs, axis=-1)
        return x, [joining.stack(column) for column in lasts]

    def _check(self, x: Tensor, initial: dict[str, Any]) -> None:
        if x.shape[-1] != self.input_size:
            order = "; is the input (B, T, input_size)?" if self.batch_first else "; is the input (T, B, input_size)?"
            raise ShapeError(
                f"input has {x.shape[-1]} features (its last axis), input_size is {self.input_size}"
                + (order if self.input_size in x.shape else "")
            )
        batch = x.shape[1:-1]
        for name, v in initial.items():
            width = self.hidden_size if name == "c0" else self._state_size
            count = self.num_layers * (2 if self.bidirectional else 1)
            if v is not None and v.shape != (count, *batch, width):
                axes = "(num_layers * directions, B, size), also with batch_first"
                alone = "(num_layers * directions, size), for an input without a batch axis"
                expected = (count, *batch, width)
                raise ShapeError(f"{name} must have shape {expected}, {axes if batch else alone}; got {v.shape}")

    def extra_repr(self) -> str:
        shown = [f"{self.input_size}, {self.hidden_size}"]
        defaults = {
            "proj_size": 0,
            "num_layers": 1,
            "bias": True,
            "batch_first": False,
            "dropout": 0.0,
            "bidirectional": False,
        }
        shown += [f"{name}={getattr(self, name)}" for name, v in defaults.items() if getattr(self, name) != v]
        return ", ".join(shown)


class RNN(_Recurrent):
    """Elman's recurrent network: h_t = tanh(x_t W_ih^T + b_ih + h_(t-1) W_hh^T + b_hh), in several layers.

    input: (T, B, input_size), with batch_first (B, T, input_size), (T, input_size), or a ``PackedSequence``. hx:
    (num_layers * D, B, hidden_size), D = 2 if bidirectional, else 1; zeros by default. Returns the top layer's states
    (T, B, D hidden_size), as the input came, and the last states of all layers, as ``hx``. nonlinearity: "tanh" or
    "relu". dropout: between layers, in training. Parameters ``weight_ih_l0``, ``weight_hh_l0``, ``bias_ih_l0``,
    ``bias_hh_l0``, ``..._l0_reverse``, drawn uniformly from [-1/sqrt(hidden_size), 1/sqrt(hidden_size)). ShapeError
    says which shape would fit. Elman, 1990; both directions: Schuster and Paliwal, 1997.

    >>> import autograd_core as ag
    >>> from autograd_core import nn
    >>> y, h_n = nn.RNN(10, 20, num_layers=2)(ag.ones((5, 3, 10)))
    >>> y.shape, h_n.shape
    ((5, 3, 20), (2, 3, 20))
    """

    n_gates = 1

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        device: Any = None,
        dtype: Any = None,
    ):
        _check_nonlinearity("RNN", nonlinearity)
        self.nonlinearity = nonlinearity
        super().__init__(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, 0, device, dtype
        )

    def _one(self, x: Tensor, weights: dict[str, Tensor], initial: dict[str, Any], lengths: Any, reverse: bool) -> Any:
        return rnn(x, **weights, **initial, lengths=lengths, reverse=reverse, nonlinearity=self.nonlinearity)

    def forward(self, input: Any, hx: Any = None) -> tuple[Any, Tensor]:
        y, (h_n,) = self._run(input, {"h0": hx})
        return y, h_n


class LSTM(_Recurrent):
    """Long short-term memory in several layers; the formula stands at ``ops.recurrent.lstm``.

    Arguments, inputs, parameters and errors as for ``RNN``. hx: a pair (h_0, c_0); returns the states and (h_n, c_n).
    proj_size: features of h if that is projected (``weight_hr_l0``); c has hidden_size features always.
    Hochreiter and Schmidhuber, 1997; projections: Sak et al., 2014.

    >>> import autograd_core as ag
    >>> from autograd_core import nn
    >>> y, (h_n, c_n) = nn.LSTM(10, 20, bidirectional=True)(ag.ones((5, 3, 10)))
    >>> y.shape, h_n.shape, c_n.shape
    ((5, 3, 40), (2, 3, 20), (2, 3, 20))
    """

    n_gates = 4

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        *,
        device: Any = None,
        dtype: Any = None,
    ):
        super().__init__(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, proj_size, device, dtype
        )

    def _one(self, x: Tensor, weights: dict[str, Tensor], initial: dict[str, Any], lengths: Any, reverse: bool) -> Any:
        return lstm(x, **weights, **initial, lengths=lengths, reverse=reverse)

    def forward(self, input: Any, hx: tuple[Any, Any] | None = None) -> tuple[Any, tuple[Tensor, Tensor]]:
        h0, c0 = _pair(hx)
        y, (h_n, c_n) = self._run(input, {"h0": h0, "c0": c0})
        return y, (h_n, c_n)


class GRU(_Recurrent):
    """Gated recurrent units in several layers; the formula stands at ``ops.recurrent.gru``.

    Arguments, inputs, results, parameters and errors as for ``RNN``. Cho et al., 2014.

    >>> import autograd_core as ag
    >>> from autograd_core import nn
    >>> y, h_n = nn.GRU(10, 20, batch_first=True)(ag.ones((3, 5, 10)))
    >>> y.shape, h_n.shape
    ((3, 5, 20), (1, 3, 20))
    """

    n_gates = 3

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        device: Any = None,
        dtype: Any = None,
    ):
        super().__init__(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, 0, device, dtype
        )

    def _one(self, x: Tensor, weights: dict[str, Tensor], initial: dict[str, Any], lengths: Any, reverse: bool) -> Any:
        return gru(x, **weights, **initial, lengths=lengths, reverse=reverse)

    def forward(self, input: Any, hx: Any = None) -> tuple[Any, Tensor]:
        y, (h_n,) = self._run(input, {"h0": hx})
        return y, h_n


def _check_nonlinearity(layer: str, nonlinearity: Any) -> None:
    if nonlinearity not in ("tanh", "relu"):
        raise ArgumentError(f"{layer}: nonlinearity must be 'tanh' or 'relu', got {nonlinearity!r}")


def _pair(hx: Any) -> tuple[Any, Any]:
    """h_0 and c_0."""
    if hx is None:
        return None, None
    if not isinstance(hx, (tuple, list)) or len(hx) != 2:
        raise ArgumentError(f"hx must be a pair (h_0, c_0), got {type(hx).__name__}")
    return hx[0], hx[1]


# ------------------------------------------------------------------------------------------- cells


class _Cell(Module):
    """One step of a recurrent layer."""

    n_gates: int

    def __init__(self, input_size: int, hidden_size: int, bias: bool, device: Any, dtype: Any):
        check_positive(type(self).__name__, input_size=input_size, hidden_size=hidden_size)
        self.input_size, self.hidden_size, self.bias = input_size, hidden_size, bias
        rows = self.n_gates * hidden_size
        self.weight_ih = Parameter(creation.zeros((rows, input_size), device=device, dtype=dtype))
        self.weight_hh = Parameter(creation.zeros((rows, hidden_size), device=device, dtype=dtype))
        self.bias_ih = Parameter(creation.zeros(rows, device=device, dtype=dtype)) if bias else None
        self.bias_hh = Parameter(creation.zeros(rows, device=device, dtype=dtype)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all weights and biases anew."""
        bound = 1 / math.sqrt(self.hidden_size)
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound)

    def _operands(self, input: Any, **initial: Any) -> tuple[Any, ...]:
        """A sequence of one step, and the weights."""
        x = creation.asarray(input)
        if len(x.shape) not in (1, 2) or x.shape[-1] != self.input_size:
            raise ShapeError(f"input must be (B, {self.input_size}) or ({self.input_size},), got {x.shape}")
        shape = (*x.shape[:-1], self.hidden_size)
        for name, v in initial.items():
            if v is not None and v.shape != shape:
                raise ShapeError(f"{name} must have shape {shape} for input {x.shape}, got {v.shape}")
        return shaping.expand_dims(x, axis=0), self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}" + ("" if self.bias else ", bias=False")


class RNNCell(_Cell):
    """One step of ``RNN``: h' = tanh(x W_ih^T + b_ih + h W_hh^T + b_hh), or relu.

    input: (B, input_size) or (input_size,); hx: (B, hidden_size) or (hidden_size,), zeros by default; returns h'.

    >>> import autograd_core as ag
    >>> from autograd_core import nn
    >>> nn.RNNCell(10, 20)(ag.ones((3, 10))).shape
    (3, 20)
    """

    n_gates = 1

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        *,
        device: Any = None,
        dtype: Any = None,
    ):
        _check_nonlinearity("RNNCell", nonlinearity)
        self.nonlinearity = nonlinearity
        super().__init__(input_size, hidden_size, bias, device, dtype)

    def forward(self, input: Any, hx: Any = None) -> Tensor:
        return rnn(*self._operands(input, hx=hx), h0=hx, nonlinearity=self.nonlinearity)[1]


class LSTMCell(_Cell):
    """One step of ``LSTM``. input: (B, input_size) or (input_size,); hx: a pair (h, c); returns the next pair.

    >>> import autograd_core as ag
    >>> from autograd_core import nn
    >>> h, c = nn.LSTMCell(10, 20)(ag.ones((3, 10)))
    >>> h.shape, c.shape
    ((3, 20), (3, 20))
    """

    n_gates = 4

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, *, device: Any = None, dtype: Any = None):
        super().__init__(input_size, hidden_size, bias, device, dtype)

    def forward(self, input: Any, hx: tuple[Any, Any] | None = None) -> tuple[Tensor, Tensor]:
        h, c = _pair(hx)
        return lstm(*self._operands(input, h=h, c=c), h0=h, c0=c)[1:]


class GRUCell(_Cell):
    """One step of ``GRU``. input: (B, input_size) or (input_size,); hx: (B, hidden_size); returns the next one.

    >>> import autograd_core as ag
    >>> from autograd_core import nn
    >>> nn.GRUCell(10, 20)(ag.ones((3, 10))).shape
    (3, 20)
    """

    n_gates = 3

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, *, device: Any = None, dtype: Any = None):
        super().__init__(input_size, hidden_size, bias, device, dtype)

    def forward(self, input: Any, hx: Any = None) -> Tensor:
        return gru(*self._operands(input, hx=hx), h0=hx)[1]
