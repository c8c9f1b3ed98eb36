"""Recurrent layers: RNN, LSTM and GRU as one operation each, over a whole sequence, for one layer and one direction.

The formulas are in ``_recurrences``. Each primitive returns beside the states what its vjp needs, and states its
composed form, a loop in public operations, from which jvp, vmap and derivatives of higher order follow. Layers and
directions are put together in ``nn``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ..aval import DEFAULT_INT, Aval
from ..errors import ArgumentError, DataError, DTypeError, ShapeError
from ..primitive import General, bind, general
from . import _recurrences as formulas
from ._apply import as_tensor, check_devices, host_values, promoted, require_integer
from ._composed import pulled
from .activation import relu, sigmoid
from .creation import arange, zeros
from .joining import concat, split, stack, unstack
from .linear_algebra import linear
from .selection import where
from .shaping import expand_dims
from .trigonometric import tanh

__all__ = ["gru", "lstm", "rnn"]

Names = tuple[str, ...]
PER_SEQUENCE = {"x", "h0", "c0"}  # operands with a batch axis

# ------------------------------------------------------------------------------------------- composed forms


def _valid_steps(p: dict[str, Any]) -> tuple[Any, ...] | None:
    """For every step (B, 1): whether it belongs to its sequence; None if all do."""
    if "lengths" not in p:
        return None
    length = p["x"].shape[0]
    return unstack(_within(p["lengths"], length, p["x"].device)) if length else None


def _within(lengths: Any, length: int, device: Any) -> Any:
    return expand_dims(arange(length, device=device).reshape(length, 1) < lengths, axis=-1)


def _composed(
    has: Names, operands: Any, reverse: bool, bias: str, states: Names, step: Callable[..., Any], kept: int
) -> tuple[list[Any], ...]:
    """Run ``step(p, z, *states)`` over the sequence: ``kept`` values a step, the first ones the new states."""
    p = dict(zip(has, operands))
    projected = unstack(linear(p["x"], p["weight_ih"], p.get(bias)))
    valid = _valid_steps(p)
    current = [p[name] for name in states]
    columns: tuple[list[Any], ...] = tuple([None] * len(projected) for _ in range(kept))
    for t in formulas.steps(len(projected), reverse):
        values = list(step(p, projected[t], *current))
        for k, old in enumerate(current):
            current[k] = values[k] = values[k] if valid is None else where(valid[t], values[k], old)
        for column, value in zip(columns, values):
            column[t] = value
    return columns


def _stacked(values: list[Any], like: Any, width: int) -> Any:
    return stack(values) if values else zeros((0, like.shape[0], width), dtype=like.dtype, device=like.device)


def _last(values: list[Any], initial: Any, reverse: bool) -> Any:
    return values[0 if reverse else -1] if values else initial


def _rnn_composed(*operands: Any, has: Names, reverse: bool, nonlinearity: str) -> tuple[Any, Any]:
    squash = relu if nonlinearity == "relu" else tanh

    def step(p: dict[str, Any], z: Any, h: Any) -> tuple[Any]:
        return (squash(z + linear(h, p["weight_hh"])),)

    (states,) = _composed(has, operands, reverse, "bias", ("h0",), step, 1)
    h0 = operands[has.index("h0")]
    return _stacked(states, h0, h0.shape[-1]), _last(states, h0, reverse)


def _lstm_composed(*operands: Any, has: Names, reverse: bool) -> tuple[Any, ...]:
    def step(p: dict[str, Any], z: Any, h: Any, c: Any) -> tuple[Any, ...]:
        i, f, g, o = split(z + linear(h, p["weight_hh"]), c.shape[-1], axis=-1)
        i, f, g, o = sigmoid(i), sigmoid(f), tanh(g), sigmoid(o)
        c = f * c + i * g
        y = o * tanh(c)
        return (linear(y, p["weight_hr"]) if "weight_hr" in p else y), c, concat((i, f, g, o), axis=-1)

    states, cells, gates = _composed(has, operands, reverse, "bias", ("h0", "c0"), step, 3)
    h0, c0 = operands[has.index("h0")], operands[has.index("c0")]
    width = c0.shape[-1]
    last = _last(states, h0, reverse), _last(cells, c0, reverse)
    return _stacked(states, h0, h0.shape[-1]), *last, _stacked(gates, c0, 4 * width), _stacked(cells, c0, width)


def _gru_composed(*operands: Any, has: Names, reverse: bool) -> tuple[Any, ...]:
    def step(p: dict[str, Any], x: Any, h: Any) -> tuple[Any, ...]:
        x_r, x_z, x_n = split(x, h.shape[-1], axis=-1)
        h_r, h_z, h_n = split(linear(h, p["weight_hh"], p.get("bias_hh")), h.shape[-1], axis=-1)
        r, z = sigmoid(x_r + h_r), sigmoid(x_z + h_z)
        n = tanh(x_n + r * h_n)
        return n + z * (h - n), concat((r, z, n), axis=-1), h_n

    states, gates, inner = _composed(has, operands, reverse, "bias_ih", ("h0",), step, 3)
    h0 = operands[has.index("h0")]
    width = h0.shape[-1]
    stacked = _stacked(states, h0, width), _stacked(gates, h0, 3 * width), _stacked(inner, h0, width)
    return stacked[0], _last(states, h0, reverse), *stacked[1:]


# ------------------------------------------------------------------------------------------- primitives


def _adjoint(
    name: str, formula: Callable[..., Any], composed: Callable[..., Any], n_cotangents: int, n_saved: int
) -> General:
    """The vjp: operands are the cotangents of states, last state (and cell), what was saved, and the operands."""

    def composed_vjp(*values: Any, has: Names, wanted: Names, **params: Any) -> tuple[Any, ...]:
        operands = values[n_cotangents + n_saved :]
        positions = [has.index(w) for w in wanted]

        def results(*given: Any, **given_params: Any) -> tuple[Any, ...]:
            return composed(*given, **given_params)[:n_cotangents]

        return pulled(results, operands, positions, values[:n_cotangents], {"has": has, **params})

    def shape(*avals: Aval, has: Names, wanted: Names, **_: Any) -> tuple[Aval, ...]:
        return tuple(avals[n_cotangents + n_saved + has.index(w)] for w in wanted)

    def forward(xp: Any, *values: Any, **params: Any) -> tuple[Any, ...]:
        return formula(xp, *values, **params)

    return general(name, forward, shape, composed=composed_vjp, signals=False)


def _cotangents(adjoint: General, cotangents: Any, saved: Any, xs: Any, params: dict[str, Any], wanted: Any) -> Any:
    """One cotangent an operand, None for those that are not wanted."""
    has = params["has"]
    found = bind(adjoint, (*cotangents, *saved, *xs), {**params, "wanted": tuple(has[i] for i in wanted)})
    by_position = dict(zip(wanted, found, strict=True))
    return [by_position.get(i) for i in range(len(has))]


def _by_name(avals: Any, has: Names) -> dict[str, Aval]:
    return dict(zip(has, avals, strict=True))


def _rnn_shape(*avals: Aval, has: Names, reverse: bool, nonlinearity: str) -> tuple[Aval, ...]:
    p = _by_name(avals, has)
    return Aval((p["x"].shape[0], *p["h0"].shape), p["x"].dtype), p["h0"]


rnn_vjp_p = _adjoint("rnn_vjp", formulas.rnn_adjoint, _rnn_composed, 2, 1)
rnn_p = general(
    "rnn",
    lambda xp, *xs, has, reverse, nonlinearity: formulas.rnn_forward(
        xp, *xs, has=has, reverse=reverse, nonlinearity=nonlinearity
    ),
    _rnn_shape,
    vjp=lambda g, y, xs, has, reverse, nonlinearity, wanted: _cotangents(
        rnn_vjp_p, g, y[:1], xs, {"has": has, "reverse": reverse, "nonlinearity": nonlinearity}, wanted
    ),
    composed=_rnn_composed,
    signals=False,
)


def rnn(
    x: Any,
    weight_ih: Any,
    weight_hh: Any,
    bias_ih: Any = None,
    bias_hh: Any = None,
    *,
    h0: Any = None,
    lengths: Any = None,
    reverse: bool = False,
    nonlinearity: str = "tanh",
) -> tuple[Any, Any]:
    """Elman's recurrent layer over a sequence: h_t = f(x_t W_ih^T + b_ih + h_(t-1) W_hh^T + b_hh).

    x: (T, B, I), or (T, I) for one sequence; weight_ih: (H, I); weight_hh: (H, H); biases: (H,) or None. h0: (B, H),
    zeros by default. f: tanh, or relu. Returns all states (T, B, H) and the last one (B, H), in the common dtype.

    lengths: (B,) integers, for sequences that are padded to T: steps beyond one's length leave its state as it is and
    give zeros, whatever x holds there. reverse: from the last step to the first, results in the places of their steps.
    ShapeError, DTypeError and DataError say what does not fit. Elman, Finding structure in time, 1990. PyTorch.

    >>> import autograd_core as ag
    >>> from autograd_core.ops.recurrent import rnn
    >>> y, h_n = rnn(ag.ones((3, 2, 1)), ag.ones((1, 1)), ag.ones((1, 1)), nonlinearity="relu")
    >>> y[:, 0, 0], h_n.shape
    (tensor([1., 2., 3.]), (2, 1))
    """
    if nonlinearity not in ("tanh", "relu"):
        raise ArgumentError(f"rnn: nonlinearity must be 'tanh' or 'relu', got {nonlinearity!r}")
    given = _Given("rnn", x, 1, weight_ih, weight_hh, None, lengths, {"h0": h0}, (bias_ih, bias_hh))
    params = {"reverse": bool(reverse), "nonlinearity": nonlinearity}
    states, h = given.run(rnn_p, given.summed_bias(), params)[:2]
    return given.arranged(states), given.last(h)


def _lstm_shape(*avals: Aval, has: Names, reverse: bool) -> tuple[Aval, ...]:
    p = _by_name(avals, has)
    (length, batch, _), dtype = p["x"].shape, p["x"].dtype
    width = p["c0"].shape[-1]
    gates, cells = Aval((length, batch, 4 * width), dtype), Aval((length, batch, width), dtype)
    return Aval((length, *p["h0"].shape), dtype), p["h0"], p["c0"], gates, cells


lstm_vjp_p = _adjoint("lstm_vjp", formulas.lstm_adjoint, _lstm_composed, 3, 3)
lstm_p = general(
    "lstm",
    lambda xp, *xs, has, reverse: formulas.lstm_forward(xp, *xs, has=has, reverse=reverse),
    _lstm_shape,
    vjp=lambda g, y, xs, has, reverse, wanted: _cotangents(
        lstm_vjp_p, g[:3], (y[0], *y[3:]), xs, {"has": has, "reverse": reverse}, wanted
    ),
    composed=_lstm_composed,
    signals=False,
)


def lstm(
    x: Any,
    weight_ih: Any,
    weight_hh: Any,
    bias_ih: Any = None,
    bias_hh: Any = None,
    weight_hr: Any = None,
    *,
    h0: Any = None,
    c0: Any = None,
    lengths: Any = None,
    reverse: bool = False,
) -> tuple[Any, Any, Any]:
    """Long short-term memory over a sequence. With (i, f, g, o) the four parts of x_t W_ih^T + b_ih + h W_hh^T + b_hh:

        c_t = s(f) c_(t-1) + s(i) tanh(g),   h_t = s(o) tanh(c_t),   s the logistic function.

    x: (T, B, I), or (T, I) for one sequence; weight_ih: (4 H, I); weight_hh: (4 H, R); biases: (4 H,) or None.
    weight_hr: (R, H), a projection of h_t, or None, and R = H. h0: (B, R), c0: (B, H), zeros by default. Returns all
    states (T, B, R), the last one (B, R) and the last cell (B, H), in the common dtype. lengths, reverse and errors:
    as for ``rnn``. Hochreiter and Schmidhuber, Long short-term memory, 1997; projections: Sak et al., 2014. PyTorch.

    >>> import autograd_core as ag
    >>> from autograd_core.ops.recurrent import lstm
    >>> y, h_n, c_n = lstm(ag.ones((3, 2, 5)), ag.zeros((16, 5)), ag.zeros((16, 4)))
    >>> y.shape, h_n.shape, c_n.shape
    ((3, 2, 4), (2, 4), (2, 4))
    """
    initial = {"h0": h0, "c0": c0}
    given = _Given("lstm", x, 4, weight_ih, weight_hh, weight_hr, lengths, initial, (bias_ih, bias_hh))
    states, h, c = given.run(lstm_p, given.summed_bias(), {"reverse": bool(reverse)})[:3]
    return given.arranged(states), given.last(h), given.last(c)


def _gru_shape(*avals: Aval, has: Names, reverse: bool) -> tuple[Aval, ...]:
    p = _by_name(avals, has)
    (length, batch, _), dtype = p["x"].shape, p["x"].dtype
    states = Aval((length, *p["h0"].shape), dtype)
    return states, p["h0"], Aval((length, batch, 3 * p["h0"].shape[-1]), dtype), states


gru_vjp_p = _adjoint("gru_vjp", formulas.gru_adjoint, _gru_composed, 2, 3)
gru_p = general(
    "gru",
    lambda xp, *xs, has, reverse: formulas.gru_forward(xp, *xs, has=has, reverse=reverse),
    _gru_shape,
    vjp=lambda g, y, xs, has, reverse, wanted: _cotangents(
        gru_vjp_p, g[:2], (y[0], *y[2:]), xs, {"has": has, "reverse": reverse}, wanted
    ),
    composed=_gru_composed,
    signals=False,
)


def gru(
    x: Any,
    weight_ih: Any,
    weight_hh: Any,
    bias_ih: Any = None,
    bias_hh: Any = None,
    *,
    h0: Any = None,
    lengths: Any = None,
    reverse: bool = False,
) -> tuple[Any, Any]:
    """Gated recurrent unit over a sequence. With a = x_t W_ih^T + b_ih and u = h W_hh^T + b_hh, in parts r, z and n:

        r = s(a_r + u_r),  z = s(a_z + u_z),  n = tanh(a_n + r u_n),  h_t = (1 - z) n + z h_(t-1),   s the logistic one.

    x: (T, B, I), or (T, I) for one sequence; weight_ih: (3 H, I); weight_hh: (3 H, H); biases: (3 H,) or None. h0:
    (B, H), zeros by default. Returns all states (T, B, H) and the last one (B, H), in the common dtype. lengths,
    reverse and errors: as for ``rnn``. Cho et al., Learning phrase representations, 2014. PyTorch.

    >>> import autograd_core as ag
    >>> from autograd_core.ops.recurrent import gru
    >>> y, h_n = gru(ag.ones((3, 2, 5)), ag.zeros((12, 5)), ag.zeros((12, 4)))
    >>> y.shape, h_n.shape
    ((3, 2, 4), (2, 4))
    """
    given = _Given("gru", x, 3, weight_ih, weight_hh, None, lengths, {"h0": h0}, (bias_ih, bias_hh))
    biases = {name: b for name, b in zip(("bias_ih", "bias_hh"), given.biases) if b is not None}
    states, h = given.run(gru_p, biases, {"reverse": bool(reverse)})[:2]
    return given.arranged(states), given.last(h)


# ------------------------------------------------------------------------------------------- what they take


class _Sizes(NamedTuple):
    length: int
    batch: int
    features: int
    hidden: int
    states: int  # features of h, which a projection makes fewer


class _Given:
    """The operands of a recurrent layer, checked and in one dtype, without a batch axis as a batch of one."""

    def __init__(
        self,
        op: str,
        x: Any,
        n_gates: int,
        weight_ih: Any,
        weight_hh: Any,
        weight_hr: Any,
        lengths: Any,
        initial: dict[str, Any],
        biases: tuple[Any, Any],
    ):
        self.op = op
        optional = {"weight_hr": weight_hr, "bias_ih": biases[0], "bias_hh": biases[1], **initial}
        named = {"x": x, "weight_ih": weight_ih, "weight_hh": weight_hh}
        named.update({name: v for name, v in optional.items() if v is not None})
        tensors = dict(zip(named, promoted(op, list(named.values()), floating=True)))
        self.dtype = tensors["x"].dtype
        if self.dtype.kind == "c":
            raise DTypeError(f"{op}: takes real numbers, got {self.dtype}")
        if self.dtype.itemsize == 2:  # a sum over a long sequence would lose its digits
            tensors = {name: v.astype("float32") for name, v in tensors.items()}
        self.batched = len(tensors["x"].shape) == 3
        self.sizes = _check_shapes(op, {name: v.shape for name, v in tensors.items()}, n_gates)
        if not self.batched:
            for name in tensors.keys() & PER_SEQUENCE:
                tensors[name] = expand_dims(tensors[name], axis=1 if name == "x" else 0)
        for name in initial:
            width = self.sizes.hidden if name == "c0" else self.sizes.states
            if name not in tensors:
                tensors[name] = tensors["x"].new_zeros((self.sizes.batch, width))
        self.biases = tensors.pop("bias_ih", None), tensors.pop("bias_hh", None)
        self.within = None
        if lengths is not None:
            lengths = _checked_lengths(op, lengths, tensors["x"], self.sizes)
            self.within = _within(lengths, self.sizes.length, lengths.device)
            tensors["x"] = where(self.within, tensors["x"], 0)
            tensors["lengths"] = lengths
        self.tensors = tensors

    def summed_bias(self) -> dict[str, Any]:
        given = [b for b in self.biases if b is not None]
        return {"bias": given[0] if len(given) == 1 else given[0] + given[1]} if given else {}

    def run(self, primitive: General, biases: dict[str, Any], params: dict[str, Any]) -> Any:
        operands = {**self.tensors, **biases}
        return bind(primitive, list(operands.values()), {"has": tuple(operands), **params})

    def arranged(self, states: Any) -> Any:
        """The states as results: zeros beyond a sequence's length."""
        y = states if self.within is None else where(self.within, states, 0)
        y = y if self.batched else y.squeeze(1)
        return y if y.dtype == self.dtype else y.astype(self.dtype)

    def last(self, state: Any) -> Any:
        y = state if self.batched else state.squeeze(0)
        return y if y.dtype == self.dtype else y.astype(self.dtype)


