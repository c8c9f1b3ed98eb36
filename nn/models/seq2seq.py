"""One sequence in, another out: a recurrent encoder, its last state repeated, a recurrent decoder."""

from __future__ import annotations

from typing import Any

from autograd_core.ops import creation
from autograd_core.tensor import Tensor

from ..linear import Linear, check_positive
from ..module import Module
from .sequences import check_steps, recurrent_layer


class EncoderDecoder(Module):
    """Reads a sequence of any length with one recurrent layer, and writes one of fixed length with another.

    h = encoder(x)_T,  y_t = W decoder(h, h, ..., h)_t + b:  the decoder is given the encoder's last state at each step.

    x: (B, T, input_size), T at least 1; y: (B, output_length, output_size). cell: "lstm", "gru" or "rnn", both have
    hidden_size states. Parameters: those of ``encoder`` and ``decoder`` (recurrent layers) and ``output`` (``Linear``).
    Raises ShapeError for sequences of length zero, ArgumentError for another cell.

    Sutskever, Vinyals and Le, Sequence to sequence learning with neural networks, 2014; the state at each step of the
    decoder: Cho et al., Learning phrase representations using RNN encoder-decoder, 2014.

    >>> import autograd_core as ag
    >>> from autograd_core.nn.models import EncoderDecoder
    >>> model = EncoderDecoder(12, 16, 12, output_length=4, cell="gru")
    >>> model(ag.ones((5, 7, 12))).shape
    (5, 4, 12)
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        output_size: int,
        output_length: int,
        cell: str = "lstm",
        *,
        device: Any = None,
        dtype: Any = None,
    ):
        check_positive("EncoderDecoder", output_length=output_length)
        options = {"device": device, "dtype": dtype}
        self.output_length = output_length
        self.encoder = recurrent_layer("EncoderDecoder", cell, input_size, hidden_size, **options)
        self.decoder = recurrent_layer("EncoderDecoder", cell, hidden_size, hidden_size, **options)
        self.output = Linear(hidden_size, output_size, **options)

    def forward(self, input: Any) -> Tensor:
        x = creation.asarray(input)
        check_steps("EncoderDecoder", x.shape, "(B, T, input_size)", 3)
        last = self.encoder(x)[0][:, -1:]
        return self.output(self.decoder(last.expand(-1, self.output_length, -1))[0])
