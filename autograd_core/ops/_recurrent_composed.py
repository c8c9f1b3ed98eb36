"""RNN, LSTM and GRU in public operations: what their primitives fall back to, and what turns gates into cotangents.

Operands come with their names (``has``), as for the formulas in ``_recurrences``. The composed forms also take in place
of x, weight_ih and bias the projected input ``z``, and an ``addend`` to what else an adjoint gives the cotangent of:
GRU's hidden projections, LSTM's projected states.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ._composed import pulled
from ._recurrences import steps
from .activation import relu, sigmoid
from .creation import arange, zeros
from .joining import concat, split, stack, unstack
from .linear_algebra import linear, matmul
from .selection import where
from .shaping import expand_dims
from .trigonometric import tanh

Names = tuple[str, ...]


def within(lengths: Any, length: int, device: Any) -> Any:
    """(T, B, 1): whether a step belongs to its sequence."""
    return expand_dims(arange(length, device=device).reshape(length, 1) < lengths, axis=-1)


def _run(
    p: dict[str, Any], bias: str, reverse: bool, states: Names, step: Callable[..., Any], kept: int
) -> list[list[Any]]:
    """Run ``step(z, addend, *states)`` over the sequence: ``kept`` values a step, the first ones the new states."""
    z = p["z"] if "z" in p else linear(p["x"], p["weight_ih"], p.get(bias))
    length = z.shape[0]
    valid = unstack(within(p["lengths"], length, z.device)) if "lengths" in p else None
    inputs = unstack(z)
    addends = unstack(p["addend"]) if "addend" in p else (None,) * length
    current = [p[name] for name in states]
    columns: list[list[Any]] = [[None] * length for _ in range(kept)]
    for t in steps(length, reverse):
        values = list(step(inputs[t], addends[t], *current))
        for k, old in enumerate(current):
            current[k] = values[k] = values[k] if valid is None else where(valid[t], values[k], old)
        for column, value in zip(columns, values):
            column[t] = value
    return columns


def _stacked(values: list[Any], like: Any, width: int) -> Any:
    return stack(values) if values else zeros((0, like.shape[0], width), dtype=like.dtype, device=like.device)


def _last(values: list[Any], initial: Any, reverse: bool) -> Any:
    return values[0 if reverse else -1] if values else initial


def rnn_composed(*operands: Any, has: Names, reverse: bool, nonlinearity: str) -> tuple[Any, ...]:
    """The states and the last one."""
    p = dict(zip(has, operands))
    squash = relu if nonlinearity == "relu" else tanh

    def step(z: Any, addend: Any, h: Any) -> tuple[Any, ...]:
        return (squash(z + linear(h, p["weight_hh"])),)

    (states,) = _run(p, "bias", reverse, ("h0",), step, 1)
    return _stacked(states, p["h0"], p["h0"].shape[-1]), _last(states, p["h0"], reverse)


def lstm_composed(*operands: Any, has: Names, reverse: bool) -> tuple[Any, ...]:
    """The states, the last state and cell, the gates and the cells."""
    p = dict(zip(has, operands))
    h0, c0 = p["h0"], p["c0"]
    width = c0.shape[-1]

    def step(z: Any, addend: Any, h: Any, c: Any) -> tuple[Any, ...]:
        i, f, g, o = split(z + linear(h, p["weight_hh"]), width, axis=-1)
        i, f, g, o = sigmoid(i), sigmoid(f), tanh(g), sigmoid(o)
        c = f * c + i * g
        y = o * tanh(c)
        y = linear(y, p["weight_hr"]) if "weight_hr" in p else y
        return y if addend is None else y + addend, c, concat((i, f, g, o), axis=-1)

    states, cells, gates = _run(p, "bias", reverse, ("h0", "c0"), step, 3)
    last = _last(states, h0, reverse), _last(cells, c0, reverse)
    return _stacked(states, h0, h0.shape[-1]), *last, _stacked(gates, c0, 4 * width), _stacked(cells, c0, width)


def gru_composed(*operands: Any, has: Names, reverse: bool) -> tuple[Any, ...]:
    """The states, the last one, the gates, and the hidden part of n before r scales it."""
    p = dict(zip(has, operands))
    h0 = p["h0"]
    width = h0.shape[-1]

    def step(z: Any, addend: Any, h: Any) -> tuple[Any, ...]:
        hidden = linear(h, p["weight_hh"], p.get("bias_hh"))
        a_r, a_z, a_n = split(z, width, axis=-1)
        u_r, u_z, u_n = split(hidden if addend is None else hidden + addend, width, axis=-1)
        reset, update = sigmoid(a_r + u_r), sigmoid(a_z + u_z)
        n = tanh(a_n + reset * u_n)
        return n + update * (h - n), concat((reset, update, n), axis=-1), u_n

    states, gates, inner = _run(p, "bias_ih", reverse, ("h0",), step, 3)
    last = _last(states, h0, reverse)
    return _stacked(states, h0, width), last, _stacked(gates, h0, 3 * width), _stacked(inner, h0, width)


# ------------------------------------------------------------------------------------------- adjoints


def adjoint_of(composed: Callable[..., Any], states: Names, n_saved: int) -> Callable[..., Any]:
    """The composed form of an adjoint (see ``_recurrences``), by pulling back through ``composed``."""
    n_cotangents = 1 + len(states)

    def adjoint(*values: Any, has: Names, **params: Any) -> tuple[Any, ...]:
        cotangents = values[:n_cotangents]
        operands = values[n_cotangents + n_saved :]
        p = dict(zip(has, operands))
        z = linear(p.pop("x"), p.pop("weight_ih"), p.pop("bias_ih" if composed is gru_composed else "bias", None))
        inner = {"z": z, **p}
        wanted = ["z", *states]
        if composed is gru_composed:
            inner["addend"] = z.new_zeros(z.shape)
            wanted.insert(1, "addend")
        elif "weight_hr" in p:
            inner["addend"] = z.new_zeros((z.shape[0], *p["h0"].shape))
            wanted.append("addend")
        names = tuple(inner)

        def results(*given: Any) -> tuple[Any, ...]:
            return composed(*given, has=names, **params)[:n_cotangents]

        found = pulled(results, list(inner.values()), [names.index(w) for w in wanted], cotangents, {})
        if "weight_hr" not in p:
            return found
        gates, cells = composed(*operands, has=has, **params)[3:]
        return *found, gates[:, :, -cells.shape[-1] :] * tanh(cells)

    return adjoint


def cotangents(p: dict[str, Any], wanted: Sequence[str], states: Any, reverse: bool, pulled: dict[str, Any]) -> Any:
    """The cotangents of the operands ``wanted``, from those of the gates (``input``, ``hidden``) and initial states.

    With a projection, ``output`` is the cotangent of the projected states, ``unprojected`` what they are made of.
    """
    d_input, d_hidden = pulled["input"], pulled.get("hidden", pulled["input"])

    def of_weight(g: Any, x: Any) -> Any:
        return matmul(_rows(g).mT, _rows(x))

    def before() -> Any:
        first = expand_dims(p["h0"], axis=0)
        return concat((states, first))[1:] if reverse else concat((first, states))[:-1]

    found: dict[str, Callable[[], Any]] = {
        "x": lambda: matmul(d_input, p["weight_ih"]),
        "h0": lambda: pulled["h0"],
        "c0": lambda: pulled["c0"],
        "weight_ih": lambda: of_weight(d_input, p["x"]),
        "weight_hh": lambda: of_weight(d_hidden, before()),
        "weight_hr": lambda: of_weight(pulled["output"], pulled["unprojected"]),
        "bias": lambda: d_input.sum(axis=(0, 1)),
        "bias_ih": lambda: d_input.sum(axis=(0, 1)),
        "bias_hh": lambda: d_hidden.sum(axis=(0, 1)),
    }
    return {name: found[name]() for name in wanted}


def _rows(x: Any) -> Any:
    """(T, B, n) -> (T B, n)."""
    return x.reshape(x.shape[0] * x.shape[1], x.shape[2])
