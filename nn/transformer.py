"""The transformer: layers of attention and of two linear maps each, stacks of them, and encoder with decoder."""

from __future__ import annotations

import math
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import numpy as np

from autograd_core.errors import ArgumentError, ShapeError
from autograd_core.ops import creation
from autograd_core.ops.activation import gelu, relu
from autograd_core.tensor import Tensor

from . import init
from .attention import MultiheadAttention
from .container import ModuleList
from .dropout import Dropout
from .linear import Linear, check_positive
from .module import Module
from .normalization import LayerNorm

Activation = str | Callable[[Any], Any]


def _activation(layer: str, activation: Activation) -> Callable[[Any], Any]:
    named: dict[Any, Callable[[Any], Any]] = {"relu": relu, "gelu": gelu}
    if callable(activation):
        return activation
    if activation not in named:
        raise ArgumentError(f"{layer}: activation must be 'relu', 'gelu' or a function, got {activation!r}")
    return named[activation]


class _Layer(Module):
    """What layers of encoder and decoder share: self-attention, two linear maps, and how parts are put together."""

    n_norms: int

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = relu,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        *,
        device: Any = None,
        dtype: Any = None,
    ):
        layer = type(self).__name__
        check_positive(layer, d_model=d_model, nhead=nhead, dim_feedforward=dim_feedforward)
        if d_model % nhead:
            raise ArgumentError(f"{layer}: d_model={d_model} does not divide into nhead={nhead} heads")
        self.activation = _activation(layer, activation)
        self.norm_first = norm_first
        options: dict[str, Any] = {"bias": bias, "device": device, "dtype": dtype}
        self.self_attn = MultiheadAttention(d_model, nhead, dropout, batch_first=batch_first, **options)
        if self.n_norms == 3:
            self.multihead_attn = MultiheadAttention(d_model, nhead, dropout, batch_first=batch_first, **options)
        self.linear1 = Linear(d_model, dim_feedforward, **options)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, **options)
        for i in range(1, self.n_norms + 1):
            setattr(self, f"norm{i}", LayerNorm(d_model, layer_norm_eps, **options))
        for i in range(1, self.n_norms + 1):
            setattr(self, f"dropout{i}", Dropout(dropout))

    def _with(self, x: Tensor, i: int, part: Callable[[Tensor], Tensor]) -> Tensor:
        """``x`` and a part of it added, normalized before the part or after the sum by ``norm<i>``."""
        norm, dropout = getattr(self, f"norm{i}"), getattr(self, f"dropout{i}")
        if self.norm_first:
            return x + dropout(part(norm(x)))
        return norm(x + dropout(part(x)))

    def _feed_forward(self, x: Tensor) -> Tensor:
        return self.linear2(self.dropout(self.activation(self.linear1(x))))

    def _attend(self, x: Tensor, mask: Any, padding: Any, is_causal: bool) -> Tensor:
        return self.self_attn(x, x, x, padding, need_weights=False, attn_mask=mask, is_causal=is_causal)[0]


class TransformerEncoderLayer(_Layer):
    """x <- norm(x + attention(x)),  x <- norm(x + linear2(f(linear1(x)))), or with norm_first x <- x + part(norm(x)).

    src: (T, N, d_model), with batch_first (N, T, d_model), or (T, d_model). src_mask, src_key_padding_mask, is_causal:
    ``attn_mask``, ``key_padding_mask`` and ``is_causal`` of ``MultiheadAttention``. dim_feedforward: between the two
    linear maps; activation: f, "relu", "gelu" or a function; dropout: of each part, of weights, and after f. bias:
    whether linear maps and norms have one. Vaswani et al., Attention is all you need, 2017; norm_first: Xiong et al.,
    On layer normalization in the transformer architecture, 2020.

    >>> import autograd_core as ag
    >>> from autograd_core import nn
    >>> nn.TransformerEncoderLayer(d_model=8, nhead=2)(ag.ones((10, 4, 8))).shape
    (10, 4, 8)
    """

    n_norms = 2

    def forward(
        self, src: Tensor, src_mask: Any = None, src_key_padding_mask: Any = None, is_causal: bool = False
    ) -> Tensor:
        x = self._with(src, 1, lambda x: self._attend(x, src_mask, src_key_padding_mask, is_causal))
        return self._with(x, 2, self._feed_forward)


