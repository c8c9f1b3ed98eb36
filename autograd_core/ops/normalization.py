"""Normalization: batch, layer, group and instance norm as one operation over different axes.

    y = (x - mean) / sqrt(var + eps) * w + b,   mean and var over ``axes``, w and b along the axes that ``affine`` keeps

The statistics are a primitive of their own, and constants to whoever asks for their derivative. The normalization takes
them as operands, so that nothing is computed twice; it and its vjp account for the dependence of mean and variance on x
in their rules, and state their composed forms, from which derivatives of higher order follow.
"""

from __future__ import annotations

from math import prod
from typing import Any

from ..aval import Aval, as_shape, reduced_shape
from ..batching import shift
from ..errors import ArgumentError, ShapeError
from ..primitive import bind, general
from ._apply import as_tensor, check_devices, promoted, require_real
from .creation import asarray, ones, zeros
from .exponential import rsqrt

__all__ = ["batch_norm", "group_norm", "instance_norm", "layer_norm"]

Shape = tuple[int, ...]

# ------------------------------------------------------------------------------------------- primitives


def _moments(xp: Any, x: Any, *, axes: Shape, eps: float) -> Any:
    if not x.size:  # no groups either, or nothing to warn of
        nothing = x.sum(axis=axes, keepdims=True)
        return nothing, nothing.copy(), 1.0 / xp.sqrt(nothing + eps)
    mean = x.mean(axis=axes, keepdims=True)
    centred = x - mean  # the difference of mean squares would lose the digits that a large mean takes up
    centred *= centred
    var = centred.mean(axis=axes, keepdims=True)
    return mean, var, 1.0 / xp.sqrt(var + eps)


moments_p = general(
    "moments",
    _moments,
    lambda x, *, axes, eps: (Aval(reduced_shape(x.shape, axes, True), x.dtype),) * 3,
    batch={"axes": shift},
)


def _moving_average_batch(xs: Any, batched: Any, size: int, *, scale: float) -> Any:
    running, value, momentum = [x if b else x.broadcast_to((size, *x.shape)) for x, b in zip(xs, batched, strict=True)]
    # one number for each example, or, under another vmap, numbers with axes of length 1 for those of the average
    missing = len(running.shape) - len(momentum.shape)
    momentum = momentum.reshape((*momentum.shape, *(1,) * missing))
    return bind(moving_average_p, (running, value, momentum), {"scale": scale})


# not differentiable: a running mean is a memory of values
moving_average_p = general(
    "moving_average",
    lambda xp, running, value, momentum, *, scale: (
        running + ((value.reshape(running.shape) * scale).astype(running.dtype) - running) * momentum
    ),
    lambda running, value, momentum, *, scale: running,
    batch=_moving_average_batch,
)


def _is_constant(affine: Shape, axes: Shape) -> bool:
    """Whether w is the same for all elements of a group that shares its mean."""
    return all(affine[a] == 1 for a in axes)


def _normalize(xp: Any, x: Any, w: Any, b: Any, mean: Any, rstd: Any, *, axes: Shape, affine: Shape, eps: float) -> Any:
    w = w.reshape(affine)
    y = x - mean
    if _is_constant(affine, axes):
        y *= rstd * w
    else:
        y *= rstd
        y *= w
    y += b.reshape(affine)
    return y


def _normalized(x: Any, axes: Shape, eps: float) -> tuple[Any, Any]:
    """(x - mean) / std and 1 / std, in public operations."""
    centred = x - x.mean(axis=axes, keepdims=True)
    rstd = rsqrt(centred.square().mean(axis=axes, keepdims=True) + eps)
    return centred * rstd, rstd


def _normalize_composed(x: Any, w: Any, b: Any, mean: Any, rstd: Any, *, axes: Shape, affine: Shape, eps: float) -> Any:
    return _normalized(x, axes, eps)[0] * w.reshape(affine) + b.reshape(affine)


def _normalize_vjp(
    xp: Any, g: Any, x: Any, w: Any, mean: Any, rstd: Any, *, axes: Shape, affine: Shape, eps: float
) -> Any:
    """The cotangents of x, w and b.

    With gw = g w and z = (x - mean) / std:  dx = (gw - mean(gw) - z mean(gw z)) / std,  dw = sum(g z),  db = sum(g).
    """
    summed = tuple(i for i, n in enumerate(affine) if n == 1)
    count = prod([x.shape[a] for a in axes])
    w = w.reshape(affine)
    z = x - mean
    z *= rstd
    dx = g * z
    dw = dx.sum(axis=summed, keepdims=True)
    db = g.sum(axis=summed, keepdims=True)
    if axes == summed:
        z *= dw / count
        xp.subtract(g, z, out=dx)
        dx -= db / count
        dx *= rstd * w
    else:
        dx *= w
        z *= dx.mean(axis=axes, keepdims=True)
        xp.multiply(g, w, out=dx)
        z += dx.mean(axis=axes, keepdims=True)
        dx -= z
        dx *= rstd
    return dx, dw.reshape(-1), db.reshape(-1)


