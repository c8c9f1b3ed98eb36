"""Restricted Boltzmann machines, with contrastive divergence as the derivative of a difference of free energies."""

from __future__ import annotations

from typing import Any

from autograd_core import random
from autograd_core.context import no_grad
from autograd_core.errors import ArgumentError, ShapeError
from autograd_core.ops.activation import sigmoid, softplus
from autograd_core.ops.arithmetic import square
from autograd_core.ops.creation import arange, zeros
from autograd_core.ops.linear_algebra import linear, matmul
from autograd_core.ops.reductions import mean
from autograd_core.ops.reductions import sum as total
from autograd_core.ops.selection import where
from autograd_core.tensor import Tensor, Variable

from .. import init
from ..linear import check_positive
from ..module import Module
from ..parameter import Parameter

VISIBLE = ("bernoulli", "gaussian")


class RBM(Module):
    """A restricted Boltzmann machine: visible units v and binary hidden units h without connections among themselves.

    p(v, h) is proportional to exp(-E(v, h)). With weight W: (hidden, visible), visible_bias a and hidden_bias b:

    - visible="bernoulli", v of zeros and ones: E(v, h) = -a.v - b.h - h.W v
    - visible="gaussian", v real with unit variance: E(v, h) = |v - a|^2 / 2 - b.h - h.W v (standardize the data)

    The free energy F(v) = -log sum_h exp(-E(v, h)) is E's first term less sum_j softplus(b + W v)_j. Training lowers it
    at the data and raises it at what the machine dreams up, see :meth:`divergence`. Calling the machine gives
    p(h = 1 | v): it is a layer. W begins with normal numbers of standard deviation 0.01, biases with zeros.

    Sources: Smolensky, Information processing in dynamical systems, 1986; Hinton, A practical guide to training
    restricted Boltzmann machines, 2010.

    >>> import autograd_core as ag
    >>> from autograd_core.nn.models import RBM
    >>> rbm = RBM(6, 4)
    >>> v = ag.ones((3, 6))
    >>> rbm(v).shape, rbm.free_energy(v).shape, rbm.gibbs(v, steps=2).shape
    ((3, 4), (3,), (3, 6))
    >>> rbm.divergence(v).backward()
    >>> rbm.weight.grad.shape
    (4, 6)
    """

    def __init__(
        self,
        visible_units: int,
        hidden_units: int,
        *,
        visible: str = "bernoulli",
        device: Any = None,
        dtype: Any = None,
    ):
        check_positive("RBM", visible_units=visible_units, hidden_units=hidden_units)
        if visible not in VISIBLE:
            raise ArgumentError(f"RBM: visible must be 'bernoulli' or 'gaussian', got {visible!r}")
        self.visible_units, self.hidden_units, self.visible = visible_units, hidden_units, visible
        self.weight = Parameter(zeros((hidden_units, visible_units), device=device, dtype=dtype))
        self.visible_bias = Parameter(zeros(visible_units, device=device, dtype=dtype))
        self.hidden_bias = Parameter(zeros(hidden_units, device=device, dtype=dtype))
        init.normal_(self.weight, std=0.01)

    def forward(self, v: Tensor) -> Tensor:
        """p(h = 1 | v) = sigmoid(b + W v): (N, visible) -> (N, hidden)."""
        return sigmoid(linear(v, self.weight, self.hidden_bias))

    def reconstruct(self, h: Tensor) -> Tensor:
        """The mean of v given h, sigmoid(a + W^T h), for Gaussian units a + W^T h: (N, hidden) -> (N, visible)."""
        v = matmul(h, self.weight) + self.visible_bias
        return sigmoid(v) if self.visible == "bernoulli" else v

    def energy(self, v: Tensor, h: Tensor) -> Tensor:
        """E(v, h): (N, visible), (N, hidden) -> (N,)."""
        return self._visible_energy(v) - total(h * linear(v, self.weight, self.hidden_bias), axis=-1)

    def free_energy(self, v: Tensor) -> Tensor:
        """F(v) = -log sum_h exp(-E(v, h)): (N, visible) -> (N,)."""
        return self._visible_energy(v) - total(softplus(linear(v, self.weight, self.hidden_bias)), axis=-1)

    def _visible_energy(self, v: Tensor) -> Tensor:
        if v.ndim != 2 or v.shape[1] != self.visible_units:
            raise ShapeError(f"RBM: v must have the shape (N, {self.visible_units}), got {v.shape}")
        if self.visible == "bernoulli":
            return -matmul(v, self.visible_bias)
        return total(square(v - self.visible_bias), axis=-1) / 2

    def sample_hidden(self, v: Tensor) -> Tensor:
        """h drawn from p(h | v), zeros and ones: (N, visible) -> (N, hidden)."""
        return _drawn(self(v))

    def sample_visible(self, h: Tensor) -> Tensor:
        """v drawn from p(v | h): (N, hidden) -> (N, visible)."""
        v = self.reconstruct(h)
        if self.visible == "bernoulli":
            return _drawn(v)
        return v + random.normal(v.shape, dtype=v.dtype, device=v.device)

    def gibbs(self, v: Tensor, steps: int = 1) -> Tensor:
        """v after ``steps`` rounds of drawing h given v and v given h; no gradient goes through it."""
        check_positive("RBM.gibbs", steps=steps)
        with no_grad():
            for _ in range(steps):
                v = self.sample_visible(self.sample_hidden(v))
        return v.detach()

    def divergence(self, v: Tensor, steps: int = 1, chains: Variable | None = None) -> Tensor:
        """mean F(v) - mean F(v'), whose gradient is that of contrastive divergence; a 0-d tensor.

        v: (N, visible) data. v' are constants: without ``chains``, v after ``steps`` rounds of Gibbs sampling (CD-k);
        with ``chains``, a variable of shape (M, visible) such as an ``nn.Buffer``, those chains after ``steps`` more
        rounds, which they keep for the next call (persistent contrastive divergence). Values of v between 0 and 1 count
        as probabilities. The divergence itself is not a likelihood; see :meth:`pseudo_log_likelihood`.

        Sources: Hinton, Training products of experts by minimizing contrastive divergence, 2002; Tieleman, Training
        restricted Boltzmann machines using approximations to the likelihood gradient, 2008.
        """
        if chains is not None and not isinstance(chains, Variable):
            raise ArgumentError(
                f"RBM.divergence: chains must be a variable, which keeps them for the next call, got a "
                f"{type(chains).__name__}; write nn.Buffer(x)"
            )
        dreamt = self.gibbs(v if chains is None else chains.detach(), steps)
        if chains is not None:
            chains.assign_(dreamt)
        return mean(self.free_energy(v)) - mean(self.free_energy(dreamt))

    def pseudo_log_likelihood(self, v: Tensor) -> Tensor:
        """An estimate of sum_i log p(v_i | the other visible units), in nats: (N, visible) -> (N,).

        visible_units * log p(v_i | ...) for one unit i a row, chosen at random; v: zeros and ones. To watch training.
        ArgumentError for Gaussian units.
        """
        if self.visible != "bernoulli":
            raise ArgumentError("RBM.pseudo_log_likelihood is for visible='bernoulli'; look at free_energy instead")
        chosen = random.integers(0, self.visible_units, (len(v), 1), device=v.device)
        units = arange(self.visible_units, device=v.device)
        flipped = where(chosen == units, 1 - v, v)
        return -self.visible_units * softplus(self.free_energy(v) - self.free_energy(flipped))

    def extra_repr(self) -> str:
        return f"visible_units={self.visible_units}, hidden_units={self.hidden_units}, visible={self.visible!r}"


def _drawn(probabilities: Tensor) -> Tensor:
    """Zeros and ones with these probabilities of a one, of their dtype."""
    drawn = random.uniform(probabilities.shape, dtype=probabilities.dtype, device=probabilities.device)
    return (drawn < probabilities).astype(probabilities.dtype)
