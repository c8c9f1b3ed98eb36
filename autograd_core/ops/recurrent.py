"""Recurrent layers: RNN, LSTM and GRU as one operation each, over a whole sequence, for one layer and one direction.

The formulas are in ``_recurrences``: a primitive returns beside the states what its adjoint needs, and the adjoint the
cotangents of the gates. What remains are products in public operations. The composed forms in ``_recurrent_composed``
give jvp and derivatives of higher order. Layers and directions are put together in ``nn``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..aval import DEFAULT_FLOAT, DEFAULT_INT, HALF, Aval
from ..backend import reads_halves
from ..errors import ArgumentError, DataError, DTypeError, ShapeError
from ..primitive import General, bind, general
from . import _recurrences as formulas
from ._apply import as_tensor, check_devices, examine, promoted, require_integer
from ._recurrent_composed import adjoint_of, cotangents, gru_composed, lstm_composed, rnn_composed, within
from .selection import where
from .shaping import broadcast_to, expand_dims, moveaxis

__all__ = ["gru", "lstm", "rnn"]

Names = tuple[str, ...]
PER_SEQUENCE = {"x", "h0", "c0"}  # operands with a batch axis
PER_STEP = {"x", "gy", "states", "gates", "cells", "inner"}  # those with an axis of steps before it

# ------------------------------------------------------------------------------------------- what the three share


class _Kind(NamedTuple):
    """What a primitive and its adjoint are made of, beside the operands that have names in ``has``.

    The primitive gives all states, the last one of each of ``states``, and ``saved``. The adjoint takes the cotangents
    of all but ``saved``, all states and ``saved``, and gives the cotangents ``pulled`` (see ``cotangents``).
    """

    states: Names
    saved: Names
    pulled: Names

    @property
    def before(self) -> Names:
        """The adjoint's operands in front of those of the primitive."""
        return ("gy", *[f"g_{state}" for state in self.states], "states", *self.saved)

    def results(self, has: Names) -> Names:
        """What the adjoint gives; the last two only with a projection."""
        return self.pulled if "weight_hr" in has else tuple(r for r in self.pulled if r not in PROJECTED)


PROJECTED = ("output", "unprojected")
RNN = _Kind(("h0",), (), ("input", "h0"))
LSTM = _Kind(("h0", "c0"), ("gates", "cells"), ("input", "h0", "c0", *PROJECTED))
GRU = _Kind(("h0",), ("gates", "inner"), ("input", "hidden", "h0"))


def _adjoint(name: str, kind: _Kind, formula: Callable[..., Any], composed: Callable[..., Any]) -> General:
    def shape(*avals: Aval, has: Names, **params: Any) -> tuple[Aval, ...]:
        p = dict(zip((*kind.before, *has), avals))
        gates = Aval((*p["x"].shape[:2], p["weight_hh"].shape[0]), p["x"].dtype)
        of = {**p, "input": gates, "hidden": gates, "output": p["states"], "unprojected": p.get("cells", gates)}
        return tuple(of[result] for result in kind.results(has))

    primitive: General = general(
        name,
        lambda xp, *values, **params: formula(xp, *values, **params),
        shape,
        composed=adjoint_of(composed, kind.states, 1 + len(kind.saved)),
        signals=False,
        batch=lambda xs, batched, size, **params: _folded(primitive, kind.before, xs, batched, size, params),
    )
    return primitive


def _pulled(adjoint: General, kind: _Kind, g: Any, y: Any, xs: Any, wanted: Sequence[int], **params: Any) -> list[Any]:
    """One cotangent an operand, None for those that are not wanted."""
    has = params["has"]
    n = 1 + len(kind.states)
    found = dict(zip(kind.results(has), bind(adjoint, (*g[:n], y[0], *y[n:], *xs), params)))
    names = [has[i] for i in wanted]
    by_name = cotangents(dict(zip(has, xs)), names, y[0], params["reverse"], found)
    return [by_name.get(name) for name in has]


def _folded(
    primitive: General, before: Names, xs: Sequence[Any], batched: Sequence[bool], size: int, params: dict[str, Any]
) -> Any:
    """Under vmap: the examples' sequences as one batch, if they have the same weights."""
    names = (*before, *params["has"])
    shared = [name.startswith(("weight", "bias")) for name in names]
    if any(b and of_all for b, of_all in zip(batched, shared)):
        return NotImplemented
    operands = [
        x if of_all else _fold(x if b else broadcast_to(x, (size, *x.shape)), 1 if name in PER_STEP else 0)
        for x, name, b, of_all in zip(xs, names, batched, shared)
    ]
    return tuple(_unfold(y, size, 1 if len(y.shape) == 3 else 0) for y in bind(primitive, operands, params))


def _fold(x: Any, axis: int) -> Any:
    """The examples' axis, the first, joined to the batch's, ``axis`` of an example."""
    shape = x.shape[1:]
    return moveaxis(x, 0, axis).reshape(*shape[:axis], x.shape[0] * shape[axis], *shape[axis + 1 :])


