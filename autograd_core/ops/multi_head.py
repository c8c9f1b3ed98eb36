"""Attention of several heads: projections in, attention of each head, projection out."""

from __future__ import annotations

import math
from typing import Any

from ..aval import BOOL
from ..errors import ArgumentError, DTypeError, ShapeError
from ._apply import as_tensor, check_devices, promoted
from .attention import attention_weights, scaled_dot_product_attention
from .creation import arange, zeros
from .dropout import check_probability, dropout
from .joining import concat, split
from .linear_algebra import linear
from .linear_algebra import matmul as product
from .selection import where
from .shaping import broadcast_to, expand_dims

__all__ = ["multi_head_attention_forward"]


def multi_head_attention_forward(
    query: Any,
    key: Any,
    value: Any,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Any,
    in_proj_bias: Any,
    bias_k: Any,
    bias_v: Any,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Any,
    out_proj_bias: Any,
    training: bool = True,
    key_padding_mask: Any = None,
    need_weights: bool = True,
    attn_mask: Any = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: Any = None,
    k_proj_weight: Any = None,
    v_proj_weight: Any = None,
    static_k: Any = None,
    static_v: Any = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
    *,
    batch_first: bool = False,
) -> tuple[Any, Any]:
    """Attention of H heads: y = concat(head_1, ..., head_H) W_o^T + b_o, head_h the attention of parts of projections.

    query: (L, N, E) or (L, E); key: (S, N, K), value: (S, N, V), or without N; with batch_first N comes first.
    embed_dim_to_check: E. in_proj_weight: (3 E, E), or with use_separate_proj_weight q_, k_ and v_proj_weight: (E, E),
    (E, K), (E, V); in_proj_bias: (3 E,) or None. out_proj_weight: (E, E). bias_k, bias_v: (1, 1, E), one more key and
    value for all; add_zero_attn: one more of zeros. static_k, static_v: (N H, S, E / H) instead of projections.
    attn_mask: (L, S) or (N H, L, S); key_padding_mask: (N, S) or (S,); boolean, true where NOT to look, or numbers
    added to the scores. is_causal: query i sees keys 0 to i only. Dropout of weights in training.

    Returns y, of the shape of query, and with need_weights the weights, dropped out: (N, L, S), the mean over heads, or
    (N, H, L, S). A query that may look at no key has weights 0 and gets the bias alone, with need_weights as without.
    ShapeError, DTypeError, ArgumentError. Vaswani et al., Attention is all you need, 2017. Signature as in PyTorch.

    >>> import autograd_core as ag
    >>> from autograd_core.nn.functional import multi_head_attention_forward
    >>> x, w, v = ag.ones((3, 1, 2)), ag.zeros((6, 2)), ag.eye(2)
    >>> y, weights = multi_head_attention_forward(x, x, x, 2, 1, w, None, None, None, False, 0.0, v, None)
    >>> y.shape, weights.shape
    ((3, 1, 2), (1, 3, 3))
    """
    op = "multi_head_attention_forward"
    check_probability(op, dropout_p)
    same = query is key and key is value, key is value
    operands = {"query": query, "key": key, "value": value, "out_proj_weight": out_proj_weight}
    optional = {
        "in_proj_weight": in_proj_weight,
        "in_proj_bias": in_proj_bias,
        "q_proj_weight": q_proj_weight,
        "k_proj_weight": k_proj_weight,
        "v_proj_weight": v_proj_weight,
        "bias_k": bias_k,
        "bias_v": bias_v,
        "static_k": static_k,
        "static_v": static_v,
        "out_proj_bias": out_proj_bias,
    }
    operands.update({name: x for name, x in optional.items() if x is not None})
    p = dict(zip(operands, promoted(op, list(operands.values()), floating=True)))
    given = [p["query"], p["key"], p["value"]]
    n, s = (0, 1) if batch_first else (1, 0)
    batched = _check_inputs(op, [x.shape for x in given], n, embed_dim_to_check, num_heads)
    if not batched:
        given = [expand_dims(x, axis=n) for x in given]
    if use_separate_proj_weight:
        weights: Any = tuple(p.get(f"{name}_proj_weight") for name in "qkv")
    else:
        weights = p.get("in_proj_weight")
    q, k, v = _projected(op, given, same, weights, p.get("in_proj_bias"), embed_dim_to_check)
    extra = 0
    if "bias_k" in p and "bias_v" in p:
        if "static_k" in p or "static_v" in p:
            raise ArgumentError(f"{op}: bias_k and bias_v are for projections, not for static_k and static_v")
        k, v = (_extended(x, p[name], s, n, q.shape[n]) for x, name in ((k, "bias_k"), (v, "bias_v")))
        extra += 1
    q, k, v = (_heads(x, num_heads, s) for x in (q, k, v))
    k, v = (_static(op, name, p[name], x) if name in p else x for name, x in (("static_k", k), ("static_v", v)))
    if add_zero_attn:
        k, v = (concat([x, x.new_zeros((*x.shape[:2], 1, x.shape[3]))], axis=2) for x in (k, v))
        extra += 1
    rows, keys = q.shape[2], k.shape[2] - extra
    shape = (q.shape[0], num_heads, rows, keys)
    mask, causal = _masks(op, attn_mask, key_padding_mask, is_causal, q, shape, batched, extra)
    dropout_p = dropout_p if training else 0.0
    if need_weights:
        scale = 1 / math.sqrt(q.shape[-1])
        weights = dropout(attention_weights(q, k, mask, scale, causal), dropout_p, True)
        y = product(weights, v)
        weights = weights.mean(axis=1) if average_attn_weights else weights
        weights = weights if batched else weights.squeeze(0)
    else:
        y, weights = scaled_dot_product_attention(q, k, v, mask, dropout_p, causal), None
    y = y.permute(0, 2, 1, 3) if batch_first else y.permute(2, 0, 1, 3)
    y = linear(y.reshape(*y.shape[:2], embed_dim_to_check), p["out_proj_weight"], p.get("out_proj_bias"))
    return y if batched else y.squeeze(n), weights


