"""The variational autoencoder."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from autograd_core import random
from autograd_core.ops.activation import relu, sigmoid, softplus
from autograd_core.ops.arithmetic import square
from autograd_core.ops.exponential import exp
from autograd_core.ops.reductions import logsumexp, mean
from autograd_core.ops.reductions import sum as total
from autograd_core.tensor import Tensor

from ..container import ModuleList
from ..linear import Linear, check_positive
from ..module import Module
from .sizes import layer_sizes


class VariationalAutoencoder(Module):
    """A latent variable model p(z) p(x | z) of binary data, learnt together with an encoder q(z | x).

    p(z) = N(0, I); p(x | z) has independent bits x_i with logits decode(z)_i; q(z | x) = N(m, diag(s^2)) with
    (m, log s^2) = encode(x). :meth:`elbo` is a lower bound on log p(x), made differentiable by z = m + s * noise.

    x: (N, sizes[0]) zeros and ones; z: (N, latent). ``sizes``: features of x and of the encoder's hidden layers, ReLU
    between; the decoder is their mirror image.

    Source: Kingma and Welling, Auto-encoding variational Bayes, 2014.

    >>> import autograd_core as ag
    >>> from autograd_core.nn.models import VariationalAutoencoder
    >>> model = VariationalAutoencoder((784, 100), latent=20)
    >>> model.elbo(ag.ones((5, 784))).shape, model.sample(3).shape
    ((5,), (3, 784))
    """

    def __init__(self, sizes: Sequence[int], *, latent: int, device: Any = None, dtype: Any = None):
        check_positive("VariationalAutoencoder", latent=latent)
        self.sizes = layer_sizes("VariationalAutoencoder", sizes, "data and hidden layers, as in (784, 400)")
        self.latent = latent
        up, down = (*self.sizes, 2 * latent), (latent, *reversed(self.sizes))
        self.encoder = _stack(up, device, dtype)
        self.decoder = _stack(down, device, dtype)

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """m and log s^2 of q(z | x): (N, sizes[0]) -> (N, latent), (N, latent)."""
        both = _through(self.encoder, x)
        return both[:, : self.latent], both[:, self.latent :]

    def decode(self, z: Tensor) -> Tensor:
        """The logits of p(x | z): (N, latent) -> (N, sizes[0])."""
        return _through(self.decoder, z)

    def forward(self, x: Tensor) -> Tensor:
        """The means of p(x | z = m(x)): (N, sizes[0]) -> (N, sizes[0])."""
        return sigmoid(self.decode(self.encode(x)[0]))

    def elbo(self, x: Tensor, samples: int = 1) -> Tensor:
        """E_q log p(x | z) - KL(q(z | x) | p(z)), in nats: (N, sizes[0]) -> (N,).

        The expectation is the mean over ``samples`` draws of z; the divergence is in closed form, see :meth:`kl`.
        """
        check_positive("VariationalAutoencoder.elbo", samples=samples)
        m, log_variance = self.encode(x)
        z = m + exp(log_variance / 2) * _noise(samples, m)
        return mean(self._likelihood(x, z), axis=0) - self.kl(m, log_variance)

    def log_likelihood(self, x: Tensor, samples: int = 100) -> Tensor:
        """An estimate of log p(x) by importance sampling, in nats: (N, sizes[0]) -> (N,).

        log of the mean of p(x | z) p(z) / q(z | x) over ``samples`` draws of z from q; on average a lower bound that is
        closer the more samples. Source: Burda, Grosse and Salakhutdinov, Importance weighted autoencoders, 2016.
        """
        check_positive("VariationalAutoencoder.log_likelihood", samples=samples)
        m, log_variance = self.encode(x)
        noise = _noise(samples, m)
        z = m + exp(log_variance / 2) * noise
        ratio = total(square(noise) - square(z) + log_variance, axis=-1) / 2
        return logsumexp(self._likelihood(x, z) + ratio, axis=0) - math.log(samples)

    def _likelihood(self, x: Tensor, z: Tensor) -> Tensor:
        """log p(x | z): (N, sizes[0]), (samples, N, latent) -> (samples, N)."""
        logits = self.decode(z.reshape((-1, self.latent))).reshape((len(z), *x.shape))
        return total(x * logits - softplus(logits), axis=-1)  # of a bit x: x l - log(1 + e^l)

    @staticmethod
    def kl(m: Tensor, log_variance: Tensor) -> Tensor:
        """KL(N(m, s^2) | N(0, I)) = sum (m^2 + s^2 - log s^2 - 1) / 2, in nats: (N, latent), (N, latent) -> (N,)."""
        return total(square(m) + exp(log_variance) - log_variance - 1, axis=-1) / 2

    def sample(self, count: int) -> Tensor:
        """The means of p(x | z) for z drawn from N(0, I): (count, sizes[0])."""
        check_positive("VariationalAutoencoder.sample", count=count)
        bias = self.decoder[0].bias
        return sigmoid(self.decode(random.normal((count, self.latent), dtype=bias.dtype, device=bias.device)))

    def extra_repr(self) -> str:
        return f"sizes={self.sizes}, latent={self.latent}"


def _noise(samples: int, like: Tensor) -> Tensor:
    return random.normal((samples, *like.shape), dtype=like.dtype, device=like.device)


def _stack(sizes: Sequence[int], device: Any, dtype: Any) -> ModuleList:
    return ModuleList([Linear(a, b, device=device, dtype=dtype) for a, b in pairwise(sizes)])


def _through(layers: ModuleList, x: Tensor) -> Tensor:
    *hidden, last = layers
    for layer in hidden:
        x = relu(layer(x))
    return last(x)
