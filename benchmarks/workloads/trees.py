"""A network along trees: another graph at every step."""

from __future__ import annotations

from itertools import cycle
from typing import Any

import numpy as np

from .workload import Arrays, Draw, Workload, product_flops

# An inner node is its two children, a leaf its number.
Tree = int | tuple["Tree", "Tree"]


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
        self.trees = cycle([_random_tree(rng, 0, self.leaves_of_tree) for _ in range(50)])

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


def _random_tree(rng: np.random.Generator, first: int, last: int) -> Tree:
    """Over the leaves from ``first`` to before ``last``, split anywhere."""
    if last - first == 1:
        return first
    middle = int(rng.integers(first + 1, last))
    return _random_tree(rng, first, middle), _random_tree(rng, middle, last)