def _normalize_vjp_composed(
    g: Any, x: Any, w: Any, mean: Any, rstd: Any, *, axes: Shape, affine: Shape, eps: float
) -> Any:
    summed = tuple(i for i, n in enumerate(affine) if n == 1)
    z, rstd = _normalized(x, axes, eps)
    gz, gw = g * z, g * w.reshape(affine)
    means = gw.mean(axis=axes, keepdims=True) + z * (gw * z).mean(axis=axes, keepdims=True)
    return rstd * (gw - means), gz.sum(axis=summed).reshape(-1), g.sum(axis=summed).reshape(-1)


normalize_vjp_p = general(
    "normalize_vjp",
    _normalize_vjp,
    lambda g, x, w, mean, rstd, *, axes, affine, eps: (x, w, w),
    composed=_normalize_vjp_composed,
)


def _normalize_batch(xs: Any, batched: Any, size: int, *, axes: Shape, affine: Shape, eps: float) -> Any:
    """Weights that all examples share broadcast along the new axis as well; those that differ have no kernel."""
    x, w, b, mean, rstd = [
        v if i in (1, 2) or is_batched else v.broadcast_to((size, *v.shape))
        for i, (v, is_batched) in enumerate(zip(xs, batched, strict=True))
    ]
    axes = shift(axes, size)
    if not (batched[1] or batched[2]):
        return bind(normalize_p, (x, w, b, mean, rstd), {"axes": axes, "affine": (1, *affine), "eps": eps})
    w, b = [v.reshape((size if batched[i] else 1, *affine)) for i, v in ((1, w), (2, b))]
    return _normalized(x, axes, eps)[0] * w + b


normalize_p = general(
    "normalize",
    _normalize,
    lambda x, w, b, mean, rstd, *, axes, affine, eps: x,
    vjp=lambda g, x, w, mean, rstd, axes, affine, eps: (
        *bind(normalize_vjp_p, (g, x, w, mean, rstd), {"axes": axes, "affine": affine, "eps": eps}),
        None,
        None,
    ),
    composed=_normalize_composed,
    batch=_normalize_batch,
)


def _normalize_over(x: Any, weight: Any, bias: Any, axes: Shape, affine: Shape, eps: float) -> tuple[Any, Any, Any]:
    """The normalized x, and the mean and (biased) variance it was normalized by, of length 1 along ``axes``.

    weight, bias: 1-d, None for ones and zeros; ``affine`` is the shape in which they broadcast to x.
    """
    if x.dtype.itemsize == 2:  # squares and sums of half precision overflow and stop growing
        weight, bias = (None if v is None else v.astype("float32") for v in (weight, bias))
        y, mean, var = _normalize_over(x.astype("float32"), weight, bias, axes, affine, eps)
        return y.astype(x.dtype), mean, var
    size = prod(affine)
    weight = ones(size, dtype=x.dtype, device=x.device) if weight is None else weight
    bias = zeros(size, dtype=x.dtype, device=x.device) if bias is None else bias
    mean, var, rstd = bind(moments_p, (x,), {"axes": axes, "eps": eps})
    params = {"axes": axes, "affine": affine, "eps": eps}
    return bind(normalize_p, (x, weight, bias, mean, rstd), params), mean, var


# ------------------------------------------------------------------------------------------- public functions


def operands(op: str, input: Any, weight: Any, bias: Any, eps: float) -> tuple[Any, Any, Any]:
    """The operands in their common floating dtype; None stays None."""
    if not eps >= 0:
        raise ArgumentError(f"{op}: eps must not be negative, got {eps!r}")
    given = promoted(op, [v for v in (input, weight, bias) if v is not None], floating=True)
    require_real(op, given[0])
    rest = iter(given[1:])
    return given[0], None if weight is None else next(rest), None if bias is None else next(rest)


