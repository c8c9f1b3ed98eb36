"""The recurrences of RNN, LSTM and GRU over a whole sequence, and their adjoints, in functions of an array namespace.

Operands come with their names (``has``), as some are optional. x: (T, B, I); weight_ih: (k H, I); weight_hh: (k H, R);
h0: (B, R); lengths: (B,), steps beyond which leave the state as it is. All input projections are one product; a step is
one small product and few passes over (B, k H), and what it leaves is what the adjoint needs: the gates' values.

The adjoints give the cotangents of the gates before their nonlinearities, from which those of x and of all weights are
products (see ``_recurrent_composed``), and of the initial states. They first turn the saved gates into slopes, for the
whole sequence at once; their steps only scale these.

What is written lies under a subscript: not every array library changes an array through a view with a name of its own.
"""

from __future__ import annotations

from typing import Any

Names = tuple[str, ...]


def steps(length: int, reverse: bool) -> range:
    """The order in which a sequence is read."""
    return range(length - 1, -1, -1) if reverse else range(length)


def _projected(xp: Any, x: Any, weight: Any, bias: Any) -> Any:
    y = xp.matmul(_rows(x), weight.T)
    if bias is not None:
        y += bias
    return y.reshape(*x.shape[:2], weight.shape[0])


def _within(xp: Any, lengths: Any, length: int) -> Any:
    """(T, B, 1): whether a step belongs to its sequence; None if all do."""
    return None if lengths is None else (xp.arange(length)[:, None] < lengths)[:, :, None]


def _before(xp: Any, states: Any, initial: Any, reverse: bool) -> Any:
    """The state that every step started from."""
    first = initial[None]
    return xp.concatenate((states, first))[1:] if reverse else xp.concatenate((first, states))[:-1]


