"""Adaptive softmax: classes that are rare get fewer features and are looked at only where they are needed."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from autograd_core.errors import ArgumentError, ShapeError
from autograd_core.ops import creation, indexing, joining
from autograd_core.ops.embedding import checked_indices
from autograd_core.ops.selection import where
from autograd_core.tensor import Tensor

from . import functional
from .container import ModuleList, Sequential
from .linear import Linear, check_positive
from .module import Module


class AdaptiveOutput(NamedTuple):
    """The log-probability of every target, and the mean of their negatives."""

    output: Tensor
    loss: Tensor


class AdaptiveLogSoftmaxWithLoss(Module):
    """Log-softmax of many classes, ordered by frequency, in clusters: ln p(c) = ln p(cluster) + ln p(c | cluster).

    The head scores the ``cutoffs[0]`` commonest classes and one entry for each cluster [cutoffs[i], cutoffs[i+1]),
    whose own scores are made of in_features / div_value^(i+1) features. x: (N, in_features) or (in_features,);
    target: labels (N,) or () in [0, n_classes) (DataError). ``forward`` gives (output, loss), ``log_prob`` all classes.
    Only the samples of a cluster are scored in it; compiled, and inside vmap, where shapes are fixed, all are.
    Joulin et al., Efficient softmax approximation for GPUs, 2017.

    >>> import autograd_core as ag
    >>> from autograd_core import nn
    >>> layer = nn.AdaptiveLogSoftmaxWithLoss(16, 20, cutoffs=[5, 10], div_value=2.0)
    >>> layer(ag.ones((3, 16)), ag.tensor([0, 7, 19])).output.shape, layer.log_prob(ag.ones((3, 16))).shape
    ((3,), (3, 20))
    """

    def __init__(
        self,
        in_features: int,
        n_classes: int,
        cutoffs: Sequence[int],
        div_value: float = 4.0,
        head_bias: bool = False,
        *,
        device: Any = None,
        dtype: Any = None,
    ):
        layer, cutoffs = "AdaptiveLogSoftmaxWithLoss", list(cutoffs)
        check_positive(layer, in_features=in_features, n_classes=n_classes)
        bounds = [0, *cutoffs, n_classes]
        if not cutoffs or any(type(c) is not int for c in cutoffs) or any(a >= b for a, b in pairwise(bounds)):
            raise ArgumentError(
                f"{layer}: cutoffs must be ints that increase between 0 and n_classes={n_classes}, got {cutoffs}"
            )
        self.in_features, self.n_classes, self.div_value, self.head_bias = in_features, n_classes, div_value, head_bias
        self.cutoffs = [*cutoffs, n_classes]
        self.shortlist_size, self.n_clusters = cutoffs[0], len(cutoffs)
        self.head_size = self.shortlist_size + self.n_clusters
        placed = {"device": device, "dtype": dtype}
        self.head = Linear(in_features, self.head_size, head_bias, **placed)
        self.tail = ModuleList()
        for i, (first, end) in enumerate(pairwise(self.cutoffs)):
            width = int(in_features // div_value ** (i + 1))
            if not width:
                raise ArgumentError(
                    f"{layer}: in_features={in_features} over div_value={div_value} leaves cluster {i} no features"
                )
            self.tail.append(
                Sequential(Linear(in_features, width, False, **placed), Linear(width, end - first, False, **placed))
            )

    def reset_parameters(self) -> None:
        """Draw all weights anew."""
        for layer in self.modules():
            if isinstance(layer, Linear):
                layer.reset_parameters()

    def forward(self, input: Tensor, target: Tensor) -> AdaptiveOutput:
        op = "AdaptiveLogSoftmaxWithLoss"
        x, target = self._rows(input), creation.asarray(target)
        if target.shape != input.shape[:-1]:
            raise ShapeError(
                f"{op}: input of shape {input.shape} needs a target of {input.shape[:-1]}, got {target.shape}"
            )
        labels = checked_indices(op, target, self.n_classes, f"{self.n_classes} classes", x).reshape(-1)
        head = functional.log_softmax(self.head(x), 1)
        entries, inside = labels, []
        for i, (first, end) in enumerate(pairwise(self.cutoffs)):
            is_member = (labels >= first) & (labels < end)
            entries = indexing.masked_fill(entries, is_member, self.shortlist_size + i)
            inside.append((self.tail[i], is_member, labels - first))
        output = _chosen(head, entries)
        add = _add_to_members if indexing.has_values(labels) else _add_to_all
        for cluster, is_member, places in inside:
            output = add(output, cluster, x, is_member, places)
        return AdaptiveOutput(output.reshape(target.shape), -output.mean())

    def _rows(self, input: Tensor) -> Tensor:
        if len(input.shape) not in (1, 2) or input.shape[-1] != self.in_features:
            raise ShapeError(
                f"AdaptiveLogSoftmaxWithLoss: takes (N, {self.in_features}) or ({self.in_features},), got {input.shape}"
            )
        return input.reshape((-1, self.in_features))

    def log_prob(self, input: Tensor) -> Tensor:
        """The log-probability of every class: (N, n_classes)."""
        x = self._rows(input)
        head = functional.log_softmax(self.head(x), 1)
        parts = [head[:, : self.shortlist_size]]
        for i, cluster in enumerate(self.tail):
            entry = self.shortlist_size + i
            parts.append(functional.log_softmax(cluster(x), 1) + head[:, entry : entry + 1])
        return joining.concat(parts, axis=1).reshape((*input.shape[:-1], self.n_classes))

    def predict(self, input: Tensor) -> Tensor:
        """The likeliest class: (N,)."""
        return self.log_prob(input).argmax(axis=-1)


def _chosen(rows: Tensor, places: Tensor) -> Tensor:
    """The entry of each row at its place."""
    return rows.gather(1, places.unsqueeze(1)).squeeze(1)


def _add_to_members(output: Tensor, cluster: Module, x: Tensor, is_member: Tensor, places: Tensor) -> Tensor:
    """ln p(c | cluster) added where the target lies in the cluster; nothing is computed for other samples.

    A cluster without samples takes part, too: its gradients are zeros, as those of unused rows of a table are.
    """
    (members,) = indexing.nonzero(is_member)
    return output.at[members].add(_chosen(functional.log_softmax(cluster(x[members]), 1), places[members]))


def _add_to_all(output: Tensor, cluster: Module, x: Tensor, is_member: Tensor, places: Tensor) -> Tensor:
    """The same with shapes that no value decides: of all samples, and then 0 for those of other clusters."""
    own = _chosen(functional.log_softmax(cluster(x), 1), where(is_member, places, 0))
    return output + where(is_member, own, 0)