def _check_channels(op: str, x: Any, **vectors: Any) -> None:
    """ShapeError unless x is (N, C, ...) and every vector (C,)."""
    if len(x.shape) < 2:
        raise ShapeError(f"{op}: input must be (N, C, ...), got shape {x.shape}")
    for name, v in vectors.items():
        if v is not None and v.shape != (x.shape[1],):
            raise ShapeError(
                f"{op}: {name} has shape {v.shape}, but input {x.shape} has {x.shape[1]} channels (axis 1): "
                f"{name} must have shape ({x.shape[1]},)"
            )


def batch_norm(
    input: Any,
    running_mean: Any = None,
    running_var: Any = None,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    momentum: Any = 0.1,
    eps: float = 1e-5,
) -> Any:
    """Normalization of every channel over the batch: y = (x - mean) / sqrt(var + eps) * weight + bias.

    input: (N, C, ...), integers as float32. weight, bias: (C,) or None. In training, mean and (biased) variance are the
    batch's, and the running ones, if given, move towards them (the variance unbiased): r <- (1 - momentum) r +
    momentum b, so they must be variables (nn.Buffer). Otherwise mean and variance are ``running_mean`` and
    ``running_var``. momentum: a number or a 0-d tensor. ShapeError in training for a batch with one value per channel.
    Ioffe and Szegedy, Batch normalization, 2015. Signature as in PyTorch.

    >>> import autograd_core as ag
    >>> from autograd_core.ops.normalization import batch_norm
    >>> batch_norm(ag.tensor([[1.0], [3.0]]), training=True, eps=0.0)
    tensor([[-1.],
            [ 1.]])
    """
    op = "batch_norm"
    x, weight, bias = operands(op, input, weight, bias, eps)
    _check_channels(op, x, weight=weight, bias=bias, running_mean=running_mean, running_var=running_var)
    affine = tuple(n if i == 1 else 1 for i, n in enumerate(x.shape))
    if not training:
        return _with_given_moments(op, x, running_mean, running_var, weight, bias, affine, eps)
    axes = (0, *range(2, len(x.shape)))
    count = prod(x.shape) // max(x.shape[1], 1)
    if count < 2 and x.shape[1]:
        raise ShapeError(
            f"{op}: training needs more than one value per channel, input {x.shape} has {count}: "
            "use a larger batch (DataLoader(drop_last=True) leaves out a last one of 1), or model.eval()"
        )
    _check_variables(op, running_mean=running_mean, running_var=running_var)
    y, mean, var = _normalize_over(x, weight, bias, axes, affine, eps)
    if running_mean is not None:
        _move_towards(running_mean, mean, momentum, 1.0)
    if running_var is not None:
        _move_towards(running_var, var, momentum, count / (count - 1))
    return y


def _with_given_moments(op: str, x: Any, mean: Any, var: Any, weight: Any, bias: Any, affine: Shape, eps: float) -> Any:
    if mean is None or var is None:
        raise ArgumentError(f"{op}: training=False needs running_mean and running_var; without them, training=True")
    mean, var = as_tensor(op, mean, x), as_tensor(op, var, x)
    check_devices(op, (x, mean, var))
    scale = rsqrt(var + eps)
    scale = scale if weight is None else scale * weight
    shift = -mean * scale if bias is None else bias - mean * scale
    return x * scale.astype(x.dtype).reshape(affine) + shift.astype(x.dtype).reshape(affine)


def _check_variables(op: str, **running: Any) -> None:
    for name, value in running.items():
        if value is not None and not hasattr(value, "assign_"):
            raise ArgumentError(f"{op}: {name} is updated in training and must be a variable: write nn.Buffer({name})")


def _move_towards(running: Any, value: Any, momentum: Any, scale: float) -> None:
    momentum = asarray(momentum, dtype=running.dtype, device=running.device)
    running.assign_(bind(moving_average_p, (running, value, momentum), {"scale": scale}))


