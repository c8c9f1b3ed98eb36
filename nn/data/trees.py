"""Binary trees, from arrays or from nested tuples, and data sets of them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from autograd_core.errors import DataError, DTypeError, ShapeError

from .checks import integer, positions

Label = Callable[[Any], int | None]


class Tree:
    """A binary tree with a token at each leaf and, where one is given, a label at a node.

    children: (N, 2), the nodes below each node, or (-1, -1) for a leaf; tokens: (N,), of leaves, ignored elsewhere;
    labels: (N,), at least 0, or -1 for none; all are none by default. Nodes may come in any order. ``root`` is the node
    that is nobody's child, ``depths`` (N,) are the steps from it.

    Raises ShapeError and DTypeError for arrays of another form, and DataError, which names the node, for a tree that is
    empty, a child that is out of range, a node with one child or with two parents, a second root, a cycle, and a leaf
    whose token is negative.

    >>> tree = Tree([[1, 2], [-1, -1], [-1, -1]], tokens=[-1, 4, 7], labels=[1, -1, -1])
    >>> tree, tree.root, tree.depths
    (Tree(3 nodes, depth 1), 0, array([0, 1, 1]))
    """

    __slots__ = ("children", "depths", "labels", "root", "tokens")

    def __init__(self, children: ArrayLike, tokens: ArrayLike, labels: ArrayLike | None = None):
        self.children = _whole_numbers("children", children)
        nodes = len(self.children) if self.children.ndim else 0
        if nodes == 0:
            raise DataError("Tree: there is no node; a tree has at least one, a leaf: Tree([[-1, -1]], tokens=[0])")
        if self.children.shape != (nodes, 2):
            raise ShapeError(f"Tree: children must have shape (N, 2), two for each node, got {self.children.shape}")
        self.tokens = _whole_numbers("tokens", tokens)
        self.labels = np.full(nodes, -1) if labels is None else _whole_numbers("labels", labels)
        for name, array in (("tokens", self.tokens), ("labels", self.labels)):
            if array.shape != (nodes,):
                raise ShapeError(f"Tree: {name} must have shape ({nodes},), one for each node, got {array.shape}")
        _check_children(self.children)
        leaves = self.children[:, 0] < 0
        for name, wrong in (("token", leaves & (self.tokens < 0)), ("label", self.labels < -1)):
            if wrong.any():
                node = int(wrong.argmax())
                given, least = (self.tokens, 0) if name == "token" else (self.labels, -1)
                raise DataError(f"Tree: node {node} has the {name} {given[node]}; it must be at least {least}")
        self.root, self.depths = _root_and_depths(self.children)

    @classmethod
    def nested(cls, expression: Any, vocabulary: Mapping[Any, int], label: Label | None = None) -> Tree:
        """The tree of nested tuples (or lists) whose leaves are words.

        vocabulary: word -> token. A tuple of more than two is folded from the left, ("max", 2, 9) is (("max", 2), 9),
        as in ListOps and in grammars where operators take arguments one by one. label: a function of a leaf or of a
        whole tuple that gives its label, or None; what folding makes has none.

        Raises DataError for a word that is not in the vocabulary, a tuple of less than two, a list within itself.

        >>> Tree.nested(("max", 2, ("min", 3, 9)), {"max": 10, "min": 11, 2: 2, 3: 3, 9: 9}).tokens
        array([-1, -1, 10,  2, -1, -1, 11,  3,  9])
        """
        if not isinstance(vocabulary, Mapping):
            raise DTypeError(
                f"Tree.nested: vocabulary must be a dict of words and tokens, got a {type(vocabulary).__name__}; of a "
                "list, write {word: token for token, word in enumerate(words)}"
            )
        children, tokens, labels, depths = _unfold(expression, vocabulary, label)
        tree = cls.__new__(cls)  # sound by construction: only what is given in arrays has to be checked
        tree.children, tree.tokens, tree.labels = np.array(children), np.array(tokens), np.array(labels)
        tree.root, tree.depths = 0, np.array(depths)
        return tree

    def __len__(self) -> int:
        return len(self.children)

    def __repr__(self) -> str:
        return f"Tree({len(self)} nodes, depth {self.depths.max()})"


class TreeDataset:
    """Trees, each an item; a batch is one array of them, dtype object, shape ``(B,)``, for a loader's transform.

    Raises DTypeError for what is not a Tree.

    >>> leaf = Tree([[-1, -1]], tokens=[3])
    >>> len(TreeDataset([leaf, leaf])), TreeDataset([leaf, leaf])[np.array([1])]
    (2, (array([Tree(1 nodes, depth 0)], dtype=object),))
    """

    def __init__(self, trees: Sequence[Tree]):
        if isinstance(trees, Tree) or not hasattr(trees, "__len__"):
            raise DTypeError(f"TreeDataset: takes a list of trees, got a {type(trees).__name__}; write list(trees)")
        self.trees = np.empty(len(trees), dtype=object)
        for place, tree in enumerate(trees):
            if not isinstance(tree, Tree):
                raise DTypeError(f"TreeDataset: item {place} is a {type(tree).__name__}; make it a Tree: Tree.nested")
            self.trees[place] = tree

    def __len__(self) -> int:
        return len(self.trees)

    def __getitem__(self, index: Any, /) -> tuple[Any, ...]:
        return (self.trees[positions(index, len(self))],)

    def __repr__(self) -> str:
        return f"TreeDataset({len(self)} trees)"


def _unfold(expression: Any, vocabulary: Mapping[Any, int], label: Label | None) -> tuple[list[Any], ...]:
    """children, tokens, labels and depths, each node before what is below it."""
    children: list[Any] = []
    tokens: list[int] = []
    labels: list[int] = []
    depths: list[int] = []
    above: list[int] = []  # the lists that the walk is in, by id; an entry of the stack says when one is left
    stack: list[Any] = [(expression, None, -1, 0, 0)]  # what, how many of its parts (None: all), parent, side, depth
    while stack:
        entry = stack.pop()
        if entry is None:
            above.pop()
            continue
        part, count, parent, side, depth = entry
        node = len(tokens)
        if parent >= 0:
            children[parent][side] = node
        depths.append(depth)
        children.append([-1, -1])
        if not isinstance(part, tuple | list):
            tokens.append(_token(part, vocabulary))
            labels.append(_label(label, part))
            continue
        if count is None:
            if len(part) < 2:
                raise DataError(_too_short(part, node))
            if id(part) in above:
                raise DataError("Tree.nested: a list contains itself: such a tree has a cycle and never ends")
            labels.append(_label(label, part))
            above.append(id(part))
            stack.append(None)
            count = len(part)
        else:
            labels.append(-1)
        tokens.append(-1)
        stack.append((part[count - 1], None, node, 1, depth + 1))
        stack.append((part, count - 1, node, 0, depth + 1) if count > 2 else (part[0], None, node, 0, depth + 1))
    return children, tokens, labels, depths


def _token(word: Any, vocabulary: Mapping[Any, int]) -> int:
    if isinstance(word, Hashable) and word in vocabulary:
        return integer(f"Tree.nested: the token of {word!r}", vocabulary[word], 0)
    known = ", ".join(repr(each) for each in list(vocabulary)[:20])
    more = f", ... ({len(vocabulary)} words)" if len(vocabulary) > 20 else ""
    raise DataError(f"Tree.nested: {word!r} is not in the vocabulary: {known}{more}")


def _label(label: Label | None, part: Any) -> int:
    found = None if label is None else label(part)
    return -1 if found is None else integer("Tree.nested: a label", found, 0)


def _too_short(part: Sequence[Any], node: int) -> str:
    if node == 0 and not part:
        return "Tree.nested: the tree is empty; it needs at least one word"
    if not part:
        return f"Tree.nested: node {node} is an empty {type(part).__name__}; write its word, or leave it out"
    return f"Tree.nested: node {node} has one child, {part!r}; write {part[0]!r} itself in its place"


def _whole_numbers(name: str, given: ArrayLike) -> np.ndarray:
    try:
        array = np.asarray(given)
    except ValueError:
        raise ShapeError(f"Tree: {name} is not one array, its rows differ in length; a leaf has (-1, -1)") from None
    if array.size and array.dtype.kind not in "iu":
        raise DTypeError(f"Tree: {name} must be whole numbers, got {array.dtype}")
    return array.astype(np.int64)


def _check_children(children: np.ndarray) -> None:
    nodes = len(children)
    outside = (children < -1) | (children >= nodes)
    if outside.any():
        node, side = np.argwhere(outside)[0]
        raise DataError(
            f"Tree: node {node} has the child {children[node, side]}, out of range for {nodes} nodes; a leaf has "
            "(-1, -1)"
        )
    single = (children[:, 0] < 0) != (children[:, 1] < 0)
    if single.any():
        node = int(single.argmax())
        raise DataError(f"Tree: node {node} has the children {tuple(children[node].tolist())}; a node has two or none")
    below = children[children >= 0]
    parents = np.bincount(below, minlength=nodes)
    if (parents > 1).any():
        shared = int((parents > 1).argmax())
        first, second = np.argwhere(children == shared)[:2, 0]
        raise DataError(f"Tree: node {shared} has two parents, {first} and {second}; repeat what is below it")


def _root_and_depths(children: np.ndarray) -> tuple[int, np.ndarray]:
    """Each node has one parent at most by now."""
    nodes = len(children)
    parent = np.full(nodes, -1)
    inner = np.flatnonzero(children[:, 0] >= 0)
    parent[children[inner].ravel()] = np.repeat(inner, 2)
    roots = np.flatnonzero(parent < 0)
    if len(roots) > 1:
        raise DataError(f"Tree: nodes {roots[0]} and {roots[1]} are both nobody's child; a tree has one root")
    depths = np.full(nodes, -1)
    level, depth = roots, 0
    while len(level):
        depths[level] = depth
        below = children[level].ravel()
        level, depth = below[below >= 0], depth + 1
    if (depths < 0).any():
        raise DataError(f"Tree: {_cycle(parent, int((depths < 0).argmax()))} is a cycle; a tree has none")
    return int(roots[0]), depths


def _cycle(parent: np.ndarray, node: int) -> str:
    """From parent to child, for a node that no root is above of."""
    way = [node]
    while (node := int(parent[node])) not in way:
        way.append(node)
    round_trip = [node, *reversed(way[way.index(node) :])]
    return " -> ".join(map(str, round_trip))