# ------------------------------------------------------------------------------------------- heads


def _check_inputs(op: str, shapes: list[tuple[int, ...]], n: int, embed_dim: int, num_heads: int) -> bool:
    """Whether there is a batch axis (n); ShapeError or ArgumentError for what does not fit."""
    q, k, v = shapes
    given = f"query {q}, key {k} and value {v}"
    if len(q) not in (2, 3) or not len(q) == len(k) == len(v):
        axes = "(N, L, E)" if n == 0 else "(L, N, E)"
        raise ShapeError(f"{op}: query, key and value must all be {axes}, or all (L, E); got {given}")
    if q[-1] != embed_dim:
        raise ShapeError(f"{op}: {given}: query has {q[-1]} features (its last axis), embed_dim is {embed_dim}")
    if num_heads < 1 or embed_dim % num_heads:
        raise ArgumentError(f"{op}: embed_dim={embed_dim} does not divide into num_heads={num_heads}")
    batched = len(q) == 3
    lengths = 1 - n if batched else 0
    if k[lengths] != v[lengths]:
        raise ShapeError(f"{op}: {given}: every key needs a value, got {k[lengths]} keys and {v[lengths]} values")
    if batched and not q[n] == k[n] == v[n]:
        raise ShapeError(
            f"{op}: {given} have batches of {q[n]}, {k[n]} and {v[n]} (axis {n}); "
            f"is the batch the {'second' if n == 0 else 'first'} axis? Then pass batch_first={n != 0}"
        )
    return batched


def _projected(op: str, given: Any, same: Any, weights: Any, bias: Any, size: int) -> list[Any]:
    """q, k and v with ``size`` features each; operands that are one tensor share a product."""
    query, key, value = given
    parts = [None] * 3 if bias is None else split(bias, size)
    if isinstance(weights, tuple):
        for name, w, x in zip("qkv", weights, given):
            if w is None or w.shape != (size, x.shape[-1]):
                raise ShapeError(
                    f"{op}: {name}_proj_weight must have shape {(size, x.shape[-1])}, "
                    f"got {None if w is None else w.shape}"
                )
        return [linear(x, w, b) for x, w, b in zip(given, weights, parts)]
    if weights is None or weights.shape != (3 * size, size):
        raise ShapeError(
            f"{op}: in_proj_weight must have shape {(3 * size, size)}, got {None if weights is None else weights.shape}"
        )
    for name, x in (("key", key), ("value", value)):
        if x.shape[-1] != size:
            raise ShapeError(
                f"{op}: {name} of shape {x.shape} has {x.shape[-1]} features (its last axis), not embed_dim={size}; "
                "give kdim and vdim, and separate projection weights"
            )
    if same[0]:
        return list(split(linear(query, weights, bias), size, axis=-1))
    if same[1]:
        q_weight, kv_weight = split(weights, (size, 2 * size))
        kv_bias = None if bias is None else concat(parts[1:])
        return [linear(query, q_weight, parts[0]), *split(linear(key, kv_weight, kv_bias), size, axis=-1)]
    return [linear(x, w, b) for x, w, b in zip(given, split(weights, size), parts)]


