"""Networks along trees, other trees at every step: node by node, and all nodes of a depth at once."""

from __future__ import annotations

from itertools import cycle
from typing import Any

import numpy as np

from .workload import Arrays, Draw, Workload, product_flops

# An inner node is its two children, a leaf its number.
Tree = int | tuple["Tree", "Tree"]
STEPS = 50  # steps before trees come again


class RecursiveTree(Workload):
    """tanh(W [left, right]) from 64 leaves to the root of a random binary tree (Socher et al., 2011)."""

    name = "recursive_tree_64leaves_d64"
    sizes = {"leaves_of_tree": 64}
    quick_sizes = {"leaves_of_tree": 8}
    new_graph_every_step = True
    leaves_of_tree: int

    def __init__(self, quick: bool = False):
        super().__init__(quick)
        rng = np.random.default_rng(0)
        self.cell: Any = None  # of one model: a row is built for one contender
        self.trees = cycle([_random_tree(rng, 0, self.leaves_of_tree) for _ in range(STEPS)])

    def data(self, draw: Draw) -> Arrays:
        return {"leaves": draw.normal(self.leaves_of_tree, 64)}

    def parameters(self, draw: Draw) -> Arrays:
        return {name.removeprefix("map."): array for name, array in draw.linear("map", 128, 64).items()}

    def model(self, lib: Any) -> Any:
        return lib.nn.Linear(128, 64)

    def loss(self, lib: Any, model: Any, data: dict[str, Any]) -> Any:
        leaves = data["leaves"]
        if self.cell is None:
            self.cell = lambda left, right: lib.tanh(model(lib.concat([left, right])))
            if self.around is not None:
                self.cell = self.around(self.cell)

        def value(tree: Tree) -> Any:
            if isinstance(tree, int):
                return leaves[tree]
            left, right = tree
            return self.cell(value(left), value(right))

        return lib.square(value(next(self.trees))).sum()

    def flops(self) -> int:
        """As if every inner node passed a gradient on; those right above two leaves do not."""
        return (self.leaves_of_tree - 1) * product_flops(1, 128, 64)


class TreesByDepth(Workload):
    """The same network along 16 trees at a time, the nodes of a depth at once: trees are arrays, and shapes stay.

    Batches are padded with nodes that nobody uses, to the largest number of nodes that a depth has in any of them.
    """

    name = "trees_by_depth_64leaves_d64_b16"
    sizes = {"batch": 16, "leaves_of_tree": 64}
    quick_sizes = {"batch": 2, "leaves_of_tree": 8}
    batch: int
    leaves_of_tree: int

    def data(self, draw: Draw) -> Arrays:
        return {"leaves": draw.normal(self.batch * self.leaves_of_tree, 64)}

    def batches(self) -> list[Arrays]:
        rng = np.random.default_rng(0)
        firsts = range(0, self.batch * self.leaves_of_tree, self.leaves_of_tree)
        forests = [
            _by_depth([_random_tree(rng, first, first + self.leaves_of_tree) for first in firsts]) for _ in range(STEPS)
        ]
        depths = max(map(len, forests))
        forests = [forest + [([], [])] * (depths - len(forest)) for forest in forests]
        wide = [[max(len(forest[d][kind]) for forest in forests) for kind in (0, 1)] for d in range(depths)]
        return [_padded(forest, wide) for forest in forests]

    def parameters(self, draw: Draw) -> Arrays:
        return {name.removeprefix("map."): array for name, array in draw.linear("map", 128, 64).items()}

    def model(self, lib: Any) -> Any:
        return lib.nn.Linear(128, 64)

    def loss(self, lib: Any, model: Any, data: dict[str, Any]) -> Any:
        take = lib.nn.functional.embedding
        states: Any = None
        for depth in reversed(range(sum(name.startswith("leaves ") for name in data))):
            leaves, children = take(data[f"leaves {depth}"], data["leaves"]), data[f"children {depth}"]
            if states is None:  # the deepest nodes are leaves
                states = leaves
                continue
            nodes = lib.tanh(model(take(children, states).reshape((-1, 128))))
            states = lib.concat([nodes, leaves])
        return lib.square(states).sum()  # of the roots: each of these trees has two leaves or more

    def flops(self) -> int:
        """Of the trees' nodes, without padding; as if every inner node passed a gradient on."""
        return self.batch * (self.leaves_of_tree - 1) * product_flops(1, 128, 64)


def _by_depth(trees: list[Tree]) -> list[tuple[list[tuple[Tree, Tree]], list[int]]]:
    """The inner nodes and the leaves of each depth, from the roots down; children stand in their parents' order."""
    found = []
    while trees:
        inner = [tree for tree in trees if not isinstance(tree, int)]
        found.append((inner, [tree for tree in trees if isinstance(tree, int)]))
        trees = [child for parent in inner for child in parent]
    return found


def _padded(forest: list[tuple[list[tuple[Tree, Tree]], list[int]]], wide: list[list[int]]) -> Arrays:
    """``leaves d``: which vectors the leaves of depth d have; ``children d``: (inner nodes, 2), rows one depth deeper.

    A depth's rows are its inner nodes, then its leaves. Padding is row 0.
    """
    arrays: Arrays = {}
    for depth, ((inner, leaves), (most_inner, most_leaves)) in enumerate(zip(forest, wide, strict=True)):
        arrays[f"leaves {depth}"] = np.zeros(most_leaves, np.int64)
        arrays[f"leaves {depth}"][: len(leaves)] = leaves
        children = arrays[f"children {depth}"] = np.zeros((most_inner, 2), np.int64)
        below = [child for parent in inner for child in parent]
        is_leaf = np.array([isinstance(child, int) for child in below], bool)
        first_leaf = wide[depth + 1][0] if below else 0
        rows = np.where(is_leaf, first_leaf + np.cumsum(is_leaf) - 1, np.cumsum(~is_leaf) - 1)
        children[: len(inner)] = rows.reshape(-1, 2)
    return arrays


def _random_tree(rng: np.random.Generator, first: int, last: int) -> Tree:
    """Over the leaves from ``first`` to before ``last``, split anywhere."""
    if last - first == 1:
        return first
    middle = int(rng.integers(first + 1, last))
    return _random_tree(rng, first, middle), _random_tree(rng, middle, last)
