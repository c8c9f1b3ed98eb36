"""Connectionist temporal classification: the probability of a sequence of labels under all its alignments.

Graves et al., Connectionist temporal classification, 2006. A sequence of labels l_1 ... l_S is written with blanks
between, 2 S + 1 states; an alignment goes through them in T steps, staying, moving on, or leaping over a blank between
two different labels. With e[t, s] the log-probability of state s at step t,

    alpha[t, s] = e[t, s] + ln(e^alpha[t-1, s] + e^alpha[t-1, s-1] + e^alpha[t-1, s-2])
    loss = -ln(e^alpha[T-1, 2S] + e^alpha[T-1, 2S-1])

and the derivative of the loss by e[t, s] is minus the probability that the alignment is in state s at step t, which the
same recursion run backwards gives. All sequences of a batch take each step together.

Impossible states have the finite logarithm ``NEVER``: infinities would turn into NaN where they are subtracted. The
composed form, whose ``logsumexp`` guards against that itself, takes probabilities of 0 as they are.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..aval import DEFAULT_FLOAT, DEFAULT_INT, Aval
from ..errors import ArgumentError, DataError, DTypeError, ShapeError
from ..primitive import bind, general
from ._apply import as_tensor, as_tensors, check_devices, examine
from .creation import arange, full, zeros
from .exponential import exp
from .indexing import take_along_axis
from .joining import concat, stack
from .losses import check_reduction, reduced, require_scores
from .reductions import logsumexp
from .selection import maximum, where
from .shaping import expand_dims

__all__ = ["ctc_loss"]

NEVER = -1e30
UNUSED = -(2**62)  # no label: stands where a target is shorter than others
POSSIBLE = -1e29  # what any alignment has, however long it is, and no impossible one

# --------------------------------------------------------------------------- the recursions, on arrays


def _logsum(xp: Any, states: list[Any]) -> Any:
    highest = xp.maximum(xp.maximum(states[0], states[1]), states[2])
    return highest + xp.log(sum([xp.exp(s - highest) for s in states]))


def _moved(xp: Any, x: Any, by: int) -> Any:
    """States that come from ``by`` places before (after, for negative ``by``)."""
    moved = xp.full_like(x, NEVER)
    if by > 0:
        moved[:, by:] = x[:, :-by]
    else:
        moved[:, :by] = x[:, -by:]
    return moved


def _alphas(xp: Any, e: Any, leaps: Any, steps: Any) -> Any:
    """alpha of every step (T, N, 2 S + 1); a sequence that has ended keeps its last."""
    alphas = xp.empty_like(e)
    alpha = xp.full_like(e[0], NEVER)
    alpha[:, :2] = e[0, :, :2]
    alphas[0] = alpha
    for t in range(1, e.shape[0]):
        leapt = xp.where(leaps, _moved(xp, alpha, 2), NEVER)
        new = _logsum(xp, [alpha, _moved(xp, alpha, 1), leapt]) + e[t]
        alpha = xp.where((t < steps)[:, None], new, alpha)
        alphas[t] = alpha
    return alphas


def _ends(xp: Any, lengths: Any, n_states: int) -> Any:
    """Whether a state is one of the last two of its sequence (N, 2 S + 1)."""
    states = xp.arange(n_states)
    return (states == 2 * lengths[:, None]) | (states == 2 * lengths[:, None] - 1)


def _loss(xp: Any, alpha: Any, ends: Any, steps: Any, lengths: Any) -> Any:
    last = xp.where(ends, alpha, NEVER)
    highest = last.max(axis=1)
    total = highest + xp.log(xp.exp(last - highest[:, None]).sum(axis=1))
    loss = xp.where(total > POSSIBLE, -total, xp.inf)
    return xp.where(steps > 0, loss, xp.where(lengths > 0, xp.inf, 0.0)).astype(alpha.dtype)


def _alignment(xp: Any, e: Any, leaps: Any, steps: Any, lengths: Any, *, impossible: float) -> Any:
    """impossible: the loss of a sequence that no alignment gives, infinity or 0."""
    if not e.shape[0]:
        return xp.where(lengths > 0, impossible, 0.0).astype(e.dtype)
    e = xp.maximum(e, NEVER)
    alpha = _alphas(xp, e, leaps, steps)[-1]
    loss = _loss(xp, alpha, _ends(xp, lengths, e.shape[2]), steps, lengths)
    return xp.where(loss == xp.inf, impossible, loss).astype(e.dtype)


def _alignment_slope(xp: Any, g: Any, e: Any, leaps: Any, steps: Any, lengths: Any) -> Any:
    if not e.shape[0]:
        return xp.zeros_like(e)
    e = xp.maximum(e, NEVER)
    alphas = _alphas(xp, e, leaps, steps)
    ends = _ends(xp, lengths, e.shape[2])
    loss = _loss(xp, alphas[-1], ends, steps, lengths)
    scale = xp.where(xp.isfinite(loss) & (steps > 0), g, 0.0)[:, None]
    loss = xp.where(xp.isfinite(loss), loss, 0.0)[:, None]
    onward = _moved(xp, xp.asarray(leaps, dtype=e.dtype), -2) > 0.5  # whether the leap from here is allowed
    slope = xp.zeros_like(e)
    beta = xp.full_like(e[0], NEVER)
    for t in range(e.shape[0] - 1, -1, -1):
        if t + 1 < e.shape[0]:
            after = beta + e[t + 1]
            leapt = xp.where(onward, _moved(xp, after, -2), NEVER)
            beta = _logsum(xp, [after, _moved(xp, after, -1), leapt])
        beta = xp.where((t == steps - 1)[:, None], xp.where(ends, 0.0, NEVER).astype(e.dtype), beta)
        inside = (t < steps)[:, None]
        slope[t] = xp.where(inside, -scale * xp.exp(xp.where(inside, alphas[t] + beta + loss, NEVER)), 0.0)
    return slope


# --------------------------------------------------------------------------- the same, in public operations


def _shifted(x: Any, by: int) -> Any:
    n, n_states = x.shape
    width = min(abs(by), n_states)
    gap = full((n, width), NEVER, dtype=x.dtype, device=x.device)
    return concat([gap, x[:, : n_states - width]] if by > 0 else [x[:, width:], gap], axis=1)


def _alphas_composed(e: Any, leaps: Any, steps: Any) -> list[Any]:
    places = arange(e.shape[2], dtype=DEFAULT_INT, device=e.device)
    alphas = [where(places < 2, e[0], NEVER)]
    for t in range(1, e.shape[0]):
        alpha = alphas[-1]
        states = stack([alpha, _shifted(alpha, 1), where(leaps, _shifted(alpha, 2), NEVER)])
        alphas.append(where(expand_dims(steps > t, axis=1), logsumexp(states, axis=0) + e[t], alpha))
    return alphas


def _ends_composed(lengths: Any, like: Any) -> Any:
    states = arange(like.shape[2], dtype=DEFAULT_INT, device=like.device)
    last = expand_dims(lengths, axis=1) * 2
    return (states == last) | (states == last - 1)


def _slope_composed(g: Any, e: Any, leaps: Any, steps: Any, lengths: Any) -> Any:
    if not e.shape[0]:
        return e.new_zeros(e.shape)
    alphas = _alphas_composed(e, leaps, steps)
    ends = _ends_composed(lengths, e)
    total = expand_dims(logsumexp(where(ends, alphas[-1], NEVER), axis=1), axis=1)
    possible = (total > POSSIBLE) & expand_dims(steps > 0, axis=1)
    scale, total = where(possible, expand_dims(g, axis=1), 0), where(possible, total, 0)
    onward = _shifted(leaps.astype(e.dtype), -2) > 0.5
    start = where(ends, 0.0, full(ends.shape, NEVER, dtype=e.dtype, device=e.device))
    beta, slopes = start, []
    for t in range(e.shape[0] - 1, -1, -1):
        if t + 1 < e.shape[0]:
            after = beta + e[t + 1]
            leapt = where(onward, _shifted(after, -2), NEVER)
            beta = logsumexp(stack([after, _shifted(after, -1), leapt]), axis=0)
        beta = where(expand_dims(steps == t + 1, axis=1), start, beta)
        visits = exp(where(expand_dims(steps > t, axis=1), alphas[t] + beta - total, NEVER))
        slopes.append(-scale * visits)
    return stack(slopes[::-1])


def _folded(xs: Any, batched: Any, size: int) -> list[Any]:
    """Operands with the examples in front of the sequences, which lie along axis 1 of e and axis 0 of the rest."""
    rows = [x if b else x.broadcast_to((size, *x.shape)) for x, b in zip(xs, batched, strict=True)]
    return [
        x.swapaxes(0, 1).reshape((x.shape[1], size * x.shape[2], x.shape[3]))
        if len(x.shape) == 4
        else x.reshape((size * x.shape[1], *x.shape[2:]))
        for x in rows
    ]


def _alignment_batch(xs: Any, batched: Any, size: int, impossible: float) -> Any:
    y = bind(ctc_alignment_p, _folded(xs, batched, size), {"impossible": impossible})
    return y.reshape((size, y.shape[0] // size))


def _slope_batch(xs: Any, batched: Any, size: int) -> Any:
    y = bind(ctc_alignment_slope_p, _folded(xs, batched, size), {})
    return y.reshape((y.shape[0], size, y.shape[1] // size, y.shape[2])).swapaxes(0, 1)


ctc_alignment_slope_p = general(
    "ctc_alignment_slope",
    _alignment_slope,
    lambda g, e, leaps, steps, lengths: e,
    composed=_slope_composed,
    batch=_slope_batch,
)
ctc_alignment_p = general(
    "ctc_alignment",
    _alignment,
    lambda e, leaps, steps, lengths, *, impossible: Aval(steps.shape, e.dtype),
    vjp=lambda g, e, leaps, steps, lengths: (
        bind(ctc_alignment_slope_p, (g, e, leaps, steps, lengths), {}),
        None,
        None,
        None,
    ),
    jvp=lambda ts, e, leaps, steps, lengths: (
        bind(ctc_alignment_slope_p, (e.new_ones(steps.shape), e, leaps, steps, lengths), {}) * ts[0]
    ).sum(axis=(0, 2)),
    batch=_alignment_batch,
)


# --------------------------------------------------------------------------------------------- the loss


def ctc_loss(
    log_probs: Any,
    targets: Any,
    input_lengths: Any,
    target_lengths: Any,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Any:
    """Negative log-probability of label sequences under all their alignments with T steps (see the top of this file).

    log_probs: (T, N, C), or (T, C) for one sequence: logarithms of probabilities, as ``log_softmax`` gives them.
    targets: labels (N, S) or (S,), padded, or (sum of target_lengths,) in a row; never the ``blank``. input_lengths,
    target_lengths: (N,) integers, or one for one sequence. reduction: "none" (N,), "sum", "mean" (each loss over its
    target's length, at least 1, then averaged). A target that no alignment fits, such as one too long, costs infinity,
    with gradient 0, or 0 with ``zero_infinity``.

    The gradient is that of the formula. PyTorch's differs by e^log_probs, of which the ``log_softmax`` before it makes
    0. DataError for labels and lengths out of range, ShapeError for shapes that do not fit.

    >>> import autograd_core as ag
    >>> from autograd_core.ops.ctc import ctc_loss
    >>> log_probs = ag.log(ag.full((2, 1, 3), 1 / 3))
    >>> ctc_loss(log_probs, ag.tensor([[1]]), (2,), (1,), reduction="sum")  # three of nine alignments
    tensor(1.0986123)
    """
    op = "ctc_loss"
    check_reduction(op, reduction)
    x, labels = as_tensors(op, log_probs, targets)
    require_scores(op, x)
    if labels.dtype.kind not in "iu":
        raise DTypeError(f"{op}: labels must be integers, got {labels.dtype}; write targets.astype('int64')")
    steps, lengths = (
        _lengths(op, name, v, x) for name, v in (("input_lengths", input_lengths), ("target_lengths", target_lengths))
    )
    single = len(x.shape) == 2
    if single:
        x, steps, lengths = expand_dims(x, axis=1), steps.reshape((-1,)), lengths.reshape((-1,))
        labels = expand_dims(labels, axis=0) if len(labels.shape) == 1 else labels
    if len(x.shape) != 3 or not x.shape[2]:
        raise ShapeError(f"{op}: log_probs must be (T, N, C) or (T, C), with C > 0, got shape {tuple(log_probs.shape)}")
    n_steps, n, n_classes = x.shape
    if steps.shape != (n,) or lengths.shape != (n,):
        raise ShapeError(
            f"{op}: log_probs of shape {x.shape} hold {n} sequences; input_lengths and target_lengths must have shape "
            f"({n},), got {steps.shape} and {lengths.shape}"
        )
    if isinstance(blank, bool) or not isinstance(blank, int) or not 0 <= blank < n_classes:
        raise ArgumentError(f"{op}: blank must be a class, 0 to {n_classes - 1}, got {blank!r}")
    examine(steps, lambda n: _check_range(op, "input_lengths", n, n_steps, f"log_probs have {n_steps} steps"))
    labels = _padded(op, labels.astype(DEFAULT_INT), lengths, n, n_classes, blank)
    half = x.dtype.itemsize == 2
    states = _states(labels, blank)
    e = take_along_axis(
        x.astype(DEFAULT_FLOAT) if half else x,
        expand_dims(states, axis=0).broadcast_to((n_steps, *states.shape)),
        axis=2,
    )
    impossible = 0.0 if zero_infinity else np.inf
    losses = bind(ctc_alignment_p, (e, _leaps(states, blank), steps, lengths), {"impossible": impossible})
    losses = losses.astype(x.dtype) if half else losses
    if reduction == "mean":
        losses = losses / maximum(lengths, 1).astype(losses.dtype)
    if single and reduction == "none":
        return losses.reshape(())
    return reduced(losses, reduction)


def _lengths(op: str, name: str, lengths: Any, like: Any) -> Any:
    lengths = as_tensor(op, np.asarray(lengths) if isinstance(lengths, (tuple, list)) else lengths, like)
    check_devices(op, (like, lengths))
    if lengths.dtype.kind not in "iu" and lengths.size:
        raise DTypeError(f"{op}: {name} must be integers, got {lengths.dtype}")
    return lengths.astype(DEFAULT_INT)


def _check_range(op: str, name: str, values: np.ndarray, highest: int, why: str) -> None:
    wrong = np.argwhere((values < 0) | (values > highest))
    if len(wrong):
        at = tuple(int(i) for i in wrong[0])
        raise DataError(f"{op}: {name}{list(at)} is {values[at]}, but {why}: use 0 to {highest}")


def _padded(op: str, labels: Any, lengths: Any, n: int, n_classes: int, blank: int) -> Any:
    """Labels (N, S), with blanks in what is not used of them."""
    if len(labels.shape) == 1:
        total = labels.shape[0]  # what asks of values outlives the call, and must hold no tensors
        longest = examine(lengths, lambda counts: _longest(op, counts, total))
        places = arange(longest, dtype=DEFAULT_INT, device=labels.device)
        starts = lengths.cumsum(0) - lengths if n else lengths
        index = expand_dims(starts, axis=1) + places
        used = expand_dims(lengths, axis=1) > places
        rows = labels[where(used, index, 0)] if labels.shape[0] else labels.new_zeros((n, longest))
    elif len(labels.shape) == 2 and labels.shape[0] == n:
        room = labels.shape[1]
        examine(
            lengths, lambda counts: _check_range(op, "target_lengths", counts, room, f"targets have room for {room}")
        )
        rows = labels
        used = expand_dims(lengths, axis=1) > arange(labels.shape[1], dtype=DEFAULT_INT, device=labels.device)
    else:
        raise ShapeError(f"{op}: targets must be ({n}, S), or all labels in a row, got shape {labels.shape}")
    rows = where(used, rows, blank)
    examine(where(used, rows, UNUSED), lambda given: _check_labels(op, given, n_classes, blank))
    return rows


def _longest(op: str, lengths: np.ndarray, total: int) -> int:
    if (lengths < 0).any() or (lengths.sum(axis=-1) != total).any():
        raise DataError(f"{op}: targets in a row hold {total} labels, target_lengths add up to {lengths.sum()}")
    return int(lengths.max(initial=0))


def _check_labels(op: str, labels: np.ndarray, n_classes: int, blank: int) -> None:
    wrong = np.argwhere(((labels < 0) | (labels >= n_classes) | (labels == blank)) & (labels != UNUSED))
    if len(wrong):
        at = tuple(int(i) for i in wrong[0])
        what = "the blank" if labels[at] == blank else f"not one of {n_classes} classes"
        raise DataError(f"{op}: label {at[-1]} of target {at[-2]} is {labels[at]}, which is {what}")


def _states(labels: Any, blank: int) -> Any:
    """Labels with blanks between, before and after them: (N, 2 S + 1)."""
    n, length = labels.shape
    blanks = full((n, length), blank, dtype=DEFAULT_INT, device=labels.device)
    last = full((n, 1), blank, dtype=DEFAULT_INT, device=labels.device)
    return concat([stack([blanks, labels], axis=2).reshape((n, 2 * length)), last], axis=1)


def _leaps(states: Any, blank: int) -> Any:
    """Whether a state can be reached from two places before: a label, and another than the last."""
    n = states.shape[0]
    if states.shape[1] < 3:
        return zeros(states.shape, dtype=bool, device=states.device)
    gap = zeros((n, 2), dtype=bool, device=states.device)
    return concat([gap, (states[:, 2:] != blank) & (states[:, 2:] != states[:, :-2])], axis=1)
