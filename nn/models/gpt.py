"""A transformer that predicts the next symbol."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from autograd_core.context import no_grad
from autograd_core.errors import ShapeError
from autograd_core.ops import creation
from autograd_core.ops.joining import concat
from autograd_core.ops.linear_algebra import linear
from autograd_core.tensor import Tensor

from .. import init
from ..container import ModuleList
from ..dropout import Dropout
from ..embedding import Embedding
from ..linear import Linear, check_positive
from ..module import Module
from ..normalization import LayerNorm
from ..transformer import TransformerEncoderLayer
from .sequences import check_generation, drawn, symbols


class GPT(Module):
    """A generative transformer: scores of the next symbol at every step, each step seeing itself and those before.

    x = token(input) + position,  x <- x + attention(norm(x)),  x <- x + linear2(gelu(linear1(norm(x)))) in ``layers``
    layers,  scores = norm(x) W^T.

    input: (B, T) whole numbers below ``vocabulary``, T from 1 to ``context``; scores: (B, T, vocabulary), whose softmax
    is p(symbol t + 1 | symbols up to t). width: features of x, which ``heads`` divides; 4 width lie between the linear
    maps. dropout: of embeddings, weights of attention and parts, in training. tied: W is the table of embeddings, else
    a map of its own without bias.

    Matrices begin Xavier normal, those that write into x (``out_proj``, ``linear2``) divided by sqrt(2 layers), biases
    with zeros; embeddings with normal numbers of standard deviation 1/sqrt(width). Positions are learnt, and begin as
    sinusoids of that size: the same distance looks alike everywhere, and a small net is spared learning that first.
    Raises ShapeError for sequences of length zero or longer than ``context``.

    Radford et al., Improving language understanding by generative pre-training, 2018; parts that write into x:
    Radford et al., Language models are unsupervised multitask learners, 2019; sinusoids: Vaswani et al., Attention is
    all you need, 2017; tied: Press and Wolf, Using the output embedding to improve language models, 2017.

    >>> import autograd_core as ag
    >>> from autograd_core.nn.models import GPT
    >>> model = GPT(vocabulary=50, context=16, width=32, heads=4, layers=2)
    >>> model(ag.zeros((4, 10), dtype=ag.int64)).shape
    (4, 10, 50)
    >>> model.generate(ag.zeros((1, 3), dtype=ag.int64), length=20).shape
    (1, 20)
    """

    def __init__(
        self,
        vocabulary: int,
        context: int,
        width: int,
        heads: int,
        layers: int,
        dropout: float = 0.0,
        tied: bool = True,
        *,
        device: Any = None,
        dtype: Any = None,
    ):
        check_positive("GPT", context=context, width=width, layers=layers)
        options: dict[str, Any] = {"device": device, "dtype": dtype}
        sizes = (width, heads, 4 * width, dropout, "gelu")
        self.context, self.tied = context, tied
        self.token = Embedding(vocabulary, width, **options)
        self.position = Embedding(context, width, **options)
        self.dropout = Dropout(dropout)
        self.layers = ModuleList(
            TransformerEncoderLayer(*sizes, batch_first=True, norm_first=True, **options) for _ in range(layers)
        )
        self.norm = LayerNorm(width, **options)
        self.output = None if tied else Linear(width, vocabulary, bias=False, **options)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all weights anew."""
        width = self.token.weight.shape[1]
        for name, parameter in self.named_parameters():
            if name.endswith("bias"):
                init.zeros_(parameter)
            elif len(parameter.shape) == 1:
                init.ones_(parameter)
            elif parameter is self.token.weight:
                init.normal_(parameter, std=width**-0.5)
            elif parameter is self.position.weight:
                start = creation.asarray(sinusoids(*parameter.shape), device=parameter.device)
                parameter.assign_(start.astype(parameter.dtype))
            else:
                into = name.endswith(("out_proj.weight", "linear2.weight"))
                init.xavier_normal_(parameter, gain=(2 * len(self.layers)) ** -0.5 if into else 1.0)

    def forward(self, input: Any) -> Tensor:
        symbol = symbols("GPT", input, self.token.weight.device)
        steps = symbol.shape[1]
        if steps > self.context:
            raise ShapeError(
                f"GPT: {steps} steps, but context={self.context} positions were learnt: give the last {self.context} "
                "steps, or make the model with a longer context"
            )
        x = self.dropout(self.token(symbol) + self.position.weight[:steps])
        for layer in self.layers:
            x = layer(x, is_causal=True)
        x = self.norm(x)
        return linear(x, self.token.weight) if self.output is None else self.output(x)

    def generate(self, prompt: Any, length: int, temperature: float = 1.0) -> Tensor:
        """Symbols that go on where ``prompt`` ends, each drawn with p = softmax(scores / temperature).

        prompt: (B, T), T at least 1, of which the last ``context`` count; the result: (B, length), int64. temperature:
        below 1 the likely become likelier; 0 takes the likeliest. Draws from ``ag.random``.
        """
        check_generation(length, temperature)
        with no_grad():
            sequence = symbols("GPT", prompt, self.token.weight.device)
            start = sequence.shape[1]
            for _ in range(length):
                following = drawn(self(sequence[:, -self.context :])[:, -1], temperature)
                sequence = concat([sequence, following.astype(sequence.dtype)], axis=1)
            return sequence[:, start:].astype("int64")


def sinusoids(steps: int, width: int) -> np.ndarray:
    """(steps, width): sines and cosines in turn, wave lengths from 2 pi to 20000 pi; of a mean square 1/width."""
    angles = np.arange(steps)[:, None] * 10000.0 ** (-np.arange(0, width, 2) / width)
    both = np.stack([np.sin(angles), np.cos(angles)], axis=-1).reshape(steps, -1)[:, :width]
    return both * math.sqrt(2 / width)
