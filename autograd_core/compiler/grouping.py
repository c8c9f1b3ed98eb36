"""The search for clusters: greedily, from the operands to the results, and then sideways."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

import numpy as np

from .clusters import (
    MOST_MEMBERS,
    MOST_OPERANDS,
    Cluster,
    Item,
    bases,
    domain,
    fitted,
    followed,
    operand_count,
    refined,
    root,
    split,
)
from .expression import Node
from .space import Cut, Skewed


class Grouping:
    """Clusters of items, which are given in an order in which they can run.

    required: nodes that must be in memory; alone: those that are computed in a kernel of their own.
    """

    def __init__(
        self, items: Sequence[Item], required: Collection[int], alone: Collection[int], replaced: Mapping[int, Node]
    ):
        self.items = items
        self._required = required
        self._alone = alone
        self._replaced = replaced
        self.cluster: dict[Item, Cluster] = {}
        for item in items:
            self.cluster[item] = self._single(item)
        self._ends = np.arange(len(items))  # by order: where the cluster ends that begins there
        self._horizon = self._ends  # where one ends that begins there or before

    def _single(self, item: Item) -> Cluster:
        if item.node is None:
            return Cluster([item], (), None)
        dims = tuple(n for n in domain(item.node) if n != 1)
        alone = fitted([item], dims, self._replaced) if item.node.kind == "reduce" else None
        return alone or Cluster([item], dims, None)

    def run(self) -> list[Cluster]:
        for item in self.items:
            for source in item.reads:
                self._try(source, item)
        self._sideways()
        self._numbers()
        return list(dict.fromkeys(self.cluster[item] for item in self.items))

    def _numbers(self) -> None:
        """Join clusters that compute single numbers for others: one kernel where there would be many small ones."""
        last: Item | None = None
        for item in self.items:
            if item.node is None or item.node.index not in self._required or self.cluster[item].dims:
                continue
            if last is None or not self._try(last, item):
                last = item

    def _try(self, a: Item, b: Item) -> bool:
        first, second = self.cluster[a], self.cluster[b]
        if first is second or a.node is None or b.node is None:
            return False
        joined = self._joined(first, second)
        if joined is None or self._between(first, second) or self._between(second, first):
            return False
        for item in joined.items:
            self.cluster[item] = joined
        self._ends[joined.first] = joined.last
        self._horizon = np.maximum.accumulate(self._ends)
        return True

    def _joined(self, a: Cluster, b: Cluster) -> Cluster | None:
        if len(a.items) + len(b.items) > MOST_MEMBERS:
            return None
        if any(i.node is None or i.node.index in self._alone for c in (a, b) for i in c.items[:1]):
            return None
        total_a, total_b = math.prod(a.dims), math.prod(b.dims)
        dims: tuple[int, ...] | None = a.dims if total_a > total_b else b.dims
        if total_a == total_b:
            dims = refined(a.dims, b.dims)
        if dims is None:
            return None
        items = sorted([*a.items, *b.items], key=lambda i: i.order)
        joined = fitted(items, dims, self._replaced)
        if joined is None or operand_count(joined, self._required, self._replaced) > MOST_OPERANDS:
            return None
        return joined

    def _between(self, a: Cluster, b: Cluster) -> bool:
        """Whether an item outside both must run after ``a`` and before ``b``."""
        pending = [self.cluster[r] for i in a.items for r in i.readers]
        seen, latest = {a, b}, self._latest(b.last)
        while pending:
            c = pending.pop()
            if c in seen or c.first > latest:
                continue
            seen.add(c)
            reached = {self.cluster[r] for i in c.items for r in i.readers}
            if b in reached:
                return True
            pending += reached - seen
        return False

    def _latest(self, order: int) -> int:
        """The last place from which something can lead to the item there: a cluster leads from all of its items to the
        readers of any, and so back in the order."""
        while (later := int(self._horizon[order])) > order:
            order = later
        return order

    # ------------------------------------------------------------------------------------ sideways

    def _sideways(self) -> None:
        """Join clusters that read the same array at the same points."""
        readers: dict[int, list[Item]] = {}
        arrays: dict[int, Node] = {}
        for item in self.items:
            if item.node is not None:
                for _, base in bases(item.node, self._replaced):
                    if base.size > 1 and base.kind not in ("constant", "iota"):
                        readers.setdefault(base.index, []).append(item)
                        arrays[base.index] = base
        for index, found in readers.items():
            for i, first in enumerate(found):
                for second in found[i + 1 :]:
                    if self.cluster[first] is not self.cluster[second] and self._meet(first, second, arrays[index]):
                        self._try(first, second)

    def _meet(self, a: Item, b: Item, base: Node) -> bool:
        """Whether two items of clusters of one size visit the elements of ``base`` in the same order."""
        first, second = self.cluster[a], self.cluster[b]
        if math.prod(first.dims) != math.prod(second.dims) or base.size * 4 < math.prod(first.dims):
            return False
        dims = refined(first.dims, second.dims)
        while dims is not None:
            try:
                return bool(self._places(a, base, dims) & self._places(b, base, dims))
            except Cut as cut:
                dims = split(dims, cut)
            except Skewed:
                return False
        return False

    def _places(self, item: Item, base: Node, dims: tuple[int, ...]) -> set:
        node = item.node
        if node is None or math.prod(domain(node)) != math.prod(dims):
            return set()
        at = root(domain(node), dims)
        return {
            followed(arg, found, at if arg.shape else (), dims, self._replaced)
            for arg, found in bases(node, self._replaced)
            if found is base
        }