class TransformerDecoderLayer(_Layer):
    """As ``TransformerEncoderLayer``, with attention to a memory between self-attention and linear maps.

    tgt: (T, N, d_model), memory: (S, N, d_model), or as for that layer. Masks: tgt_mask (T, T), memory_mask (T, S),
    tgt_key_padding_mask (N, T), memory_key_padding_mask (N, S), as ``MultiheadAttention`` takes them.

    >>> import autograd_core as ag
    >>> from autograd_core import nn
    >>> nn.TransformerDecoderLayer(d_model=8, nhead=2)(ag.ones((20, 4, 8)), ag.ones((10, 4, 8))).shape
    (20, 4, 8)
    """

    n_norms = 3

    def forward(
        self,
        tgt: Tensor,
        memory: Tensor,
        tgt_mask: Any = None,
        memory_mask: Any = None,
        tgt_key_padding_mask: Any = None,
        memory_key_padding_mask: Any = None,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
    ) -> Tensor:
        def attend_memory(x: Tensor) -> Tensor:
            return self.multihead_attn(
                x,
                memory,
                memory,
                memory_key_padding_mask,
                need_weights=False,
                attn_mask=memory_mask,
                is_causal=memory_is_causal,
            )[0]

        x = self._with(tgt, 1, lambda x: self._attend(x, tgt_mask, tgt_key_padding_mask, tgt_is_causal))
        x = self._with(x, 2, attend_memory)
        return self._with(x, 3, self._feed_forward)


# ------------------------------------------------------------------------------------------- stacks


def _copies(layer: Module, count: int) -> ModuleList:
    check_positive("Transformer", num_layers=count)
    return ModuleList(deepcopy(layer) for _ in range(count))


class TransformerEncoder(Module):
    """``num_layers`` copies of a layer, one after the other, and ``norm`` at the end, if given.

    All copies start with the weights of ``encoder_layer``, as in PyTorch. enable_nested_tensor, mask_check: accepted
    and ignored. is_causal: as for the layer; None is False, masks being what they say.

    >>> import autograd_core as ag
    >>> from autograd_core import nn
    >>> encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2), num_layers=2)
    >>> encoder(ag.ones((10, 4, 8))).shape
    (10, 4, 8)
    """

    def __init__(
        self,
        encoder_layer: Module,
        num_layers: int,
        norm: Module | None = None,
        enable_nested_tensor: bool = True,
        mask_check: bool = True,
    ):
        self.layers = _copies(encoder_layer, num_layers)
        self.num_layers, self.norm = num_layers, norm
        self.enable_nested_tensor, self.mask_check = enable_nested_tensor, mask_check

    def forward(
        self, src: Tensor, mask: Any = None, src_key_padding_mask: Any = None, is_causal: bool | None = None
    ) -> Tensor:
        for layer in self.layers:
            src = layer(src, src_mask=mask, src_key_padding_mask=src_key_padding_mask, is_causal=bool(is_causal))
        return src if self.norm is None else self.norm(src)


