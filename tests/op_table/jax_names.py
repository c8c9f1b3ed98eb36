"""How our operations are called in JAX, where neither name nor arguments are the same; and what JAX does not have.

``ADAPTED``: the function of that name, called with the jax module before its arguments. Where nothing is said the
function of the same name in ``jax.numpy`` (``linalg`` and ``fft`` included), ``jax.nn``, ``jax.scipy.special`` or
``jax.lax`` is called with the same arguments.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np


def axes(value: int | Sequence[int], ndim: int) -> tuple[int, ...]:
    return (value,) * ndim if isinstance(value, int) else tuple(value)


def convolution(ndim: int) -> Callable[..., Any]:
    """PyTorch's convolution by ``lax.conv_general_dilated``."""

    def convolve(
        jax: Any, x: Any, w: Any, b: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
    ) -> Any:
        if x.ndim == ndim + 1:
            return convolve(jax, x[None], w, b, stride, padding, dilation, groups)[0]
        dilation = axes(dilation, ndim)
        if padding == "same":
            spans = [d * (k - 1) for d, k in zip(dilation, w.shape[2:], strict=True)]
            pairs = [(span // 2, span - span // 2) for span in spans]
        else:
            pairs = [(n, n) for n in axes(0 if padding == "valid" else padding, ndim)]
        y = jax.lax.conv_general_dilated(
            x, w, axes(stride, ndim), pairs, rhs_dilation=dilation, feature_group_count=groups
        )
        return y if b is None else y + b.reshape(-1, *(1,) * ndim)

    return convolve


def max_pool(ndim: int) -> Callable[..., Any]:
    """PyTorch's pooling by ``lax.reduce_window``."""

    def pool(
        jax: Any,
        x: Any,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        ceil_mode: bool = False,
    ) -> Any:
        return window(jax, x, ndim, kernel_size, stride, padding, dilation, ceil_mode, -math.inf, jax.lax.max)

    return pool


def avg_pool(ndim: int) -> Callable[..., Any]:
    def pool(
        jax: Any,
        x: Any,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> Any:
        def total(values: Any) -> Any:
            return window(jax, values, ndim, kernel_size, stride, padding, 1, ceil_mode, 0.0, jax.lax.add)

        if divisor_override or (count_include_pad and not ceil_mode):
            return total(x) / (divisor_override or math.prod(axes(kernel_size, ndim)))
        ones = jax.numpy.ones_like(x)
        if count_include_pad:  # what lies beyond the padding, where ceil_mode looks, does not count
            pairs = [(0, 0)] * (x.ndim - ndim) + [(n, n) for n in axes(padding, ndim)]
            padded = jax.numpy.pad(ones, pairs, constant_values=1.0)
            counts = window(jax, padded, ndim, kernel_size, stride, 0, 1, ceil_mode, 0.0, jax.lax.add)
            y = total(x)
            return y / counts[tuple(slice(n) for n in y.shape)]
        return total(x) / total(ones)

    return pool


def window(
    jax: Any,
    x: Any,
    ndim: int,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: bool,
    start: float,
    combine: Any,
) -> Any:
    kernel, padding, dilation = axes(kernel_size, ndim), axes(padding, ndim), axes(dilation, ndim)
    stride = kernel if stride is None else axes(stride, ndim)
    pairs = []
    for n, k, s, p, d in zip(x.shape[-ndim:], kernel, stride, padding, dilation, strict=True):
        free = n + 2 * p - d * (k - 1) - 1
        more = -free % s if ceil_mode else 0
        if more and (free // s + 1) * s >= n + p:  # no window starts in the padding behind
            more = 0
        pairs.append((p, p + more))
    whole = (1,) * (x.ndim - ndim)
    return jax.lax.reduce_window(
        x,
        start,
        combine,
        whole + kernel,
        whole + stride,
        [(0, 0)] * len(whole) + pairs,
        window_dilation=whole + dilation,
    )


def adaptive_avg_pool(ndim: int) -> Callable[..., Any]:
    """The mean of every bin, from floor(i n / m) to ceil((i + 1) n / m), axis by axis."""

    def pool(jax: Any, x: Any, output_size: Any) -> Any:
        sizes = axes(output_size, ndim)
        for axis, m in zip(range(-ndim, 0), sizes, strict=True):
            n = x.shape[axis]
            m = n if m is None else m
            bins = [(i * n // m, -(-(i + 1) * n // m)) for i in range(m)]
            pieces = [jax.lax.slice_in_dim(x, a, b, axis=axis).mean(axis, keepdims=True) for a, b in bins]
            x = jax.numpy.concatenate(pieces, axis)
        return x

    return pool


def gelu(jax: Any, x: Any, approximate: str = "none") -> Any:
    return jax.nn.gelu(x, approximate=approximate == "tanh")


def split(jax: Any, x: Any, sizes: Any, axis: int = 0) -> Any:
    """Pieces of the given lengths, or of one length and a shorter last one."""
    n = x.shape[axis]
    cuts = range(sizes, n, sizes) if isinstance(sizes, int) else [sum(sizes[: i + 1]) for i in range(len(sizes) - 1)]
    return jax.numpy.split(x, list(cuts), axis)


def pad(jax: Any, x: Any, pad_width: Any, mode: str = "constant", constant_value: float = 0) -> Any:
    mode = {"replicate": "edge", "circular": "wrap"}.get(mode, mode)
    if mode != "constant":
        return jax.numpy.pad(x, pad_width, mode=mode)
    pairs = np.broadcast_to(pad_width, (x.ndim, 2)).tolist()
    return jax.lax.pad(x, jax.numpy.asarray(constant_value, x.dtype), [(a, b, 0) for a, b in pairs])


def diagonal(jax: Any, x: Any, offset: int = 0) -> Any:
    return jax.numpy.diagonal(x, offset, -2, -1)


def trace(jax: Any, x: Any, offset: int = 0, dtype: Any = None) -> Any:
    return jax.numpy.trace(x, offset, -2, -1, dtype)


def linear(jax: Any, x: Any, w: Any, b: Any = None) -> Any:
    return x @ w.T if b is None else x @ w.T + b


def along(combine: str) -> Callable[..., Any]:
    """PyTorch's scatter along one axis, by JAX's indexed update."""

    def scatter(jax: Any, x: Any, dim: int, index: Any, src: Any) -> Any:
        places = list(jax.numpy.indices(index.shape))
        places[dim] = index
        if not isinstance(src, (int, float)):
            src = src[tuple(slice(n) for n in index.shape)]
        return getattr(x.at[tuple(places)], combine)(src)

    return scatter


def gather(jax: Any, x: Any, dim: int, index: Any) -> Any:
    places = list(jax.numpy.indices(index.shape))
    places[dim] = index
    return x[tuple(places)]


def flatten(jax: Any, x: Any, start_dim: int = 0, end_dim: int = -1) -> Any:
    if not x.ndim:
        return x.reshape(1)
    first, last = start_dim % x.ndim, end_dim % x.ndim
    return x.reshape(*x.shape[:first], -1, *x.shape[last + 1 :])


def expand(jax: Any, x: Any, shape: Sequence[int]) -> Any:
    own = (1,) * (len(shape) - x.ndim) + x.shape
    return jax.numpy.broadcast_to(x, [m if n == -1 else n for n, m in zip(shape, own, strict=True)])


def attention(
    jax: Any,
    q: Any,
    k: Any,
    v: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Any:
    """PyTorch's attention by ``nn.dot_product_attention``, every leading axis as its batch axis."""
    jnp = jax.numpy
    if enable_gqa:
        k, v = (jnp.repeat(x, q.shape[-3] // x.shape[-3], -3) for x in (k, v))
    lead = jnp.broadcast_shapes(*[x.shape[:-2] for x in (q, k, v)])
    flat = [jnp.broadcast_to(x, lead + x.shape[-2:]).reshape(-1, *x.shape[-2:])[:, :, None] for x in (q, k, v)]
    given = {}
    if attn_mask is not None:
        shape = (*lead, q.shape[-2], k.shape[-2])
        mask = jnp.broadcast_to(attn_mask, shape).reshape(-1, 1, *shape[-2:])
        given["mask" if mask.dtype == bool else "bias"] = mask
    y = jax.nn.dot_product_attention(*flat, scale=scale, is_causal=is_causal, **given)
    return y.reshape(*lead, q.shape[-2], v.shape[-1])


def hardtanh(jax: Any, x: Any, min_val: float = -1.0, max_val: float = 1.0) -> Any:
    return jax.numpy.clip(x, min_val, max_val)


def softplus(jax: Any, x: Any, beta: float = 1.0, threshold: float = 20.0) -> Any:
    return jax.numpy.where(beta * x > threshold, x, jax.nn.softplus(beta * x) / beta)


def norm(jax: Any, x: Any, ord: Any = 2, axis: Any = None, keepdims: bool = False) -> Any:
    return jax.numpy.linalg.vector_norm(x, axis=axis, keepdims=keepdims, ord=ord)


def renamed(path: str) -> Callable[..., Any]:
    """A function that JAX has under another name."""

    def call(jax: Any, *args: Any, **kwargs: Any) -> Any:
        found = jax
        for name in path.split("."):
            found = getattr(found, name)
        return found(*args, **kwargs)

    return call


ADAPTED: dict[str, Callable[..., Any]] = {
    "adaptive_avg_pool1d": adaptive_avg_pool(1),
    "adaptive_avg_pool2d": adaptive_avg_pool(2),
    "adaptive_avg_pool3d": adaptive_avg_pool(3),
    "avg_pool1d": avg_pool(1),
    "avg_pool2d": avg_pool(2),
    "avg_pool3d": avg_pool(3),
    "complex": lambda jax, re, im: jax.lax.complex(*jax.numpy.broadcast_arrays(re, im)),
    "conv1d": convolution(1),
    "conv2d": convolution(2),
    "conv3d": convolution(3),
    "detach": renamed("lax.stop_gradient"),
    "diagonal": diagonal,
    "expand": expand,
    "flatten": flatten,
    "gather": gather,
    "gelu": gelu,
    "hardsigmoid": renamed("nn.hard_sigmoid"),
    "hardswish": renamed("nn.hard_swish"),
    "hardtanh": hardtanh,
    "linear": linear,
    "logsigmoid": renamed("nn.log_sigmoid"),
    "masked_fill": lambda jax, x, mask, value: jax.numpy.where(mask, value, x),
    "masked_select": lambda jax, x, mask: x[jax.numpy.broadcast_to(mask, x.shape)],
    "max_pool1d": max_pool(1),
    "max_pool2d": max_pool(2),
    "max_pool3d": max_pool(3),
    "norm": norm,
    "pad": pad,
    "permute_dims": lambda jax, x, axes: jax.numpy.transpose(x, [a % x.ndim for a in axes]),
    "polar": lambda jax, r, phi: r * jax.numpy.exp(1j * phi),
    "repeat": lambda jax, x, repeats, axis=None: jax.numpy.repeat(x, jax.numpy.asarray(repeats), axis),
    "scatter": along("set"),
    "scatter_add": along("add"),
    "scaled_dot_product_attention": attention,
    "softplus": softplus,
    "softsign": renamed("nn.soft_sign"),
    "split": split,
    "softmin": lambda jax, x, dim: jax.nn.softmax(-x, dim),
    "tanhshrink": lambda jax, x: x - jax.numpy.tanh(x),
    "trace": trace,
    "view_as_complex": lambda jax, x: jax.lax.complex(x[..., 0], x[..., 1]),
    "view_as_real": lambda jax, x: jax.numpy.stack([x.real, x.imag], -1),
}

# Names that JAX has for something else; of what it does not have at all it need not be said.
NOT_IN_JAX: dict[str, str] = {
    "kl_div": "of this name JAX has another function: the elementwise one of SciPy",
    "lu": "JAX returns the factors in other pieces",
    "random": "JAX draws other numbers",
}

# Where JAX is less exact than the dtype: the tolerance, and why.
COARSE: dict[str, tuple[float, str]] = {
    "scaled_dot_product_attention": (2e-6, "JAX takes the softmax of its attention in float32, whatever the dtype"),
}
