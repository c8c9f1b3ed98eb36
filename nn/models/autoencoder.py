"""Autoencoders: plain, with tied weights, denoising, and the contractive penalty."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Any

from autograd_core import random
from autograd_core.errors import ArgumentError, ShapeError
from autograd_core.ops.arithmetic import square
from autograd_core.ops.creation import eye
from autograd_core.ops.dropout import check_probability
from autograd_core.ops.linear_algebra import linear
from autograd_core.ops.reductions import sum as total
from autograd_core.ops.shaping import broadcast_to, expand_dims
from autograd_core.tensor import Tensor
from autograd_core.transforms import vjp, vmap

from ..activation import Sigmoid
from ..container import ModuleList, ParameterList
from ..linear import Linear, check_positive
from ..module import Module
from .sizes import layer_sizes, made


class Autoencoder(Module):
    """A stack of layers to a narrow code and back: y = decode(encode(x)).

    With n = len(sizes) - 1 and activation s: encode is h_0 = x, h_i = s(W_i h_(i-1) + b_i) for i < n and the code
    h_n = W_n h_(n-1) + b_n; decode is the mirror image, with s after every layer but the last, whose output goes
    through ``output``.

    x, y: (N, sizes[0]); code: (N, sizes[-1]). ``sizes``: features of input, hidden layers and code.
    ``activation``: makes the activation of the hidden layers, ``code_activation`` that of the code (None: none),
    ``output`` that of the output (None: none). ``tied``: the decoder's weights are the transposes of the encoder's; it
    has biases of its own. ``corruption``: in training mode each input is zero with this probability, and the network
    learns to give it back (a denoising autoencoder).

    Sources: Hinton and Salakhutdinov, Reducing the dimensionality of data with neural networks, 2006; Vincent et al.,
    Extracting and composing robust features with denoising autoencoders, 2008.

    >>> import autograd_core as ag
    >>> from autograd_core.nn.models import Autoencoder
    >>> model = Autoencoder((784, 100, 30), tied=True)
    >>> images = ag.ones((5, 784))
    >>> model.encode(images).shape, model(images).shape
    ((5, 30), (5, 784))
    """

    def __init__(
        self,
        sizes: Sequence[int],
        *,
        activation: Callable[[], Module] = Sigmoid,
        code_activation: Callable[[], Module] | None = None,
        output: Callable[[], Module] | None = Sigmoid,
        tied: bool = False,
        corruption: float = 0.0,
        device: Any = None,
        dtype: Any = None,
    ):
        self.sizes = layer_sizes("Autoencoder", sizes, "input and code, as in (784, 100, 30)")
        check_probability("Autoencoder", corruption)
        self.corruption, self.tied = corruption, tied
        pairs = list(pairwise(self.sizes))
        self.encoder = ModuleList([Linear(a, b, device=device, dtype=dtype) for a, b in pairs])
        back: list[Any] = [Linear(b, a, device=device, dtype=dtype) for a, b in reversed(pairs)]
        self.decoder: Any = ParameterList([layer.bias for layer in back]) if tied else ModuleList(back)
        self.activation = made("Autoencoder", "activation", activation)
        self.code_activation = (
            None if code_activation is None else made("Autoencoder", "code_activation", code_activation)
        )
        self.output = None if output is None else made("Autoencoder", "output", output)

    def forward(self, input: Tensor) -> Tensor:
        if self.training and self.corruption:
            input = input * random.bernoulli(1 - self.corruption, input.shape, device=input.device)
        return self.decode(self.encode(input))

    def encode(self, input: Tensor) -> Tensor:
        """The codes of inputs: (N, sizes[0]) -> (N, sizes[-1])."""
        return self._through(input, self._pairs(self.encoder), self.code_activation)

    def decode(self, code: Tensor) -> Tensor:
        """The reconstructions that belong to codes: (N, sizes[-1]) -> (N, sizes[0])."""
        if not self.tied:
            return self._through(code, self._pairs(self.decoder), self.output)
        weights = [weight.T for weight, _ in reversed(self._pairs(self.encoder))]
        return self._through(code, list(zip(weights, self.decoder, strict=True)), self.output)

    @staticmethod
    def _pairs(layers: Iterable[Any]) -> list[tuple[Tensor, Tensor]]:
        return [(layer.weight, layer.bias) for layer in layers]

    def _through(self, x: Tensor, layers: list[tuple[Tensor, Tensor]], last: Module | None) -> Tensor:
        for weight, bias in layers[:-1]:
            x = self.activation(linear(x, weight, bias))
        x = linear(x, *layers[-1])
        return x if last is None else last(x)

    def extra_repr(self) -> str:
        return f"sizes={self.sizes}, tied={self.tied}, corruption={self.corruption}"


def jacobian_penalty(function: Callable[[Tensor], Tensor], input: Tensor, *, projections: int | None = None) -> Tensor:
    """The mean over rows of the squared Frobenius norm of the Jacobian, for a contractive autoencoder's encoder.

    (1 / N) sum_n |J_n|_F^2, J_n = d y_n / d x_n, y = function(x), where y_n depends on x_n alone. Differentiable: the
    gradient of a loss with it goes through the backward pass of ``function``.

    input x: (N, ...); y: (N, K). A 0-d tensor. By default exact, from K backward passes in one batch.
    ``projections``: instead an unbiased estimate from that many: E |J^T v|^2 = |J|_F^2 for standard normal v.
    ShapeError unless y is (N, K).

    Sources: Rifai et al., Contractive auto-encoders: explicit invariance during feature extraction, 2011; Hoffman,
    Roberts and Yaida, Robust learning with Jacobian regularization, 2019.

    >>> import autograd_core as ag
    >>> float(jacobian_penalty(lambda x: x * x, ag.tensor([[1.0, 2.0]])))
    20.0
    """
    if not callable(function):
        raise ArgumentError(f"jacobian_penalty: function must be one, such as model.encode, got {function!r:.80}")
    if projections is not None:
        check_positive("jacobian_penalty", projections=projections)
    output, pullback = vjp(function, input)
    if output.ndim != 2 or input.ndim == 0 or len(output) != len(input):
        raise ShapeError(
            f"jacobian_penalty: the function must map {input.shape} to (N, K) with the same N, it gave {output.shape}"
        )
    rows, width = output.shape
    if projections is None:
        basis = eye(width, dtype=output.dtype, device=output.device)
        directions = broadcast_to(expand_dims(basis, axis=1), (width, rows, width))
    else:
        directions = random.normal((projections, rows, width), dtype=output.dtype, device=output.device)
    (rows_of_jacobian,) = vmap(pullback)(directions)
    return total(square(rows_of_jacobian)) / (rows if projections is None else rows * projections)