def _unfold(y: Any, size: int, axis: int) -> Any:
    shape = y.shape
    return moveaxis(y.reshape(*shape[:axis], size, shape[axis] // size, *shape[axis + 1 :]), axis, 0)


# ------------------------------------------------------------------------------------------- the operations


def _rnn_shape(*avals: Aval, has: Names, reverse: bool, nonlinearity: str) -> tuple[Aval, ...]:
    p = dict(zip(has, avals))
    return Aval((p["x"].shape[0], *p["h0"].shape), p["x"].dtype), p["h0"]


rnn_vjp_p = _adjoint("rnn_vjp", RNN, formulas.rnn_adjoint, rnn_composed)
rnn_p: General = general(
    "rnn",
    lambda xp, *xs, **params: formulas.rnn_forward(xp, *xs, **params),
    _rnn_shape,
    vjp=lambda g, y, xs, has, reverse, nonlinearity, wanted: _pulled(
        rnn_vjp_p, RNN, g, y, xs, wanted, has=has, reverse=reverse, nonlinearity=nonlinearity
    ),
    composed=rnn_composed,
    signals=False,
    batch=lambda xs, batched, size, **params: _folded(rnn_p, (), xs, batched, size, params),
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
    p = dict(zip(has, avals))
    (length, batch, _), dtype = p["x"].shape, p["x"].dtype
    width = p["c0"].shape[-1]
    gates, cells = Aval((length, batch, 4 * width), dtype), Aval((length, batch, width), dtype)
    return Aval((length, *p["h0"].shape), dtype), p["h0"], p["c0"], gates, cells


lstm_vjp_p = _adjoint("lstm_vjp", LSTM, formulas.lstm_adjoint, lstm_composed)
lstm_p: General = general(
    "lstm",
    lambda xp, *xs, **params: formulas.lstm_forward(xp, *xs, **params),
    _lstm_shape,
    vjp=lambda g, y, xs, has, reverse, wanted: _pulled(lstm_vjp_p, LSTM, g, y, xs, wanted, has=has, reverse=reverse),
    composed=lstm_composed,
    signals=False,
    batch=lambda xs, batched, size, **params: _folded(lstm_p, (), xs, batched, size, params),
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
    p = dict(zip(has, avals))
    (length, batch, _), dtype = p["x"].shape, p["x"].dtype
    states = Aval((length, *p["h0"].shape), dtype)
    return states, p["h0"], Aval((length, batch, 3 * p["h0"].shape[-1]), dtype), states


gru_vjp_p = _adjoint("gru_vjp", GRU, formulas.gru_adjoint, gru_composed)
gru_p: General = general(
    "gru",
    lambda xp, *xs, **params: formulas.gru_forward(xp, *xs, **params),
    _gru_shape,
    vjp=lambda g, y, xs, has, reverse, wanted: _pulled(gru_vjp_p, GRU, g, y, xs, wanted, has=has, reverse=reverse),
    composed=gru_composed,
    signals=False,
    batch=lambda xs, batched, size, **params: _folded(gru_p, (), xs, batched, size, params),
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
            self.within = within(lengths, self.sizes.length, lengths.device)
            tensors["x"] = where(self.within, tensors["x"], 0)
            tensors["lengths"] = lengths
        self.tensors = tensors

    def summed_bias(self) -> dict[str, Any]:
        given = [_single(b) for b in self.biases if b is not None]
        return {"bias": given[0] if len(given) == 1 else given[0] + given[1]} if given else {}

    def run(self, primitive: General, biases: dict[str, Any], params: dict[str, Any]) -> Any:
        operands = {**self.tensors, **biases}
        if self.dtype.itemsize == 2:
            as_they_are = reads_halves(primitive, list(operands.values()), {"has": tuple(operands), **params})
            dtype = self.dtype if as_they_are else DEFAULT_FLOAT
            operands = {name: v if name == "lengths" else v.astype(dtype) for name, v in operands.items()}
        return bind(primitive, list(operands.values()), {"has": tuple(operands), **params})

    def arranged(self, states: Any) -> Any:
        """The states as results: zeros beyond a sequence's length."""
        y = states if self.within is None else where(self.within, states, 0)
        y = y if self.batched else y.squeeze(1)
        return y if y.dtype == self.dtype else y.astype(self.dtype)

    def last(self, state: Any) -> Any:
        y = state if self.batched else state.squeeze(0)
        return y if y.dtype == self.dtype else y.astype(self.dtype)


def _single(x: Any) -> Any:
    """In float32 instead of half precision: a sum over a long sequence would lose its digits."""
    return x.astype(DEFAULT_FLOAT) if x.dtype.char in HALF else x


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

    def check(values: np.ndarray) -> None:
        wrong = (values < 0) | (values > sizes.length)
        if wrong.any():
            at = tuple(int(i) for i in np.argwhere(wrong)[0])
            raise DataError(
                f"{op}: length {values[at]} at {list(at)} is not between 0 and {sizes.length}, the number of steps of x"
            )

    examine(lengths, check)
    return lengths.astype(DEFAULT_INT)