def _extended(x: Any, row: Any, s: int, n: int, batch: int) -> Any:
    """One more key or value, ``row`` (1, 1, E), for every sequence."""
    shape = (1, batch, row.shape[-1]) if n == 1 else (batch, 1, row.shape[-1])
    return concat([x, broadcast_to(row, shape)], axis=s)


def _heads(x: Any, count: int, s: int) -> Any:
    """(S, N, E) or (N, S, E) -> (N, H, S, E / H)."""
    x = x.reshape(*x.shape[:2], count, x.shape[2] // count)
    return x.permute(0, 2, 1, 3) if s == 1 else x.permute(1, 2, 0, 3)


def _static(op: str, name: str, given: Any, x: Any) -> Any:
    batch, heads, _, width = x.shape
    if len(given.shape) != 3 or given.shape[0] != batch * heads or given.shape[2] != width:
        raise ShapeError(
            f"{op}: {name} must be (N H, S, E / H) with N H = {batch * heads} and E / H = {width}, got {given.shape}"
        )
    return given.reshape(batch, heads, *given.shape[1:])


# ------------------------------------------------------------------------------------------- masks


def _masks(
    op: str,
    attn_mask: Any,
    key_padding_mask: Any,
    is_causal: bool,
    q: Any,
    shape: tuple[int, int, int, int],
    batched: bool,
    extra: int,
) -> tuple[Any, bool]:
    """What ``attention`` takes: one mask (true where to look, or numbers to add), and whether to hide later keys.

    extra: keys that were appended and are seen by all, also in a causal mask.
    """
    batch, heads, rows, keys = shape
    masks = []
    if attn_mask is not None:
        mask = _as_mask(op, "attn_mask", attn_mask, q)
        expected = {(rows, keys): (1, 1, rows, keys), (batch * heads, rows, keys): shape}
        masks.append(_shaped(op, "attn_mask", mask, expected, "(L, S) or (N H, L, S)"))
    if key_padding_mask is not None:
        mask = _as_mask(op, "key_padding_mask", key_padding_mask, q)
        expected = {(batch, keys) if batched else (keys,): (batch, 1, 1, keys)}
        masks.append(_shaped(op, "key_padding_mask", mask, expected, "(N, S)" if batched else "(S,)"))
    if is_causal and extra:
        position = arange(max(rows, keys), device=q.device)
        masks.append((position[:keys] > expand_dims(position[:rows], axis=1)).reshape(1, 1, rows, keys))
    if not masks:
        return None, is_causal
    hidden = masks[0]
    for mask in masks[1:]:
        hidden = hidden | mask if hidden.dtype == BOOL == mask.dtype else _added(hidden, q) + _added(mask, q)
    if extra:
        more = (*hidden.shape[:-1], extra)
        hidden = concat([hidden, zeros(more, dtype=hidden.dtype, device=q.device)], axis=-1)
    return ~hidden if hidden.dtype == BOOL else hidden, is_causal and not extra


def _as_mask(op: str, name: str, mask: Any, q: Any) -> Any:
    mask = as_tensor(op, mask, q)
    check_devices(op, (q, mask))
    if mask.dtype.kind not in "bf" and mask.dtype.name != "bfloat16":
        raise DTypeError(
            f"{op}: {name} must be boolean (true: do not look) or floating (added to the scores), got {mask.dtype}; "
            f"write {name} != 0"
        )
    return mask if mask.dtype == BOOL else mask.astype(q.dtype)


def _shaped(op: str, name: str, mask: Any, expected: dict[Any, Any], axes: str) -> Any:
    if mask.shape not in expected:
        wanted = " or ".join(map(str, expected))
        raise ShapeError(f"{op}: {name} must have shape {wanted}, {axes}; got {mask.shape}")
    return mask.reshape(expected[mask.shape])


def _added(mask: Any, q: Any) -> Any:
    """A mask as numbers to add: minus infinity where a boolean one hides."""
    return mask if mask.dtype != BOOL else where(mask, -math.inf, zeros((), dtype=q.dtype, device=q.device))
