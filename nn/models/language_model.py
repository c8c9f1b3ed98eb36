"""A recurrent language model: what comes next, from a state that can be carried on."""

from __future__ import annotations

from typing import Any

from autograd_core.context import no_grad
from autograd_core.errors import ArgumentError
from autograd_core.ops import creation
from autograd_core.ops.joining import concat
from autograd_core.tensor import Tensor

from ..embedding import Embedding
from ..linear import Linear
from ..module import Module
from .sequences import check_generation, drawn, recurrent_layer, symbols

State = tuple[Tensor, ...]


class RecurrentLanguageModel(Module):
    """Scores of the next symbol at every step: W r_t + b, r the states of a recurrent net over embedded symbols.

    input: (B, T) whole numbers below ``vocabulary``, T at least 1. Returns scores (B, T, vocabulary), whose softmax is
    p(symbol t + 1 | symbols up to t), and the state after the last step: a tuple, (h, c) for "lstm" and (h,) for "gru"
    and "rnn", each (layers, B, hidden). Given as ``state`` to the next call, it carries on; by default zeros. Detached
    in between (``tuple(s.detach() for s in state)``), that is truncated backpropagation through time.

    Parameters: ``embedding`` (``Embedding``), ``recurrent`` (LSTM, GRU or RNN), ``output`` (``Linear``). dropout:
    between layers, in training. Raises ShapeError for sequences of length zero, ArgumentError for another cell.
    Mikolov et al., Recurrent neural network based language model, 2010; characters: Graves, Generating sequences with
    recurrent neural networks, 2013.

    >>> import autograd_core as ag
    >>> from autograd_core.nn.models import RecurrentLanguageModel
    >>> model = RecurrentLanguageModel(vocabulary=50, embedding=8, hidden=16, cell="lstm")
    >>> scores, state = model(ag.zeros((4, 10), dtype=ag.int64))
    >>> scores.shape, [s.shape for s in state]
    ((4, 10, 50), [(1, 4, 16), (1, 4, 16)])
    >>> model.generate(ag.zeros((1, 3), dtype=ag.int64), length=5).shape
    (1, 5)
    """

    def __init__(
        self,
        vocabulary: int,
        embedding: int,
        hidden: int,
        layers: int = 1,
        cell: str = "lstm",
        dropout: float = 0.0,
        *,
        device: Any = None,
        dtype: Any = None,
    ):
        options = {"device": device, "dtype": dtype}
        self.embedding = Embedding(vocabulary, embedding, **options)
        self.recurrent = recurrent_layer(
            "RecurrentLanguageModel", cell, embedding, hidden, layers, dropout=dropout, **options
        )
        self.output = Linear(hidden, vocabulary, **options)
        self.parts = 2 if cell == "lstm" else 1

    def initial_state(self, batch: int) -> State:
        """Zeros, for so many sequences."""
        weight = self.embedding.weight
        shape = (self.recurrent.num_layers, batch, self.recurrent.hidden_size)
        return tuple(creation.zeros(shape, dtype=weight.dtype, device=weight.device) for _ in range(self.parts))

    def forward(self, input: Any, state: State | None = None) -> tuple[Tensor, State]:
        x = symbols("RecurrentLanguageModel", input, self.embedding.weight.device)
        if state is not None and (not isinstance(state, tuple | list) or len(state) != self.parts):
            found = f"{len(state)} parts" if isinstance(state, tuple | list) else f"a {type(state).__name__}"
            raise ArgumentError(
                f"RecurrentLanguageModel: state must be a tuple of {self.parts}, as this model returns it, got {found}"
            )
        given: Any = state if state is None or self.parts == 2 else state[0]
        r, last = self.recurrent(self.embedding(x), given)
        return self.output(r), last if self.parts == 2 else (last,)

    def generate(self, prompt: Any, length: int, temperature: float = 1.0) -> Tensor:
        """Symbols that go on where ``prompt`` ends, each drawn with p = softmax(scores / temperature).

        prompt: (B, T), T at least 1; the result: (B, length), int64. temperature: below 1 the likely become likelier;
        0 takes the likeliest. Draws from ``ag.random``.
        """
        check_generation(length, temperature)
        made: list[Tensor] = []
        with no_grad():
            scores, state = self(prompt)
            for _ in range(length):
                made.append(drawn(scores[:, -1], temperature))
                scores, state = self(made[-1], state)
            return (
                concat(made, axis=1) if made else creation.zeros((len(scores), 0), dtype="int64", device=scores.device)
            )