def _gates(x: Any, count: int) -> Any:
    """(T, B, k H) -> (T, B, k, H), without a copy."""
    return x.reshape(*x.shape[:2], count, x.shape[2] // count)


def _rows(x: Any) -> Any:
    """(T, B, n) -> (T B, n)."""
    return x.reshape(x.shape[0] * x.shape[1], x.shape[2])


def _sigmoid(xp: Any, x: Any) -> Any:
    """1 / (1 + e^-x), in the place of ``x``: by tanh nothing overflows."""
    x *= 0.5
    xp.tanh(x, out=x)
    x *= 0.5
    x += 0.5
    return x


# ------------------------------------------------------------------------------------------- RNN


def rnn_forward(xp: Any, *operands: Any, has: Names, reverse: bool, nonlinearity: str) -> tuple[Any, Any]:
    """h <- f(x W_ih^T + h W_hh^T + b): the states (T, B, H) and the last one."""
    p = dict(zip(has, operands))
    h, weight = p["h0"], p["weight_hh"].T
    states = _projected(xp, p["x"], p["weight_ih"], p.get("bias"))
    within = _within(xp, p.get("lengths"), len(states))
    for t in steps(len(states), reverse):
        y = states[t] + xp.matmul(h, weight)
        if nonlinearity == "relu":
            xp.maximum(y, 0, out=y)
        else:
            xp.tanh(y, out=y)
        h = y if within is None else xp.where(within[t], y, h)
        states[t] = h
    return states, h.copy()


def rnn_adjoint(
    xp: Any, gy: Any, gh: Any, states: Any, *operands: Any, has: Names, reverse: bool, nonlinearity: str
) -> tuple[Any, ...]:
    """The cotangents of the gate and of h0, from those of the states and of the last one."""
    p = dict(zip(has, operands))
    weight, within = p["weight_hh"], _within(xp, p.get("lengths"), len(states))
    slopes = (states > 0).astype(states.dtype) if nonlinearity == "relu" else 1 - states * states
    if within is not None:
        slopes *= within
    dh = gh
    for t in steps(len(states), not reverse):
        dh = dh + gy[t]
        slopes[t] *= dh
        passed = xp.matmul(slopes[t], weight)
        if within is not None:
            passed += xp.where(within[t], 0, dh)
        dh = passed
    return slopes, dh


# ------------------------------------------------------------------------------------------- LSTM


def lstm_forward(xp: Any, *operands: Any, has: Names, reverse: bool) -> tuple[Any, ...]:
    """c <- f c + i g, h <- o tanh(c) (times weight_hr^T if there is one), the gates i, f, g, o from x and h.

    Returns the states h, the last h and c, the gates (T, B, 4 H) and the cells c.
    """
    p = dict(zip(has, operands))
    h, c, weight = p["h0"], p["c0"], p["weight_hh"].T
    projection = p["weight_hr"].T if "weight_hr" in p else None
    gates = _projected(xp, p["x"], p["weight_ih"], p.get("bias"))
    length, hidden = len(gates), c.shape[-1]
    within = _within(xp, p.get("lengths"), length)
    states = xp.empty((length, *h.shape), gates.dtype)
    cells = xp.empty((length, *c.shape), gates.dtype)
    # all four by one tanh: sigmoid(x) = (1 + tanh(x / 2)) / 2
    half = xp.full(4 * hidden, 0.5, gates.dtype)
    half[2 * hidden : 3 * hidden] = 1
    shift = 1 - half
    for t in steps(length, reverse):
        z = gates[t] + xp.matmul(h, weight)
        z *= half
        xp.tanh(z, out=z)
        z *= half
        z += shift
        gates[t] = z
        i, f, g, o = z[:, :hidden], z[:, hidden : 2 * hidden], z[:, 2 * hidden : 3 * hidden], z[:, 3 * hidden :]
        cell = f * c
        cell += i * g
        c = cell if within is None else xp.where(within[t], cell, c)
        cells[t] = c
        y = xp.tanh(c)
        y *= o
        y = y if projection is None else xp.matmul(y, projection)
        h = y if within is None else xp.where(within[t], y, h)
        states[t] = h
    return states, h.copy(), c.copy(), gates, cells


def lstm_adjoint(
    xp: Any,
    gy: Any,
    gh: Any,
    gc: Any,
    states: Any,
    gates: Any,
    cells: Any,
    *operands: Any,
    has: Names,
    reverse: bool,
) -> tuple[Any, ...]:
    """The cotangents of the gates, of h0 and of c0, from those of the states, the last state and the last cell.

    With a projection also the cotangents of the projected states, and the states before it.
    """
    p = dict(zip(has, operands))
    weight, projection = p["weight_hh"], p.get("weight_hr")
    within = _within(xp, p.get("lengths"), len(states))
    i, f, g, o = (_gates(gates, 4)[:, :, k] for k in range(4))
    squashed = xp.tanh(cells)
    slopes = xp.empty_like(gates)
    di, df, dg, do = (_gates(slopes, 4)[:, :, k] for k in range(4))
    xp.multiply(g * i, 1 - i, out=di)
    xp.multiply(_before(xp, cells, p["c0"], reverse) * f, 1 - f, out=df)
    xp.multiply(i, 1 - g * g, out=dg)
    xp.multiply(squashed * o, 1 - o, out=do)
    through = o * (1 - squashed * squashed)
    projected: Any = None if projection is None else xp.empty_like(states)
    if within is not None:
        slopes *= within
        through *= within
    dh, dc = gh, gc
    for t in steps(len(states), not reverse):
        dh = dh + gy[t]
        dm = dh
        if projection is not None:
            projected[t] = dh if within is None else xp.where(within[t], dh, 0)
            dm = xp.matmul(dh, projection)
        dc = dc + dm * through[t]
        d = _gates(slopes[t : t + 1], 4)[0]
        d[:, :3] *= dc[:, None]
        d[:, 3] *= dm
        passed = xp.matmul(slopes[t], weight)
        if within is None:
            dc *= f[t]
        else:
            passed += xp.where(within[t], 0, dh)
            dc *= xp.where(within[t], f[t], 1)
        dh = passed
    return (slopes, dh, dc) if projection is None else (slopes, dh, dc, projected, o * squashed)


# ------------------------------------------------------------------------------------------- GRU


def gru_forward(xp: Any, *operands: Any, has: Names, reverse: bool) -> tuple[Any, ...]:
    """h <- (1 - z) n + z h, the gates r, z and n from x and h.

    Returns the states h, the last h, the gates (T, B, 3 H), and the hidden part of n before r scales it.
    """
    p = dict(zip(has, operands))
    h, weight, bias = p["h0"], p["weight_hh"].T, p.get("bias_hh")
    gates = _projected(xp, p["x"], p["weight_ih"], p.get("bias_ih"))
    length, hidden = len(gates), h.shape[-1]
    within = _within(xp, p.get("lengths"), length)
    states = xp.empty((length, *h.shape), gates.dtype)
    inner = xp.empty_like(states)
    for t in steps(length, reverse):
        recurrent = xp.matmul(h, weight)
        if bias is not None:
            recurrent += bias
        both = _sigmoid(xp, gates[t, :, : 2 * hidden] + recurrent[:, : 2 * hidden])
        r, z = both[:, :hidden], both[:, hidden:]
        inner[t] = recurrent[:, 2 * hidden :]
        n = r * inner[t]
        n += gates[t, :, 2 * hidden :]
        xp.tanh(n, out=n)
        gates[t, :, : 2 * hidden] = both
        gates[t, :, 2 * hidden :] = n
        y = h - n
        y *= z
        y += n
        h = y if within is None else xp.where(within[t], y, h)
        states[t] = h
    return states, h.copy(), gates, inner


def gru_adjoint(
    xp: Any,
    gy: Any,
    gh: Any,
    states: Any,
    gates: Any,
    inner: Any,
    *operands: Any,
    has: Names,
    reverse: bool,
) -> tuple[Any, ...]:
    """The cotangents of the gates' input parts, of their hidden parts and of h0, from those of the states and the last.

    Every gate's cotangent is linear in that of the new state, with slopes that the forward run has fixed.
    """
    p = dict(zip(has, operands))
    weight, within = p["weight_hh"], _within(xp, p.get("lengths"), len(states))
    r, z, n = (_gates(gates, 3)[:, :, k] for k in range(3))
    before = _before(xp, states, p["h0"], reverse)
    slopes = xp.empty_like(gates)
    dr, dz, dn = (_gates(slopes, 3)[:, :, k] for k in range(3))
    outer = (1 - z) * (1 - n * n)
    xp.multiply(outer, r, out=dn)
    xp.multiply(dn * inner, 1 - r, out=dr)
    xp.multiply((before - n) * z, 1 - z, out=dz)
    kept = z
    if within is not None:
        slopes *= within
        outer *= within
        kept = xp.where(within, z, 1)
    dh = gh
    for t in steps(len(states), not reverse):
        dh = dh + gy[t]
        d = _gates(slopes[t : t + 1], 3)[0]
        d[...] *= dh[:, None]
        outer[t] *= dh
        dh *= kept[t]
        dh += xp.matmul(slopes[t], weight)
    d_input = slopes.copy()
    _gates(d_input, 3)[:, :, 2] = outer
    return d_input, slopes, dh