def _check_shapes(op: str, shapes: dict[str, tuple[int, ...]], n_gates: int) -> _Sizes:
    """ShapeError unless all operands fit each other."""
    x, weight_ih, weight_hh = shapes["x"], shapes["weight_ih"], shapes["weight_hh"]
    factor = f"{n_gates} H" if n_gates > 1 else "H"
    if len(x) not in (2, 3):
        raise ShapeError(f"{op}: x must be (T, B, I), or (T, I) without a batch axis, got shape {x}")
    if len(weight_ih) != 2 or len(weight_hh) != 2 or weight_hh[0] % n_gates or weight_ih[0] != weight_hh[0]:
        raise ShapeError(
            f"{op}: weight_ih must be ({factor}, I) and weight_hh ({factor}, R), got shapes {weight_ih} and {weight_hh}"
        )
    if x[-1] != weight_ih[1]:
        raise ShapeError(
            f"{op}: x of shape {x} has {x[-1]} features, but weight_ih of shape {weight_ih} takes {weight_ih[1]}: the "
            "last axis of x must be as long as the last of weight_ih"
        )
    hidden, states = weight_hh[0] // n_gates, weight_hh[1]
    batch = x[1] if len(x) == 3 else 1
    expected: dict[str, tuple[int, ...]] = {
        "bias_ih": (weight_ih[0],),
        "bias_hh": (weight_ih[0],),
        "weight_hr": (states, hidden),
        "h0": (batch, states) if len(x) == 3 else (states,),
        "c0": (batch, hidden) if len(x) == 3 else (hidden,),
    }
    if "weight_hr" not in shapes and states != hidden:
        raise ShapeError(
            f"{op}: weight_hh must be ({factor}, H), {(weight_hh[0], hidden)}, got shape {weight_hh}"
            + ("; a projection to fewer states needs weight_hr" if op == "lstm" else "")
        )
    for name, shape in expected.items():
        if name in shapes and shapes[name] != shape:
            raise ShapeError(
                f"{op}: {name} must have shape {shape} for x {x} and weight_hh {weight_hh}, got {shapes[name]}"
            )
    return _Sizes(x[0], batch, x[-1], hidden, states)


def _checked_lengths(op: str, lengths: Any, x: Any, sizes: _Sizes) -> Any:
    lengths = as_tensor(op, lengths, x)
    require_integer(op, "lengths", lengths)
    check_devices(op, (x, lengths))
    if lengths.shape != (sizes.batch,):
        raise ShapeError(
            f"{op}: lengths must have shape {(sizes.batch,)}, one for each sequence of the batch, got {lengths.shape}"
        )
    values = host_values(lengths)
    wrong = (values < 0) | (values > sizes.length)
    if wrong.any():
        at = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise DataError(
            f"{op}: length {values[at]} at {list(at)} is not between 0 and {sizes.length}, the number of steps of x"
        )
    return lengths.astype(DEFAULT_INT)
