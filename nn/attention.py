"""Attention of several heads as a layer."""

from __future__ import annotations

from typing import Any

from autograd_core.errors import ArgumentError
from autograd_core.ops import creation
from autograd_core.ops.dropout import check_probability
from autograd_core.ops.multi_head import multi_head_attention_forward
from autograd_core.tensor import Tensor

from . import init
from .linear import Linear, check_positive
from .module import Module
from .parameter import Parameter


class MultiheadAttention(Module):
    """Attention of several heads: y = concat(head_1, ..., head_H) W_o^T + b_o, head_h the attention of projections.

    query: (L, N, E), key: (S, N, kdim), value: (S, N, vdim), or without N; with batch_first N comes first. embed_dim:
    E, which num_heads divides (ArgumentError); kdim, vdim: E by default. attn_mask: (L, S) or (N H, L, S);
    key_padding_mask: (N, S); boolean, true where NOT to look, or numbers added to the scores. is_causal: query i sees
    keys 0 to i only, with a mask or without. add_bias_kv: one more key and value, learnt; add_zero_attn: one more of
    zeros. dropout: of weights, in training.

    Returns y, of the shape of query, and with need_weights the weights: (N, L, S), the mean over heads, or with
    average_attn_weights=False (N, H, L, S). Without them the fused operation runs, which keeps no weights. A query
    that may look at no key gets the bias of the output alone; PyTorch gives that too, but NaN with need_weights.

    in_proj_weight (or q_, k_ and v_proj_weight): Xavier uniform; biases 0, bias_k and bias_v Xavier normal; out_proj: a
    ``Linear``. Vaswani et al., Attention is all you need, 2017.

    >>> import autograd_core as ag
    >>> from autograd_core import nn
    >>> attention = nn.MultiheadAttention(8, 2, batch_first=True)
    >>> x = ag.ones((4, 5, 8))
    >>> y, weights = attention(x, x, x)
    >>> y.shape, weights.shape
    ((4, 5, 8), (4, 5, 5))
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        *,
        device: Any = None,
        dtype: Any = None,
    ):
        kdim = embed_dim if kdim is None else kdim
        vdim = embed_dim if vdim is None else vdim
        check_positive("MultiheadAttention", embed_dim=embed_dim, num_heads=num_heads, kdim=kdim, vdim=vdim)
        check_probability("MultiheadAttention", dropout)
        if embed_dim % num_heads:
            raise ArgumentError(f"MultiheadAttention: embed_dim={embed_dim} does not divide into num_heads={num_heads}")
        self.embed_dim, self.num_heads, self.head_dim = embed_dim, num_heads, embed_dim // num_heads
        self.kdim, self.vdim, self.dropout = kdim, vdim, dropout
        self.add_zero_attn, self.batch_first = add_zero_attn, batch_first

        def parameter(*shape: int) -> Parameter:
            return Parameter(creation.zeros(shape, device=device, dtype=dtype))

        together = kdim == vdim == embed_dim
        self.q_proj_weight = None if together else parameter(embed_dim, embed_dim)
        self.k_proj_weight = None if together else parameter(embed_dim, kdim)
        self.v_proj_weight = None if together else parameter(embed_dim, vdim)
        self.in_proj_weight = parameter(3 * embed_dim, embed_dim) if together else None
        self.in_proj_bias = parameter(3 * embed_dim) if bias else None
        self.bias_k = parameter(1, 1, embed_dim) if add_bias_kv else None
        self.bias_v = parameter(1, 1, embed_dim) if add_bias_kv else None
        self.out_proj = Linear(embed_dim, embed_dim, bias=bias, device=device, dtype=dtype)
        self._draw()

    def reset_parameters(self) -> None:
        """Draw all weights anew."""
        self.out_proj.reset_parameters()
        self._draw()

    def _draw(self) -> None:
        for weight in (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight, self.in_proj_weight):
            if weight is not None:
                init.xavier_uniform_(weight)
        for bias in (self.in_proj_bias, self.out_proj.bias):
            if bias is not None:
                init.zeros_(bias)
        for bias in (self.bias_k, self.bias_v):
            if bias is not None:
                init.xavier_normal_(bias)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Any = None,
        need_weights: bool = True,
        attn_mask: Any = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        return multi_head_attention_forward(
            query,
            key,
            value,
            self.embed_dim,
            self.num_heads,
            self.in_proj_weight,
            self.in_proj_bias,
            self.bias_k,
            self.bias_v,
            self.add_zero_attn,
            self.dropout,
            self.out_proj.weight,
            self.out_proj.bias,
            training=self.training,
            key_padding_mask=key_padding_mask,
            need_weights=need_weights,
            attn_mask=attn_mask,
            use_separate_proj_weight=self.in_proj_weight is None,
            q_proj_weight=self.q_proj_weight,
            k_proj_weight=self.k_proj_weight,
            v_proj_weight=self.v_proj_weight,
            average_attn_weights=average_attn_weights,
            is_causal=is_causal,
            batch_first=self.batch_first,
        )

    def extra_repr(self) -> str:
        return f"embed_dim={self.embed_dim}, num_heads={self.num_heads}, batch_first={self.batch_first}"
