"""Batches of trees, arranged by depth so that all nodes of one depth are computed at once.

The children of the nodes of one depth all lie one deeper. So a net that goes along trees, from the deepest nodes to the
roots, needs of each depth only the one below, and every depth is one product of matrices however the trees differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from autograd_core.errors import DataError, DTypeError

from .checks import integer
from .trees import Tree

STEP, GROWTH, DEVIATIONS = 8, 1.25, 3.0  # rows that sizes are multiples of; how sizes grow; how rarely they have to


class Forest(NamedTuple):
    """A batch of B trees as index arrays: what is computed for it depends on the arrays' shapes alone.

    Each depth has rows, those of its inner nodes first and of its leaves after them. There may be more than the trees
    have: rows of padding are computed and used by nobody.

    children: a depth each, (n, 2) int64, of its inner nodes the children's rows one deeper. tokens: (L,) int64, of the
    leaves of all depths. leaves: how many of them each depth has, one entry more than ``children``. roots: (B,) int64,
    the trees' rows at depth 0. labels: (R,) int64, of all rows, depth after depth; -1 for none.
    """

    children: tuple[Any, ...]
    tokens: Any
    leaves: tuple[int, ...]
    roots: Any
    labels: Any

    @property
    def rows(self) -> int:
        """How many nodes are computed, padding included."""
        return sum(len(inner) for inner in self.children) + sum(self.leaves)


class Sizes:
    """Sizes of the depths that most batches of some trees fit in, so that batches have few shapes.

    A step that is compiled for the shapes of a batch is then compiled once, or a few times: the first sizes are the
    mean of a batch plus three standard deviations, and those of a batch that does not fit are 1.25, 1.25^2, ... times
    as large. They depend on the trees, on ``batch_size`` and on the batch, not on the batches before it.

    >>> few = [Tree.nested(("not", "p"), {"not": 0, "p": 1}), Tree.nested("p", {"p": 1})]
    >>> forest = Sizes(few, batch_size=2).forest(few)
    >>> forest.leaves, [inner.shape for inner in forest.children]
    ((8, 8), [(8, 2)])
    """

    def __init__(self, trees: Sequence[Tree], batch_size: int):
        trees = _checked("Sizes", trees)
        integer("batch_size", batch_size, 1)
        counts = _counts(trees)  # (trees, depths, inner or leaf)
        mean, deviation = counts.mean(axis=0), counts.std(axis=0)
        self.first = batch_size * mean + DEVIATIONS * np.sqrt(batch_size) * deviation

    def forest(self, trees: Sequence[Tree]) -> Forest:
        """The trees in the smallest of these sizes that they fit in; as ``arrange`` without sizes otherwise."""
        trees = _checked("Sizes.forest", trees)
        return _arrange(trees, self._fitting(_counts(trees).sum(axis=0)))

    def _fitting(self, needed: np.ndarray) -> np.ndarray:
        deeper = max(len(needed) - len(self.first), 0)
        deeper += -deeper % STEP if deeper else 0
        needed = np.pad(needed, [(0, len(self.first) + deeper - len(needed)), (0, 0)])
        wanted = np.pad(self.first, [(0, deeper), (0, 0)])
        while (needed > (sizes := _rounded(wanted))).any():
            wanted = np.maximum(wanted, STEP) * GROWTH
        return sizes


def _rounded(wanted: np.ndarray) -> np.ndarray:
    sizes = STEP * np.maximum(np.ceil(wanted / STEP), 1).astype(np.int64)
    sizes[-1, 0] = 0  # the deepest nodes are leaves
    return sizes


def arrange(trees: Sequence[Tree]) -> Forest:
    """A batch of trees without padding.

    Raises DataError for no tree, DTypeError for what is not a Tree.

    >>> forest = arrange([Tree.nested((("a", "b"), "c"), {"a": 0, "b": 1, "c": 2})])
    >>> forest.children
    (array([[0, 1]]), array([[0, 1]]))
    >>> forest.tokens, forest.leaves, forest.roots
    (array([2, 0, 1]), (0, 1, 2), array([0]))
    """
    trees = _checked("arrange", trees)
    return _arrange(trees, _counts(trees).sum(axis=0))


def _checked(asker: str, trees: Sequence[Tree]) -> list[Tree]:
    if isinstance(trees, Tree):
        raise DTypeError(f"{asker}: takes a list of trees, got one Tree; write [tree]")
    if not hasattr(trees, "__len__"):
        raise DTypeError(f"{asker}: takes a list of trees, got a {type(trees).__name__}; write list(trees)")
    for place, tree in enumerate(trees):
        if not isinstance(tree, Tree):
            raise DTypeError(f"{asker}: item {place} is a {type(tree).__name__}; make it a Tree: Tree.nested")
    if not len(trees):
        raise DataError(f"{asker}: there is no tree; a batch has at least one")
    return list(trees)


def _counts(trees: list[Tree]) -> np.ndarray:
    """(trees, depths, 2): inner nodes and leaves."""
    of = np.repeat(np.arange(len(trees)), [len(tree) for tree in trees])
    depths = np.concatenate([tree.depths for tree in trees])
    leaf = np.concatenate([tree.children[:, 0] for tree in trees]) < 0
    shape = (len(trees), int(depths.max()) + 1, 2)
    return np.bincount(np.ravel_multi_index((of, depths, leaf), shape), minlength=np.prod(shape)).reshape(shape)


def _arrange(trees: list[Tree], sizes: np.ndarray) -> Forest:
    """sizes: (depths, 2), rows for inner nodes and for leaves."""
    lengths = np.array([len(tree) for tree in trees])
    first = np.repeat(np.cumsum(lengths) - lengths, lengths)
    children = np.concatenate([tree.children for tree in trees]) + first[:, None]
    tokens = np.concatenate([tree.tokens for tree in trees])
    labels = np.concatenate([tree.labels for tree in trees])
    leaf = np.concatenate([tree.children[:, 0] for tree in trees]) < 0
    group = 2 * np.concatenate([tree.depths for tree in trees]) + leaf  # a depth's inner nodes, its leaves, the next's
    order = np.argsort(group, kind="stable")
    counts = np.bincount(group, minlength=sizes.size)
    ends = np.cumsum(counts)
    within = np.empty(len(group), np.int64)
    within[order] = np.arange(len(group)) - (ends - counts)[group[order]]
    row = within + leaf * sizes[group // 2, 0]
    inner = []
    for depth, size in enumerate(sizes[:-1, 0]):
        nodes = order[ends[2 * depth] - counts[2 * depth] : ends[2 * depth]]
        rows = np.zeros((size, 2), np.int64)
        rows[: len(nodes)] = row[children[nodes]]
        inner.append(rows)
    starts = np.cumsum(sizes.ravel()) - sizes.ravel()
    kept = np.full(sizes.sum(), -1)
    kept[starts[group] + within] = labels
    leaves = sizes[:, 1]
    words = np.zeros(leaves.sum(), np.int64)
    words[((np.cumsum(leaves) - leaves)[group // 2] + within)[leaf]] = tokens[leaf]
    roots = row[np.cumsum(lengths) - lengths + [tree.root for tree in trees]]
    return Forest(tuple(inner), words, tuple(leaves.tolist()), roots, kept)
