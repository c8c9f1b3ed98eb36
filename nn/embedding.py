"""Embeddings: vectors for the entries of a vocabulary."""

from __future__ import annotations

from typing import Any

from autograd_core.errors import ArgumentError, ShapeError
from autograd_core.ops import creation
from autograd_core.ops.embedding import padding_index
from autograd_core.tensor import Tensor

from . import functional, init
from .linear import check_positive
from .module import Module
from .parameter import Parameter


class _Table(Module):
    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None,
        max_norm: float | None,
        norm_type: float,
        scale_grad_by_freq: bool,
        sparse: bool,
        device: Any,
        dtype: Any,
    ):
        layer = type(self).__name__
        check_positive(layer, num_embeddings=num_embeddings, embedding_dim=embedding_dim)
        if sparse:
            raise ArgumentError(f"{layer}: gradients are dense tensors here; write sparse=False")
        self.num_embeddings, self.embedding_dim = num_embeddings, embedding_dim
        self.padding_idx = None if padding_idx is None else padding_index(layer, padding_idx, num_embeddings)
        self.max_norm, self.norm_type, self.scale_grad_by_freq = max_norm, norm_type, scale_grad_by_freq
        self.weight = Parameter(creation.zeros((num_embeddings, embedding_dim), device=device, dtype=dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the table anew."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            self.weight.assign_(self.weight.detach().at[self.padding_idx].set(0.0))

    def _take(self, table: Tensor, freeze: bool) -> Any:
        self.weight.assign_(table)
        self.weight.requires_grad_(not freeze)
        return self

    def extra_repr(self) -> str:
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        limit = "" if self.max_norm is None else f", max_norm={self.max_norm}"
        return f"{self.num_embeddings}, {self.embedding_dim}{padding}{limit}"


def _given_table(layer: str, embeddings: Any) -> Tensor:
    table = creation.asarray(embeddings)
    if len(table.shape) != 2:
        raise ShapeError(f"{layer}.from_pretrained: takes (num_embeddings, embedding_dim), got {table.shape}")
    return table


class Embedding(_Table):
    """A table of vectors: y[..., :] = weight[x[...], :].

    x: integers in [0, num_embeddings), any shape. weight: (num_embeddings, embedding_dim), standard normal at first.
    padding_idx: a row that is 0 at first and gets no gradient. max_norm: rows that are looked up and longer (in the
    ``norm_type`` norm) are shortened to it. scale_grad_by_freq: gradients are divided by how often their row occurs.
    sparse must be False. DataError names an index outside the table.

    >>> import autograd_core as ag
    >>> from autograd_core import nn
    >>> nn.Embedding(10, 3)(ag.tensor([[1, 2, 4], [4, 3, 9]])).shape
    (2, 3, 3)
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
        *,
        device: Any = None,
        dtype: Any = None,
    ):
        super().__init__(
            num_embeddings, embedding_dim, padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse, device, dtype
        )

    @classmethod
    def from_pretrained(
        cls,
        embeddings: Tensor,
        freeze: bool = True,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
    ) -> Embedding:
        """An embedding with a given table (num_embeddings, embedding_dim), which ``freeze`` keeps from learning.

        >>> import autograd_core as ag
        >>> from autograd_core import nn
        >>> nn.Embedding.from_pretrained(ag.tensor([[1.0, 2.0], [3.0, 4.0]]))(ag.tensor([1]))
        tensor([[3., 4.]])
        """
        table = _given_table("Embedding", embeddings)
        rows, width = table.shape
        layer = cls(
            rows,
            width,
            padding_idx,
            max_norm,
            norm_type,
            scale_grad_by_freq,
            sparse,
            device=table.device,
            dtype=table.dtype,
        )
        return layer._take(table, freeze)

    def forward(self, input: Tensor) -> Tensor:
        return functional.embedding(
            input, self.weight, self.padding_idx, self.max_norm, self.norm_type, self.scale_grad_by_freq
        )


class EmbeddingBag(_Table):
    """Sums, means or maxima of rows of a table: y[b, :] = mean of weight[i, :] over the indices i in bag b.

    x: (B, L), a bag a row; or (L,) with ``offsets`` (B,), where each bag starts. y: (B, embedding_dim). mode: "mean",
    "sum", "max". Other arguments as for ``Embedding`` and ``functional.embedding_bag``.

    >>> import autograd_core as ag
    >>> from autograd_core import nn
    >>> nn.EmbeddingBag(10, 3, mode="sum")(ag.tensor([1, 2, 4, 5, 4]), ag.tensor([0, 4])).shape
    (2, 3)
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
        *,
        device: Any = None,
        dtype: Any = None,
    ):
        if mode not in ("sum", "mean", "max"):
            raise ArgumentError(f"EmbeddingBag: mode must be 'sum', 'mean' or 'max', got {mode!r}")
        super().__init__(
            num_embeddings, embedding_dim, padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse, device, dtype
        )
        self.mode, self.include_last_offset = mode, include_last_offset

    @classmethod
    def from_pretrained(
        cls,
        embeddings: Tensor,
        freeze: bool = True,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
    ) -> EmbeddingBag:
        """An embedding bag with a given table (num_embeddings, embedding_dim); ``freeze`` keeps it from learning."""
        table = _given_table("EmbeddingBag", embeddings)
        rows, width = table.shape
        layer = cls(
            rows,
            width,
            max_norm,
            norm_type,
            scale_grad_by_freq,
            mode,
            sparse,
            include_last_offset,
            padding_idx,
            device=table.device,
            dtype=table.dtype,
        )
        return layer._take(table, freeze)

    def forward(self, input: Tensor, offsets: Any = None, per_sample_weights: Any = None) -> Tensor:
        return functional.embedding_bag(
            input,
            self.weight,
            offsets,
            self.max_norm,
            self.norm_type,
            self.scale_grad_by_freq,
            self.mode,
            False,
            per_sample_weights,
            self.include_last_offset,
            self.padding_idx,
        )

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, mode={self.mode!r}"
