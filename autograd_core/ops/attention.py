"""Scaled dot-product attention as one operation: scores, softmax and weighted sum, a block of scores at a time.

The forward run keeps the logarithm of every row's sum and nothing of the size of the scores; the vjp makes the scores
again from it. What is not stated (jvp, higher derivatives) follows from the composed form.
Sources: Vaswani et al., Attention is all you need, 2017; Rabe and Staats, Self-attention does not need O(n^2) memory,
2021; Dao et al., FlashAttention, 2022.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from ..aval import BOOL, Aval, broadcast_shapes
from ..errors import ArgumentError, DTypeError, ShapeError
from ..primitive import bind, general
from . import random
from ._apply import as_tensor, check_devices, promoted
from ._composed import pulled
from .creation import arange
from .linear_algebra import matmul
from .reductions import all as every
from .selection import where
from .shaping import broadcast_to, expand_dims
from .softmax import softmax

__all__ = ["scaled_dot_product_attention"]

Names = tuple[str, ...]
BLOCK = 1 << 18  # scores at a time: a megabyte in float32, what a core's cache holds
CAUSAL_ROWS = 64  # rows at a time where later rows see more keys: what none of them sees is left out

# ------------------------------------------------------------------------------------------- formulas


def _blocks(q: Any, k: Any, causal: bool) -> Iterator[tuple[slice, slice, int]]:
    """Which matrices, which of their rows, and how many keys these rows look at."""
    count, rows, keys = q.shape[0], q.shape[1], k.shape[1]
    height = max(1, min(rows, CAUSAL_ROWS if causal else rows, max(16, BLOCK // max(keys, 1))))
    matrices = max(1, BLOCK // max(height * keys, 1))
    for n in range(0, count, matrices):
        for r in range(0, rows, height):
            end = min(r + height, rows)
            yield slice(n, n + matrices), slice(r, end), min(keys, end) if causal else keys


def _merged(x: Any) -> Any:
    """(..., L, E) -> (N, L, E)."""
    return x.reshape(math.prod(x.shape[:-2]), *x.shape[-2:])


def _read(operands: Any, has: Names) -> dict[str, Any]:
    """The operands by name, as stacks of matrices; a mask, which broadcasts to the scores, as it is.

    ``keep``, of the shape of the scores, says which weights dropout keeps.
    """
    return {name: x if name == "mask" else _merged(x) for name, x in zip(has, operands)}


def _mask_block(xp: Any, mask: Any, lead: tuple[int, ...], block: tuple[slice, slice, int]) -> Any:
    """The mask of a block of scores; all of a mask that broadcasts would be as large as all scores."""
    n, rows, keys = block
    own = mask.shape[:-2]
    count = math.prod(own)
    matrices = mask.reshape(count, *mask.shape[-2:])
    matrices = matrices[:, rows if mask.shape[-2] > 1 else slice(None), : keys if mask.shape[-1] > 1 else None]
    if count == 1:
        return matrices
    return matrices[xp.broadcast_to(xp.arange(count).reshape(own), lead).reshape(-1)[n]]


def _scores(
    xp: Any, p: dict[str, Any], lead: tuple[int, ...], block: tuple[slice, slice, int], scale: float, causal: bool
) -> Any:
    n, rows, keys = block
    scores = xp.matmul(p["q"][n, rows] * scale, p["k"][n, :keys].swapaxes(1, 2))
    if "mask" in p:
        mask = _mask_block(xp, p["mask"], lead, block)
        scores = xp.where(mask, scores, -math.inf) if mask.dtype == bool else scores + mask
    if causal:
        diagonal = scores[:, :, rows.start :]  # keys before the block's first row are seen by all
        seen = xp.arange(diagonal.shape[2]) <= xp.arange(diagonal.shape[1])[:, None]
        diagonal[...] = xp.where(seen, diagonal, -math.inf)
    return scores


def _attend(xp: Any, *operands: Any, has: Names, scale: float, causal: bool, keep_scale: float) -> tuple[Any, Any]:
    """The output, and the logarithm of the sum of e^score for every row: 0 for a row that sees nothing."""
    lead = operands[0].shape[:-2]
    p = _read(operands, has)
    q, k, v = p["q"], p["k"], p["v"]
    y = xp.zeros((*q.shape[:2], v.shape[2]), q.dtype)
    sums = xp.zeros(q.shape[:2], q.dtype)
    for block in _blocks(q, k, causal) if k.shape[1] else ():
        n, rows, keys = block
        weights = _scores(xp, p, lead, block, scale, causal)
        top = weights.max(axis=2, keepdims=True)
        top = xp.where(top == -math.inf, 0, top)
        weights -= top
        xp.exp(weights, out=weights)
        total = weights.sum(axis=2, keepdims=True)
        total = xp.where(total == 0, 1, total)  # a row that sees nothing: 0 / 1
        if "keep" in p:
            weights *= p["keep"][n, rows, :keys] * weights.dtype.type(keep_scale)
        out = xp.matmul(weights, v[n, :keys])
        out /= total
        y[n, rows] = out
        sums[n, rows] = (xp.log(total) + top)[:, :, 0]
    return y.reshape(*lead, *y.shape[1:]), sums.reshape(*lead, sums.shape[1])


def _attend_adjoint(
    xp: Any,
    g: Any,
    y: Any,
    sums: Any,
    *operands: Any,
    has: Names,
    wanted: Names,
    scale: float,
    causal: bool,
    keep_scale: float,
) -> tuple[Any, ...]:
    """With weights p, dp = g v^T and the scores' cotangent ds = p (dp - sum(p dp)), where sum(p dp) = sum(g y):

    dq = ds k,  dk = ds^T q  (both times the scale),  dv = p^T g,  dmask = ds.
    """
    lead = operands[0].shape[:-2]
    p = _read(operands, has)
    q, k, v, g, y = p["q"], p["k"], p["v"], _merged(g), _merged(y)
    sums = sums.reshape(*q.shape[:2], 1)
    of_scores = (*q.shape[:2], k.shape[1])
    found = {name: xp.zeros(of_scores if name == "mask" else p[name].shape, q.dtype) for name in wanted}
    inner = (g * y).sum(axis=2, keepdims=True)
    for block in _blocks(q, k, causal) if k.shape[1] else ():
        n, rows, keys = block
        weights = _scores(xp, p, lead, block, scale, causal)
        weights -= sums[n, rows]
        xp.exp(weights, out=weights)
        keep = p["keep"][n, rows, :keys] * weights.dtype.type(keep_scale) if "keep" in p else None
        if "v" in found:
            kept = weights if keep is None else weights * keep
            found["v"][n, :keys] += xp.matmul(kept.swapaxes(1, 2), g[n, rows])
        if len(found) > ("v" in found):
            slopes = xp.matmul(g[n, rows], v[n, :keys].swapaxes(1, 2))
            if keep is not None:
                slopes *= keep
            slopes -= inner[n, rows]
            slopes *= weights
            if "mask" in found:
                found["mask"][n, rows, :keys] = slopes
            if "q" in found:
                found["q"][n, rows] = xp.matmul(slopes, k[n, :keys]) * scale
            if "k" in found:
                found["k"][n, :keys] += xp.matmul(slopes.swapaxes(1, 2), q[n, rows] * scale)
    if "mask" in found:
        stretched = tuple(i for i, n in enumerate(p["mask"].shape) if n == 1)
        found["mask"] = found["mask"].reshape(*lead, *of_scores[1:]).sum(axis=stretched, keepdims=True)
    shapes = {name: x.shape for name, x in zip(has, operands)}
    return tuple([found[name].reshape(shapes[name]) for name in wanted])


def _public_scores(q: Any, k: Any, mask: Any, scale: float, causal: bool) -> tuple[Any, Any]:
    """The scores, minus infinity where a query may not look, and which queries may look at no key."""
    scores = matmul(q * scale, k.mT)
    if mask is not None:
        scores = where(mask, scores, -math.inf) if mask.dtype == BOOL else scores + mask
    rows, keys = scores.shape[-2:]
    if causal:
        position = arange(max(rows, keys), device=scores.device)
        scores = where(position[:keys] <= expand_dims(position[:rows], axis=1), scores, -math.inf)
    return scores, every(scores == -math.inf, axis=-1, keepdims=True)


def attention_weights(q: Any, k: Any, mask: Any, scale: float, causal: bool) -> Any:
    """The softmax of the scores, in public operations; 0 for a query that may look at no key. mask as for attention."""
    scores, blind = _public_scores(q, k, mask, scale, causal)
    return where(blind, 0, softmax(where(blind, 0, scores)))


def _composed(*operands: Any, has: Names, scale: float, causal: bool, keep_scale: float) -> Any:
    p = dict(zip(has, operands))
    scores, blind = _public_scores(p["q"], p["k"], p.get("mask"), scale, causal)
    weights = where(blind, 0, softmax(where(blind, 0, scores)))
    if "keep" in p:
        weights = where(p["keep"], weights * keep_scale, 0)
    return matmul(weights, p["v"]), _log_sums(scores, blind)


def _log_sums(scores: Any, blind: Any) -> Any:
    shown = where(blind, 0, scores)
    top = shown.max(axis=-1, keepdims=True) if shown.shape[-1] else 0.0
    total = (shown - top).exp().sum(axis=-1, keepdims=True)
    return where(blind, 0, total.log() + top).squeeze(-1)


def _composed_adjoint(g: Any, y: Any, sums: Any, *operands: Any, has: Names, wanted: Names, **params: Any) -> Any:
    def output(*given: Any, **given_params: Any) -> Any:
        return _composed(*given, **given_params)[0]

    return pulled(output, operands, [has.index(name) for name in wanted], g, {"has": has, **params})


# ------------------------------------------------------------------------------------------- primitives

attention_vjp_p = general(
    "attention_vjp",
    lambda xp, g, y, sums, *xs, has, wanted, scale, causal, keep_scale: _attend_adjoint(
        xp, g, y, sums, *xs, has=has, wanted=wanted, scale=scale, causal=causal, keep_scale=keep_scale
    ),
    lambda g, y, sums, *xs, has, wanted, scale, causal, keep_scale: tuple(xs[has.index(name)] for name in wanted),
    composed=_composed_adjoint,
    signals=False,
    batch={},
)


def _attention_vjp(
    g: Any, y: Any, xs: Any, has: Names, scale: float, causal: bool, keep_scale: float, wanted: tuple[int, ...]
) -> Any:
    params = {"has": has, "scale": scale, "causal": causal, "keep_scale": keep_scale}
    found = bind(attention_vjp_p, (g[0], *y, *xs), {**params, "wanted": tuple(has[i] for i in wanted)})
    by_position = dict(zip(wanted, found, strict=True))
    return [by_position.get(i) for i in range(len(has))]


attention_p = general(
    "attention",
    lambda xp, *xs, has, scale, causal, keep_scale: _attend(
        xp, *xs, has=has, scale=scale, causal=causal, keep_scale=keep_scale
    ),
    lambda *xs, has, scale, causal, keep_scale: (
        Aval((*xs[0].shape[:-1], xs[2].shape[-1]), xs[0].dtype),
        Aval(xs[0].shape[:-1], xs[0].dtype),
    ),
    vjp=_attention_vjp,
    composed=_composed,
    signals=False,
    batch={},
)


def scaled_dot_product_attention(
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
    generator: Any = None,
) -> Any:
    """Averages of values, weighted by how well a query fits their keys: y = softmax(q k^T scale + mask) v.

    query: (..., L, E); key: (..., S, E); value: (..., S, V); y: (..., L, V) in their common dtype. Leading axes
    broadcast. scale: 1 / sqrt(E) by default. attn_mask: broadcasts to (..., L, S); boolean, true where a query may look
    at a key, or numbers added to the scores. is_causal: query i sees keys 0 to i only, of those that a mask leaves. A
    query that may look at no key gets zeros, and passes back no gradient. dropout_p: the probability with which a
    weight is left out, in training and otherwise (pass 0 in evaluation); generator as for ``random.bernoulli``.
    enable_gqa: key and value may have fewer heads (axis -3) than query, each serving as many neighbouring ones of it.

    Memory beside the operands: none of the size of the scores, except for dropout (one byte each) and for the gradient
    of a mask. Derivatives of every order exist. ShapeError, DTypeError, ArgumentError. Vaswani et al., Attention is all
    you need, 2017. PyTorch.

    >>> import autograd_core as ag
    >>> from autograd_core.ops.attention import scaled_dot_product_attention
    >>> q, k, v = ag.zeros((1, 3)), ag.ones((2, 3)), ag.tensor([[1.0], [3.0]])
    >>> scaled_dot_product_attention(q, k, v)
    tensor([[2.]])
    """
    op = "scaled_dot_product_attention"
    q, k, v = promoted(op, (query, key, value), floating=True)
    dtype = q.dtype
    if dtype.kind == "c":
        raise DTypeError(f"{op}: takes real numbers, got {dtype}")
    if not 0 <= dropout_p <= 1:
        raise ArgumentError(f"{op}: dropout_p is the probability of a zero, between 0 and 1; got {dropout_p!r}")
    if dtype.itemsize == 2:  # sums of half precision stop growing
        q, k, v = (x.astype("float32") for x in (q, k, v))
    k, v = _checked(op, q, k, v, enable_gqa)
    lead = broadcast_shapes(f"{op} (leading axes)", q.shape[:-2], k.shape[:-2], v.shape[:-2])
    shape = (*lead, q.shape[-2], k.shape[-2])
    operands = {name: broadcast_to(x, (*lead, *x.shape[-2:])) for name, x in (("q", q), ("k", k), ("v", v))}
    if attn_mask is not None:
        operands["mask"] = _checked_mask(op, attn_mask, q, shape)
    if dropout_p > 0:
        operands["keep"] = random.bernoulli(1 - dropout_p, shape, device=q.device, generator=generator)
    params = {
        "has": tuple(operands),
        "scale": 1 / math.sqrt(q.shape[-1] or 1) if scale is None else float(scale),
        "causal": bool(is_causal),
        "keep_scale": 1 / (1 - dropout_p) if dropout_p < 1 else 0.0,
    }
    y = bind(attention_p, list(operands.values()), params)[0]
    return y if y.dtype == dtype else y.astype(dtype)


def _checked(op: str, q: Any, k: Any, v: Any, enable_gqa: bool) -> tuple[Any, Any]:
    """Keys and values that fit the queries, their heads repeated where these are fewer."""
    given = f"query {q.shape}, key {k.shape} and value {v.shape}"
    if min(len(x.shape) for x in (q, k, v)) < 2:
        raise ShapeError(f"{op}: takes (..., L, E), (..., S, E) and (..., S, V), got {given}")
    if q.shape[-1] != k.shape[-1]:
        raise ShapeError(
            f"{op}: {given}: query and key must have equally many features (last axis), got {q.shape[-1]} and "
            f"{k.shape[-1]}"
        )
    if k.shape[-2] != v.shape[-2]:
        raise ShapeError(
            f"{op}: {given}: every key needs a value (axis -2), got {k.shape[-2]} keys and {v.shape[-2]} values"
        )
    if not enable_gqa:
        return k, v
    if min(len(x.shape) for x in (q, k, v)) < 3:
        raise ShapeError(f"{op}: enable_gqa needs an axis of heads: (..., heads, L, E); got {given}")
    heads = q.shape[-3]
    for name, x in (("key", k), ("value", v)):
        if not x.shape[-3] or heads % x.shape[-3]:
            raise ShapeError(
                f"{op}: {given}: with enable_gqa the {heads} heads of query (axis -3) must be a multiple of the "
                f"{x.shape[-3]} of {name}"
            )
    return _repeated(k, heads), _repeated(v, heads)


def _repeated(x: Any, heads: int) -> Any:
    """Every head as often as it takes to have ``heads``; neighbours are equal."""
    *lead, own, length, width = x.shape
    if own == heads:
        return x
    shape = (*lead, own, heads // own, length, width)
    return broadcast_to(expand_dims(x, axis=-3), shape).reshape(*lead, heads, length, width)


def _checked_mask(op: str, mask: Any, q: Any, shape: tuple[int, ...]) -> Any:
    mask = as_tensor(op, mask, q)
    check_devices(op, (q, mask))
    if mask.dtype.kind not in "bf" and mask.dtype.name != "bfloat16":
        raise DTypeError(
            f"{op}: attn_mask must be boolean (true: take part) or floating (added to the scores), got {mask.dtype}; "
            "write mask != 0 or mask.astype(query.dtype)"
        )
    n = len(mask.shape)
    if n > len(shape) or any(m not in (1, s) for m, s in zip(mask.shape, shape[len(shape) - n :])):
        raise ShapeError(
            f"{op}: attn_mask of shape {mask.shape} does not broadcast to the scores, (..., L, S) = {shape}"
        )
    mask = mask.reshape(*(1,) * (len(shape) - n), *mask.shape)
    return mask if mask.dtype.kind == "b" else mask.astype(q.dtype)
