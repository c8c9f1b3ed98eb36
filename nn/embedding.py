"""Embeddings: vectors for the entries of a vocabulary."""

from __future__ import annotations

from typing import Any

from autograd_core.errors import ShapeError
from autograd_core.ops import creation
from autograd_core.tensor import Tensor

from . import functional, init
from .linear import check_positive
from .module import Module
from .parameter import Parameter


class Embedding(Module):
    """A table of vectors: y[..., :] = weight[x[...], :].

    x: integers in [0, num_embeddings), any shape. weight: (num_embeddings, embedding_dim), standard normal at first.
    padding_idx: a row that is 0 at first and gets no gradient. DataError names an index outside the table.

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
        *,
        device: Any = None,
        dtype: Any = None,
    ):
        check_positive("Embedding", num_embeddings=num_embeddings, embedding_dim=embedding_dim)
        self.num_embeddings, self.embedding_dim = num_embeddings, embedding_dim
        self.padding_idx = padding_idx
        if padding_idx is not None:
            self.padding_idx = functional.padding_index("Embedding", padding_idx, num_embeddings)
        self.weight = Parameter(creation.zeros((num_embeddings, embedding_dim), device=device, dtype=dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the table anew."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            self.weight.assign_(self.weight.detach().at[self.padding_idx].set(0.0))

    @classmethod
    def from_pretrained(cls, embeddings: Tensor, freeze: bool = True, padding_idx: int | None = None) -> Embedding:
        """An embedding with a given table (num_embeddings, embedding_dim), which ``freeze`` keeps from learning.

        >>> import autograd_core as ag
        >>> from autograd_core import nn
        >>> nn.Embedding.from_pretrained(ag.tensor([[1.0, 2.0], [3.0, 4.0]]))(ag.tensor([1]))
        tensor([[3., 4.]])
        """
        table = creation.asarray(embeddings)
        if len(table.shape) != 2:
            raise ShapeError(f"Embedding.from_pretrained: takes (num_embeddings, embedding_dim), got {table.shape}")
        rows, width = table.shape
        layer = cls(rows, width, padding_idx, device=table.device, dtype=table.dtype)
        layer.weight.assign_(table)
        layer.weight.requires_grad_(not freeze)
        return layer

    def forward(self, input: Tensor) -> Tensor:
        return functional.embedding(input, self.weight, self.padding_idx)

    def extra_repr(self) -> str:
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{self.num_embeddings}, {self.embedding_dim}{padding}"
