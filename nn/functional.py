"""Functions behind the layers, under PyTorch's names: no parameters of their own.

Those that are operations are passed on from ``autograd_core.ops``; defined here is what is made of several.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from autograd_core.aval import DEFAULT_INT
from autograd_core.errors import ArgumentError, DataError, DTypeError, ShapeError
from autograd_core.ops import creation, indexing, padding, random, selection, shaping
from autograd_core.ops import softmax as _softmax
from autograd_core.ops.activation import (
    celu,
    elu,
    gelu,
    hardshrink,
    hardsigmoid,
    hardswish,
    hardtanh,
    leaky_relu,
    logsigmoid,
    mish,
    relu,
    relu6,
    selu,
    sigmoid,
    silu,
    softplus,
    softshrink,
    softsign,
    tanhshrink,
    threshold,
)
from autograd_core.ops.convolution import conv1d, conv2d, conv3d
from autograd_core.ops.cross_entropy import cross_entropy, nll_loss
from autograd_core.ops.linear_algebra import linear, norm
from autograd_core.ops.losses import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    cosine_similarity,
    huber_loss,
    kl_div,
    l1_loss,
    mse_loss,
    smooth_l1_loss,
)
from autograd_core.ops.normalization import batch_norm, group_norm, instance_norm, layer_norm
from autograd_core.ops.pooling import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    avg_pool1d,
    avg_pool2d,
    max_pool1d,
    max_pool2d,
)
from autograd_core.ops.trigonometric import tanh
from autograd_core.tensor import Tensor

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "avg_pool1d",
    "avg_pool2d",
    "batch_norm",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "celu",
    "conv1d",
    "conv2d",
    "conv3d",
    "cosine_similarity",
    "cross_entropy",
    "dropout",
    "dropout1d",
    "dropout2d",
    "elu",
    "embedding",
    "gelu",
    "group_norm",
    "hardshrink",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "huber_loss",
    "instance_norm",
    "kl_div",
    "l1_loss",
    "layer_norm",
    "leaky_relu",
    "linear",
    "log_softmax",
    "logsigmoid",
    "max_pool1d",
    "max_pool2d",
    "mish",
    "mse_loss",
    "nll_loss",
    "normalize",
    "one_hot",
    "pad",
    "prelu",
    "relu",
    "relu6",
    "selu",
    "sigmoid",
    "silu",
    "smooth_l1_loss",
    "softmax",
    "softplus",
    "softshrink",
    "softsign",
    "tanh",
    "tanhshrink",
    "threshold",
]


# ------------------------------------------------------------------------------------------- activations


def softmax(input: Any, dim: int = -1) -> Tensor:
    """Positive values that sum to 1 along ``dim``: y_i = e^x_i / sum_j e^x_j.

    >>> import autograd_core as ag
    >>> from autograd_core.nn import functional as F
    >>> F.softmax(ag.tensor([[1.0, 1.0]]), dim=1)
    tensor([[0.5, 0.5]])
    """
    return _softmax.softmax(input, axis=dim)


def log_softmax(input: Any, dim: int = -1) -> Tensor:
    """Logarithm of the softmax along ``dim``: y_i = x_i - ln sum_j e^x_j.

    >>> import autograd_core as ag
    >>> from autograd_core.nn import functional as F
    >>> F.log_softmax(ag.tensor([0.0, -1000.0]), dim=0)
    tensor([    0., -1000.])
    """
    return _softmax.log_softmax(input, axis=dim)


def prelu(input: Any, weight: Any) -> Tensor:
    """y = x where x > 0, weight * x elsewhere.

    input: (N, C, ...). weight: one slope, or (C,), one for each channel. He et al., Delving deep into rectifiers, 2015.

    >>> import autograd_core as ag
    >>> from autograd_core.nn import functional as F
    >>> F.prelu(ag.tensor([[-2.0, 2.0]]), ag.tensor([0.25]))
    tensor([[-0.5,  2. ]])
    """
    x, w = creation.asarray(input), creation.asarray(weight)
    if w.size == 1:
        w = w.reshape(())
    else:
        if len(w.shape) != 1 or len(x.shape) < 2 or w.shape[0] != x.shape[1]:
            raise ShapeError(
                f"prelu: weight of shape {w.shape} is neither one slope nor one for each channel of "
                f"input {x.shape} (axis 1)"
            )
        w = w.reshape((-1, *(1,) * (len(x.shape) - 2)))
    return selection.where(x > 0, x, x * w)


# ------------------------------------------------------------------------------------------- dropout


def check_probability(op: str, p: Any) -> None:
    """ArgumentError unless p is a number between 0 and 1."""
    if isinstance(p, bool) or not isinstance(p, (int, float)) or not 0 <= p <= 1:
        raise ArgumentError(f"{op}: p is the probability of a zero, between 0 and 1; got {p!r}")


def _dropped(op: str, x: Any, p: float, training: bool, shape: Any, generator: Any) -> Tensor:
    check_probability(op, p)
    x = creation.asarray(x)
    if x.dtype.kind in "biu":
        raise DTypeError(f"{op}: input must be floating, got {x.dtype}; write x.astype('float32')")
    if not training or p == 0:
        return x
    keep = random.bernoulli(1 - p, shape(x), device=x.device, generator=generator)
    return selection.where(keep, x * (1 / (1 - p) if p < 1 else 1.0), 0)


def dropout(input: Any, p: float = 0.5, training: bool = True, *, generator: Any = None) -> Tensor:
    """Each element 0 with probability p, the others divided by 1 - p; the input itself unless ``training``.

    input: floating, any shape. Which elements: ``ag.random.bernoulli``; generator: by default that of the context.
    ArgumentError unless 0 <= p <= 1. Srivastava et al., Dropout, 2014.

    >>> import autograd_core as ag
    >>> from autograd_core.nn import functional as F
    >>> F.dropout(ag.ones(4), 0.5, generator=ag.random.Generator(0))
    tensor([2., 0., 0., 0.])
    """
    return _dropped("dropout", input, p, training, lambda x: x.shape, generator)


def _channels(op: str, ndim: int) -> Any:
    def shape(x: Tensor) -> tuple[int, ...]:
        if len(x.shape) not in (ndim + 1, ndim + 2):
            raise ShapeError(
                f"{op}: input must be (N, C, ...) or (C, ...) with {ndim} axes after C, got shape {x.shape}"
            )
        return (*x.shape[:-ndim], *(1,) * ndim)

    return shape


def dropout1d(input: Any, p: float = 0.5, training: bool = True, *, generator: Any = None) -> Tensor:
    """Dropout of whole channels of (N, C, L) or (C, L). Arguments as for ``dropout``. Tompson et al., 2015."""
    return _dropped("dropout1d", input, p, training, _channels("dropout1d", 1), generator)


def dropout2d(input: Any, p: float = 0.5, training: bool = True, *, generator: Any = None) -> Tensor:
    """Dropout of whole channels of (N, C, H, W) or (C, H, W). Arguments as for ``dropout``. Tompson et al., 2015."""
    return _dropped("dropout2d", input, p, training, _channels("dropout2d", 2), generator)


# ------------------------------------------------------------------------------------------- indices


def _indices(op: str, input: Any, size: int, of: str) -> Tensor:
    """Integers in [0, size), or DataError naming the first that is not, and where."""
    indices = creation.asarray(input)
    if indices.dtype.kind not in "iu":
        raise DTypeError(f"{op}: indices must be integers, got {indices.dtype}; write x.astype('int64')")
    if indices.level == 0 and indices.size:
        values = indices.numpy()
        if values.min() < 0 or values.max() >= size:
            at = tuple(int(i) for i in np.argwhere((values < 0) | (values >= size))[0])
            place = f" at {at if len(at) != 1 else at[0]}" if at else ""
            raise DataError(f"{op}: index {values[at]}{place} is outside {of}: use 0 to {size - 1}")
    return indices


def embedding(input: Any, weight: Any, padding_idx: int | None = None) -> Tensor:
    """Rows of a table: y[..., :] = weight[input[...], :].

    input: integers of any shape; weight: (num_embeddings, embedding_dim). padding_idx: the row that gets no gradient.
    DataError for an index outside the table, DTypeError for indices that are not integers.

    >>> import autograd_core as ag
    >>> from autograd_core.nn import functional as F
    >>> F.embedding(ag.tensor([2, 0]), ag.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]))
    tensor([[5., 6.],
            [1., 2.]])
    """
    if len(weight.shape) != 2:
        raise ShapeError(f"embedding: weight must be (num_embeddings, embedding_dim), got shape {weight.shape}")
    size = weight.shape[0]
    indices = _indices("embedding", input, size, f"the vocabulary of {size} embeddings")
    y = indexing.take(weight, indices, axis=0)
    if padding_idx is None:
        return y
    padding_idx = padding_index("embedding", padding_idx, size)
    return selection.where(shaping.expand_dims(indices == padding_idx, axis=-1), y.detach(), y)


def padding_index(op: str, padding_idx: Any, size: int) -> int:
    """``padding_idx`` counted from the front; ArgumentError if there is no such row."""
    if isinstance(padding_idx, bool) or not isinstance(padding_idx, int) or not -size <= padding_idx < size:
        raise ArgumentError(f"{op}: padding_idx must be an int from {-size} to {size - 1}, got {padding_idx!r}")
    return padding_idx % size


def one_hot(input: Any, num_classes: int = -1) -> Tensor:
    """For every label a vector of zeros with a 1 at its place: (...) -> (..., num_classes), int64.

    num_classes: -1 takes the largest label + 1. DataError for a label outside.

    >>> import autograd_core as ag
    >>> from autograd_core.nn import functional as F
    >>> F.one_hot(ag.tensor([0, 2]), 3)
    tensor([[1, 0, 0],
            [0, 0, 1]])
    """
    labels = creation.asarray(input)
    if num_classes == -1:
        if not labels.size:
            raise ArgumentError("one_hot: num_classes cannot be taken from labels of no elements; give it")
        num_classes = int(labels.numpy().max()) + 1
    labels = _indices("one_hot", labels, num_classes, f"{num_classes} classes")
    classes = creation.arange(num_classes, dtype=labels.dtype, device=labels.device)
    return (shaping.expand_dims(labels, axis=-1) == classes).astype(DEFAULT_INT)


# ------------------------------------------------------------------------------------------- shapes and scales

_PAD_MODES = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def pad(input: Any, pad: Sequence[int], mode: str = "constant", value: float = 0.0) -> Tensor:
    """Elements added at the ends of the last axes; ``ag.pad`` takes all axes, first to last.

    pad: (before, after) of the last axis, then of the one before it, and so on; negative numbers remove elements.
    mode: "constant" (``value``), "reflect", "replicate", "circular". ArgumentError for other modes and odd lengths.

    >>> import autograd_core as ag
    >>> from autograd_core.nn import functional as F
    >>> F.pad(ag.ones((2, 3)), (1, 1)).shape, F.pad(ag.ones((2, 3)), (0, 0, 2, 0)).shape
    ((2, 5), (4, 3))
    """
    x = creation.asarray(input)
    if mode not in _PAD_MODES:
        raise ArgumentError(f"pad: mode must be one of {', '.join(map(repr, _PAD_MODES))}, got {mode!r}")
    if len(pad) % 2 or len(pad) > 2 * len(x.shape):
        raise ArgumentError(
            f"pad: pad must hold two numbers for each of the last axes, at most {2 * len(x.shape)} for "
            f"shape {x.shape}; got {tuple(pad)}"
        )
    pairs = [tuple(pad[i : i + 2]) for i in range(0, len(pad), 2)]
    widths = [(0, 0)] * (len(x.shape) - len(pairs)) + pairs[::-1]
    return padding.pad(x, widths, mode=_PAD_MODES[mode], constant_value=value)


def normalize(input: Any, p: float = 2.0, dim: Any = 1, eps: float = 1e-12) -> Tensor:
    """Vectors along ``dim`` divided by their p-norm: y = x / max(||x||_p, eps).

    >>> import autograd_core as ag
    >>> from autograd_core.nn import functional as F
    >>> F.normalize(ag.tensor([[3.0, 4.0]]))
    tensor([[0.6, 0.8]])
    """
    x = creation.asarray(input)
    return x / selection.maximum(norm(x, ord=p, axis=dim, keepdims=True), eps)