class TransformerDecoder(Module):
    """``num_layers`` copies of a layer, each of which attends to the same memory; arguments as for the encoder.

    >>> import autograd_core as ag
    >>> from autograd_core import nn
    >>> decoder = nn.TransformerDecoder(nn.TransformerDecoderLayer(8, 2), num_layers=2)
    >>> decoder(ag.ones((20, 4, 8)), ag.ones((10, 4, 8))).shape
    (20, 4, 8)
    """

    def __init__(self, decoder_layer: Module, num_layers: int, norm: Module | None = None):
        self.layers = _copies(decoder_layer, num_layers)
        self.num_layers, self.norm = num_layers, norm

    def forward(
        self,
        tgt: Tensor,
        memory: Tensor,
        tgt_mask: Any = None,
        memory_mask: Any = None,
        tgt_key_padding_mask: Any = None,
        memory_key_padding_mask: Any = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Tensor:
        for layer in self.layers:
            tgt = layer(
                tgt,
                memory,
                tgt_mask=tgt_mask,
                memory_mask=memory_mask,
                tgt_key_padding_mask=tgt_key_padding_mask,
                memory_key_padding_mask=memory_key_padding_mask,
                tgt_is_causal=bool(tgt_is_causal),
                memory_is_causal=memory_is_causal,
            )
        return tgt if self.norm is None else self.norm(tgt)


class Transformer(Module):
    """Encoder and decoder: the decoder attends to what the encoder makes of ``src``.

    src: (S, N, d_model), tgt: (T, N, d_model), with batch_first N first, or without N; y: of the shape of tgt.
    custom_encoder, custom_decoder: modules to use instead. Other arguments as for the layers and stacks. Weights of
    more than one axis are Xavier uniform. ShapeError where batches or features differ.

    >>> import autograd_core as ag
    >>> from autograd_core import nn
    >>> model = nn.Transformer(d_model=8, nhead=2, num_encoder_layers=1, num_decoder_layers=1, dim_feedforward=16)
    >>> mask = nn.Transformer.generate_square_subsequent_mask(20)
    >>> model(ag.ones((10, 4, 8)), ag.ones((20, 4, 8)), tgt_mask=mask).shape
    (20, 4, 8)
    """

    def __init__(
        self,
        d_model: int = 512,
        nhead: int = 8,
        num_encoder_layers: int = 6,
        num_decoder_layers: int = 6,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = relu,
        custom_encoder: Module | None = None,
        custom_decoder: Module | None = None,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        *,
        device: Any = None,
        dtype: Any = None,
    ):
        options: dict[str, Any] = {"bias": bias, "device": device, "dtype": dtype}
        sizes = (dim_feedforward, dropout, activation, layer_norm_eps, batch_first, norm_first)
        if custom_encoder is None:
            layer: Module = TransformerEncoderLayer(d_model, nhead, *sizes, **options)
            norm = LayerNorm(d_model, layer_norm_eps, **options)
            custom_encoder = TransformerEncoder(layer, num_encoder_layers, norm)
        if custom_decoder is None:
            layer = TransformerDecoderLayer(d_model, nhead, *sizes, **options)
            norm = LayerNorm(d_model, layer_norm_eps, **options)
            custom_decoder = TransformerDecoder(layer, num_decoder_layers, norm)
        self.encoder, self.decoder = custom_encoder, custom_decoder
        self.d_model, self.nhead, self.batch_first = d_model, nhead, batch_first
        self._draw()

    def _draw(self) -> None:
        for parameter in self.parameters():
            if len(parameter.shape) > 1:
                init.xavier_uniform_(parameter)

    def forward(
        self,
        src: Tensor,
        tgt: Tensor,
        src_mask: Any = None,
        tgt_mask: Any = None,
        memory_mask: Any = None,
        src_key_padding_mask: Any = None,
        tgt_key_padding_mask: Any = None,
        memory_key_padding_mask: Any = None,
        src_is_causal: bool | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Tensor:
        n = 0 if self.batch_first else 1
        if len(src.shape) != len(tgt.shape) or (len(src.shape) == 3 and src.shape[n] != tgt.shape[n]):
            raise ShapeError(f"src {src.shape} and tgt {tgt.shape} must have one batch (axis {n})")
        if src.shape[-1] != self.d_model or tgt.shape[-1] != self.d_model:
            raise ShapeError(
                f"src {src.shape} and tgt {tgt.shape} must have d_model={self.d_model} features, their last axis"
            )
        memory = self.encoder(src, mask=src_mask, src_key_padding_mask=src_key_padding_mask, is_causal=src_is_causal)
        return self.decoder(
            tgt,
            memory,
            tgt_mask=tgt_mask,
            memory_mask=memory_mask,
            tgt_key_padding_mask=tgt_key_padding_mask,
            memory_key_padding_mask=memory_key_padding_mask,
            tgt_is_causal=tgt_is_causal,
            memory_is_causal=memory_is_causal,
        )

    @staticmethod
    def generate_square_subsequent_mask(sz: int, device: Any = None, dtype: Any = None) -> Tensor:
        """(sz, sz): 0 where a step may look, at itself and before; minus infinity behind it. With ``is_causal=True`` no
        mask is needed.

        >>> from autograd_core import nn
        >>> nn.Transformer.generate_square_subsequent_mask(2)
        tensor([[  0., -inf],
                [  0.,   0.]])
        """
        hidden = np.triu(np.full((sz, sz), -math.inf), k=1)
        return creation.asarray(hidden, dtype="float32" if dtype is None else dtype, device=device)
