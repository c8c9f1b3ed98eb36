"""Cases of normalization. References normalize one group of elements at a time."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np

from autograd_core.ops import normalization, rms_norms
from autograd_core.primitive import bind

from .case import OpCase, normal, operands, uniform

EPS = 1e-2


def by_groups(
    x: np.ndarray, groups: list[tuple[Any, ...]], weight: np.ndarray | None, bias: np.ndarray | None
) -> np.ndarray:
    y = np.empty_like(x)
    for group in groups:
        values = x[group]
        y[group] = (values - values.mean()) / np.sqrt(np.var(values) + EPS)
    y = y if weight is None else y * weight
    return y if bias is None else y + bias


def along_channels(v: np.ndarray | None, ndim: int) -> np.ndarray | None:
    return None if v is None else v.reshape(-1, *(1,) * (ndim - 2))


def batch_reference(x: np.ndarray, weight: Any = None, bias: Any = None) -> np.ndarray:
    groups = [(slice(None), c) for c in range(x.shape[1])]
    return by_groups(x, groups, along_channels(weight, x.ndim), along_channels(bias, x.ndim))


def group_reference(n_groups: int) -> Callable[..., np.ndarray]:
    def reference(x: np.ndarray, weight: Any = None, bias: Any = None) -> np.ndarray:
        width = x.shape[1] // n_groups
        starts = range(0, x.shape[1], width)
        groups = [(n, slice(c, c + width)) for n, c in product(range(x.shape[0]), starts)]
        return by_groups(x, groups, along_channels(weight, x.ndim), along_channels(bias, x.ndim))

    return reference


def layer_reference(n_axes: int) -> Callable[..., np.ndarray]:
    def reference(x: np.ndarray, weight: Any = None, bias: Any = None) -> np.ndarray:
        return by_groups(x, list(np.ndindex(x.shape[: x.ndim - n_axes])), weight, bias)

    return reference


def batch_case(variant: str, *shape: int, affine: bool = True) -> OpCase:
    vectors = (normal(shape[1]),) * (2 if affine else 0)
    return OpCase(
        f"batch_norm/{variant}",
        lambda x, w=None, b=None: normalization.batch_norm(x, None, None, w, b, training=True, eps=EPS),
        operands(normal(*shape), *vectors),
        batch_reference,
        torch=lambda torch, x, w=None, b=None: torch.nn.functional.batch_norm(
            x, None, None, w, b, training=True, eps=EPS
        ),
    )


def given_moments_reference(x: np.ndarray, mean: Any, var: Any, w: Any, b: Any) -> np.ndarray:
    return np.stack([(x[:, c] - mean[c]) / np.sqrt(var[c] + EPS) * w[c] + b[c] for c in range(x.shape[1])], axis=1)


def layer_case(variant: str, shape: tuple[int, ...], normalized: Any, n_vectors: int = 2) -> OpCase:
    trailing = normalized if isinstance(normalized, tuple) else (normalized,)
    return OpCase(
        f"layer_norm/{variant}",
        lambda x, w=None, b=None: normalization.layer_norm(x, normalized, w, b, EPS),
        operands(normal(*shape), *[normal(*trailing)] * n_vectors),
        layer_reference(len(trailing)),
        torch=lambda torch, x, w=None, b=None: torch.nn.functional.layer_norm(x, trailing, w, b, EPS),
    )


def group_case(variant: str, n_groups: int, *shape: int, affine: bool = True) -> OpCase:
    return OpCase(
        f"group_norm/{variant}",
        lambda x, w=None, b=None: normalization.group_norm(x, n_groups, w, b, EPS),
        operands(normal(*shape), *[normal(shape[1])] * (2 if affine else 0)),
        group_reference(n_groups),
        torch=lambda torch, x, w=None, b=None: torch.nn.functional.group_norm(x, n_groups, w, b, EPS),
    )


def by_root_mean_squares(x: np.ndarray, n_axes: int, eps: float) -> np.ndarray:
    y = np.empty_like(x)
    for i in np.ndindex(x.shape[: x.ndim - n_axes]):
        y[i] = x[i] / np.sqrt((x[i] ** 2).sum() / x[i].size + eps)
    return y


def by_neighbours(x: np.ndarray, size: int, alpha: float, beta: float, k: float) -> np.ndarray:
    y = np.empty_like(x)
    for c in range(x.shape[1]):
        window = x[:, max(0, c - size // 2) : c + (size - 1) // 2 + 1]
        y[:, c] = x[:, c] / (k + alpha * (window**2).sum(axis=1) / size) ** beta
    return y


CASES = [
    batch_case("image", 2, 3, 2, 2),
    batch_case("vector", 4, 3),
    batch_case("one-channel", 3, 1, 2),
    batch_case("no-affine", 3, 2, 2, affine=False),
    OpCase(
        "batch_norm/given-moments",
        lambda x, mean, var, w, b: normalization.batch_norm(x, mean, var, w, b, eps=EPS),
        operands(normal(2, 3, 2), normal(3), uniform(0.5, 2.0, 3), normal(3), normal(3)),
        given_moments_reference,
        no_torch="there, no gradient reaches running statistics",
    ),
    OpCase(
        "moving_average",
        lambda running, value, momentum: bind(
            normalization.moving_average_p, (running, value, momentum), {"scale": 1.25}
        ),
        operands(normal(3), normal(1, 3, 1), uniform(0.05, 0.5)),
        lambda running, value, momentum: (1 - momentum) * running + momentum * 1.25 * value[0, :, 0],
        no_torch="an inner step of batch normalization",
        differentiable=(),
        why_not="a running mean is a memory of values",
    ),
    layer_case("last", (3, 4), 4),
    layer_case("two-axes", (2, 2, 3), (2, 3)),
    layer_case("all-axes", (2, 3), (2, 3)),
    layer_case("no-affine", (2, 3), 3, n_vectors=0),
    layer_case("no-bias", (2, 3), 3, n_vectors=1),
    layer_case("one-element", (3, 1), 1),
    group_case("image", 2, 2, 4, 2, 2),
    group_case("vector", 2, 3, 4),
    group_case("one-group", 1, 2, 3, 2),
    group_case("no-affine", 2, 2, 4, 2, affine=False),
    OpCase(
        "instance_norm/given-moments",
        lambda x, mean, var, w, b: normalization.instance_norm(x, mean, var, w, b, use_input_stats=False, eps=EPS),
        operands(normal(2, 3, 2), normal(3), uniform(0.5, 2.0, 3), normal(3), normal(3)),
        given_moments_reference,
        no_torch="there, no gradient reaches running statistics",
    ),
    OpCase(
        "rms_norm",
        lambda x, w: rms_norms.rms_norm(x, 4, w),
        operands(normal(3, 4), normal(4)),
        lambda x, w: by_root_mean_squares(x, 1, float(np.finfo(x.dtype).eps)) * w,
        torch=lambda torch, x, w: torch.nn.functional.rms_norm(x, (4,), w),
    ),
    OpCase(
        "rms_norm/two-axes",
        lambda x: rms_norms.rms_norm(x, (3, 2), eps=EPS),
        operands(normal(2, 3, 2)),
        lambda x: by_root_mean_squares(x, 2, EPS),
        torch=lambda torch, x: torch.nn.functional.rms_norm(x, (3, 2), eps=EPS),
    ),
    *[
        OpCase(
            f"local_response_norm/{size}",
            lambda x, size=size: rms_norms.local_response_norm(x, size, alpha=0.5, beta=0.6, k=1.5),
            operands(normal(*shape)),
            lambda x, size=size: by_neighbours(x, size, 0.5, 0.6, 1.5),
            torch=lambda torch, x, size=size: torch.nn.functional.local_response_norm(x, size, 0.5, 0.6, 1.5),
        )
        for size, shape in ((1, (1, 3, 2)), (2, (2, 4, 2)), (3, (1, 5, 2, 2)), (5, (2, 3, 1)))
    ],
    OpCase(
        "instance_norm",
        lambda x, w, b: normalization.instance_norm(x, weight=w, bias=b, eps=EPS),
        operands(normal(2, 3, 4), normal(3), normal(3)),
        lambda x, w, b: group_reference(3)(x, w, b),
        torch=lambda torch, x, w, b: torch.nn.functional.instance_norm(x, weight=w, bias=b, eps=EPS),
    ),
    OpCase(
        "instance_norm/image",
        lambda x: normalization.instance_norm(x, eps=EPS),
        operands(normal(2, 2, 2, 3)),
        group_reference(2),
        torch=lambda torch, x: torch.nn.functional.instance_norm(x, eps=EPS),
    ),
]