def layer_norm(input: Any, normalized_shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    """Normalization of every sample over its last axes: y = (x - mean) / sqrt(var + eps) * weight + bias.

    input: (..., *normalized_shape), integers as float32; normalized_shape: an int or a tuple of ints. weight, bias: of
    that shape, or None. ShapeError where shapes do not fit. Ba, Kiros and Hinton, Layer normalization, 2016.
    Signature as in PyTorch.

    >>> import autograd_core as ag
    >>> from autograd_core.ops.normalization import layer_norm
    >>> layer_norm(ag.tensor([[1.0, 3.0], [0.0, 8.0]]), 2, eps=0.0)
    tensor([[-1.,  1.],
            [-1.,  1.]])
    """
    op = "layer_norm"
    x, weight, bias = operands(op, input, weight, bias, eps)
    shape = trailing(op, x, normalized_shape, weight=weight, bias=bias)
    lead = len(x.shape) - len(shape)
    axes, affine = tuple(range(lead, len(x.shape))), (1,) * lead + shape
    weight, bias = (None if v is None else v.reshape(-1) for v in (weight, bias))
    return _normalize_over(x, weight, bias, axes, affine, eps)[0]


def trailing(op: str, x: Any, normalized_shape: Any, **affine: Any) -> Shape:
    """``normalized_shape`` as a tuple; ShapeError unless x ends in it and weight and bias have it."""
    shape = as_shape(op, normalized_shape)
    lead = len(x.shape) - len(shape)
    if not shape or lead < 0 or x.shape[lead:] != shape or 0 in shape:
        fits = "one or more lengths above 0"
        if shape and 0 not in shape and x.shape:
            fits = f"for its last axis write normalized_shape={x.shape[-1]}"
        raise ShapeError(f"{op}: input of shape {x.shape} does not end in normalized_shape {shape}; {fits}")
    for name, v in affine.items():
        if v is not None and v.shape != shape:
            raise ShapeError(f"{op}: {name} must have the shape normalized_shape {shape}, got {v.shape}")
    return shape


def group_norm(input: Any, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    """Normalization of every sample over groups of channels: y = (x - mean) / sqrt(var + eps) * weight + bias.

    input: (N, C, ...), integers as float32, the C channels in ``num_groups`` equal groups; weight, bias: (C,) or None.
    ShapeError where shapes do not fit. Wu and He, Group normalization, 2018. Signature as in PyTorch.

    >>> import autograd_core as ag
    >>> from autograd_core.ops.normalization import group_norm
    >>> group_norm(ag.tensor([[1.0, 3.0, 0.0, 8.0]]), 2, eps=0.0)
    tensor([[-1.,  1., -1.,  1.]])
    """
    op = "group_norm"
    x, weight, bias = operands(op, input, weight, bias, eps)
    _check_channels(op, x, weight=weight, bias=bias)
    n, channels, *size = x.shape
    if not isinstance(num_groups, int) or num_groups < 1 or channels % num_groups:
        raise ArgumentError(
            f"{op}: num_groups must divide the {channels} channels of input {x.shape}, got {num_groups}"
        )
    if 0 in x.shape[1:]:
        raise ShapeError(f"{op}: input {x.shape} has groups without elements, which have no mean")
    width = channels // num_groups
    grouped = x.reshape((n, num_groups, width, prod(size)))
    return _normalize_over(grouped, weight, bias, (2, 3), (1, num_groups, width, 1), eps)[0].reshape(x.shape)


def instance_norm(
    input: Any,
    running_mean: Any = None,
    running_var: Any = None,
    weight: Any = None,
    bias: Any = None,
    use_input_stats: bool = True,
    momentum: Any = 0.1,
    eps: float = 1e-5,
) -> Any:
    """Normalization of every channel of every sample over its own elements; ``group_norm`` with groups of one channel.

    input: (N, C, ...), integers as float32, with more than one element per channel (ShapeError); weight, bias: (C,) or
    None. running_mean, running_var: (C,) or None; variables (nn.Buffer) which follow the averages over the samples, as
    in ``batch_norm``, and take the place of the samples' own where not ``use_input_stats``.
    Ulyanov, Vedaldi and Lempitsky, Instance normalization, 2016. Signature as in PyTorch.

    >>> import autograd_core as ag
    >>> from autograd_core.ops.normalization import instance_norm
    >>> instance_norm(ag.tensor([[[1.0, 3.0]]]), eps=0.0)
    tensor([[[-1.,  1.]]])
    """
    op = "instance_norm"
    x, weight, bias = operands(op, input, weight, bias, eps)
    _check_channels(op, x, weight=weight, bias=bias, running_mean=running_mean, running_var=running_var)
    affine = tuple(n if i == 1 else 1 for i, n in enumerate(x.shape))
    if not use_input_stats:
        return _with_given_moments(op, x, running_mean, running_var, weight, bias, affine, eps)
    count = prod(x.shape[2:])
    if count < 2:
        raise ShapeError(f"{op}: needs more than one element per channel, input {x.shape} has {count}")
    _check_variables(op, running_mean=running_mean, running_var=running_var)
    y, mean, var = _normalize_over(x, weight, bias, tuple(range(2, len(x.shape))), affine, eps)
    if running_mean is not None:
        _move_towards(running_mean, mean.mean(axis=0), momentum, 1.0)
    if running_var is not None:
        _move_towards(running_var, var.mean(axis=0), momentum, count / (count - 1))
    return y
