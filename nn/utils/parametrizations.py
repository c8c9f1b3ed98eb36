"""Parametrizations of weights: by length and direction, by the largest singular value. PyTorch's names and layout."""

from __future__ import annotations

from typing import Any

from autograd_core.context import no_grad
from autograd_core.errors import ArgumentError, ShapeError
from autograd_core.ops import random
from autograd_core.ops.distances import normalize
from autograd_core.ops.linear_algebra import norm
from autograd_core.tensor import Tensor

from ..convolution import ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from ..module import Module
from ..parameter import Buffer
from .parametrize import register_parametrization


def _named(op: str, module: Module, name: str) -> Any:
    weight = getattr(module, name, None)
    if not isinstance(weight, Tensor):
        raise ArgumentError(f"{op}: {type(module).__name__} has no parameter {name!r}")
    return weight


class _WeightNorm(Module):
    def __init__(self, dim: int | None):
        self.dim = dim

    def _length(self, weight: Tensor) -> Tensor:
        if self.dim is None:
            return norm(weight)
        kept = self.dim % len(weight.shape)
        return norm(weight, axis=tuple(i for i in range(len(weight.shape)) if i != kept), keepdims=True)

    def forward(self, length: Tensor, direction: Tensor) -> Tensor:
        return direction * (length / self._length(direction))

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        return self._length(weight), weight


def weight_norm(module: Module, name: str = "weight", dim: int | None = 0) -> Module:
    """Make a weight the product of a length and a direction, w = g v / ||v||, both learnt; returns ``module``.

    dim: the axis along which lengths are counted, one for each of its places; None for one length in all. The value
    stays as it is: g = ||w|| (``parametrizations.weight.original0``), v = w (``original1``).
    Salimans and Kingma, Weight normalization, 2016.

    >>> from autograd_core import nn
    >>> layer = nn.utils.parametrizations.weight_norm(nn.Linear(20, 40))
    >>> layer.parametrizations["weight"].original0.shape, layer.parametrizations["weight"].original1.shape
    ((40, 1), (40, 20))
    """
    _named("weight_norm", module, name)
    return register_parametrization(module, name, _WeightNorm(dim))


class _SpectralNorm(Module):
    def __init__(self, weight: Tensor, n_power_iterations: int, dim: int, eps: float):
        if n_power_iterations < 1:
            raise ArgumentError(f"spectral_norm: n_power_iterations must be at least 1, got {n_power_iterations}")
        ndim = len(weight.shape)
        if not -ndim <= dim < ndim:
            raise ShapeError(f"spectral_norm: dim {dim} is no axis of a weight of shape {weight.shape}")
        self.dim, self.eps, self.n_power_iterations = dim % ndim, eps, n_power_iterations
        if ndim > 1:
            matrix = self._matrix(weight.detach())
            dtype = "float64" if matrix.dtype == "float64" else "float32"
            u, v = (
                normalize(random.normal((n,), dtype=dtype, device=weight.device).astype(matrix.dtype), dim=0, eps=eps)
                for n in matrix.shape
            )
            self._u, self._v = Buffer(u), Buffer(v)
            self._iterate(matrix, 15)

    def _matrix(self, weight: Tensor) -> Tensor:
        rest = [i for i in range(len(weight.shape)) if i != self.dim]
        return weight.permute(self.dim, *rest).flatten(1)

    def _iterate(self, matrix: Tensor, times: int) -> None:
        with no_grad():
            for _ in range(times):
                self._u.assign_(normalize(matrix @ self._v, dim=0, eps=self.eps))
                self._v.assign_(normalize(self._u @ matrix, dim=0, eps=self.eps))

    def forward(self, weight: Tensor) -> Tensor:
        if len(weight.shape) == 1:
            return normalize(weight, dim=0, eps=self.eps)
        matrix = self._matrix(weight)
        if self.training:
            self._iterate(matrix.detach(), self.n_power_iterations)
        return weight / (self._u.detach() @ (matrix @ self._v.detach()))

    def right_inverse(self, value: Tensor) -> Tensor:
        return value


def spectral_norm(
    module: Module, name: str = "weight", n_power_iterations: int = 1, eps: float = 1e-12, dim: int | None = None
) -> Module:
    """Divide a weight by its largest singular value, estimated by power iteration; returns ``module``.

    w / (u^T W v), W the weight as a matrix with the rows of axis ``dim`` (None: 1 for transposed convolutions, else 0).
    In training every reading takes ``n_power_iterations`` steps; u and v are buffers. A vector goes over its length.
    Miyato et al., Spectral normalization for generative adversarial networks, 2018.

    >>> import autograd_core as ag
    >>> from autograd_core import nn
    >>> layer = nn.utils.parametrizations.spectral_norm(nn.Linear(20, 40))
    >>> list(layer.state_dict())[1:]
    ['parametrizations.weight.original', 'parametrizations.weight.0._u', 'parametrizations.weight.0._v']
    """
    weight = _named("spectral_norm", module, name)
    if dim is None:
        dim = 1 if isinstance(module, (ConvTranspose1d, ConvTranspose2d, ConvTranspose3d)) else 0
    return register_parametrization(module, name, _SpectralNorm(weight, n_power_iterations, dim, eps))
