"""Nets along trees: the plain recursive net and the recursive neural tensor network."""

from __future__ import annotations

from typing import Any

from autograd_core.errors import DTypeError
from autograd_core.ops.creation import asarray, zeros
from autograd_core.ops.indexing import take
from autograd_core.ops.joining import concat
from autograd_core.tensor import Tensor

from .. import init
from ..data.forests import Forest
from ..embedding import Embedding
from ..linear import Linear, check_positive
from ..module import ForwardNotImplementedError, Module
from ..parameter import Parameter


class TreeNet(Module):
    """A net that makes of the vectors of two children that of their parent, from the leaves up; subclasses say how.

    tokens: how many words leaves may have; features: D, the length of a node's vector; classes: C, how many scores a
    node gets. A subclass defines ``cell``: (N, 2 D) -> (N, D), the two children's vectors side by side.

    The nodes of one depth of all trees of a batch are computed at once, so the time goes with the depth of the deepest
    tree rather than with the number of nodes. Compile whole steps over batches that ``nn.data.Sizes`` arranges: the
    trees are inputs of the compiled code then, and it is the same for all of them.
    """

    def __init__(self, tokens: int, features: int, classes: int, *, device: Any = None, dtype: Any = None):
        check_positive(type(self).__name__, tokens=tokens, features=features, classes=classes)
        self.tokens, self.features, self.classes = tokens, features, classes
        self.embedding = Embedding(tokens, features, device=device, dtype=dtype)
        # as large as the vectors of inner nodes: products of larger ones leave where tanh is steep, and learn less
        init.normal_(self.embedding.weight, std=0.25)
        self.compose = Linear(2 * features, features, device=device, dtype=dtype)
        self.output = Linear(features, classes, device=device, dtype=dtype)

    def cell(self, children: Tensor) -> Tensor:
        """The vectors (N, D) of parents, of those of their two children (N, 2 D)."""
        raise ForwardNotImplementedError(
            f"{type(self).__name__} defines no cell(): write `def cell(self, children): ...`"
        )

    def states(self, forest: Forest) -> Tensor:
        """The vectors (R, D) of all nodes, in the order of ``forest.labels``."""
        return concat(self._depths(forest), axis=0)

    def forward(self, forest: Forest) -> Tensor:
        """The scores (B, C) of the roots."""
        return self.output(take(self._depths(forest)[0], self._index(forest.roots), axis=0))

    def every_node(self, forest: Forest) -> Tensor:
        """The scores (R, C) of all nodes, in the order of ``forest.labels``."""
        return self.output(self.states(forest))

    def _depths(self, forest: Forest) -> list[Tensor]:
        """The vectors of each depth, the roots' first."""
        if not isinstance(forest, Forest):
            raise DTypeError(
                f"a net along trees takes a Forest, got {type(forest).__name__}; nn.data.arrange(trees) makes one"
            )
        words = self.embedding(self._index(forest.tokens))
        end = len(words)
        below = None
        depths = []
        for leaves, children in zip(reversed(forest.leaves), (None, *reversed(forest.children)), strict=True):
            here = words[end - leaves : end]
            end -= leaves
            if children is not None:
                pairs = take(below, self._index(children).reshape(-1), axis=0).reshape((-1, 2 * self.features))
                inner = self.cell(pairs)
                here = concat([inner, here], axis=0) if leaves else inner
            depths.append(here)
            below = here
        return depths[::-1]

    def _index(self, rows: Any) -> Tensor:
        return asarray(rows, device=self.embedding.weight.device)

    def extra_repr(self) -> str:
        return f"{self.tokens}, {self.features}, {self.classes}"


class RecursiveNet(TreeNet):
    """h = tanh(W [a; b] + c) at each node of a tree, of its children's vectors a and b; scores U h + u.

    Parameters: ``embedding.weight`` (tokens, D), the leaves' vectors, at first normal with standard deviation 0.25;
    ``compose.weight`` W (D, 2 D), ``compose.bias`` c (D,); ``output.weight`` U (C, D), ``output.bias`` u (C,). Takes a
    Forest of B trees; gives the scores (B, C) of the roots, or those of all nodes: ``every_node``. DataError names a
    token that is not in the table. Socher et al., "Parsing natural scenes and natural language with
    recursive neural networks", 2011.

    >>> from autograd_core.nn.models import RecursiveNet
    >>> from autograd_core.nn.data import Tree, arrange
    >>> words = {"not": 0, "p": 1, "q": 2}
    >>> forest = arrange([Tree.nested(("not", ("p", "q")), words), Tree.nested("p", words)])
    >>> RecursiveNet(tokens=3, features=8, classes=2)(forest).shape
    (2, 2)
    """

    def cell(self, children: Tensor) -> Tensor:
        return self.compose(children).tanh()


class RecursiveTensorNet(TreeNet):
    """h = tanh([a; b]^T V [a; b] + W [a; b] + c) at each node of a tree; scores U h + u.

    The recursive neural tensor network: its children's vectors a and b multiply each other, so that a word such as
    "not" can act as an operator on what stands beside it. Parameters: those of ``RecursiveNet``, and ``tensor`` V (D,
    2 D, 2 D), a matrix for each feature, at first uniform in [-1/(4 D), 1/(4 D)). Takes and gives the same. Socher et
    al., "Recursive deep models for semantic compositionality over a sentiment treebank", 2013.

    >>> from autograd_core.nn.models import RecursiveTensorNet
    >>> from autograd_core.nn.data import Tree, arrange
    >>> forest = arrange([Tree.nested(("not", ("p", "q")), {"not": 0, "p": 1, "q": 2})])
    >>> RecursiveTensorNet(tokens=3, features=8, classes=2).every_node(forest).shape
    (5, 2)
    """

    def __init__(self, tokens: int, features: int, classes: int, *, device: Any = None, dtype: Any = None):
        super().__init__(tokens, features, classes, device=device, dtype=dtype)
        self.tensor = Parameter(zeros((features, 2 * features, 2 * features), device=device, dtype=dtype))
        init.uniform_(self.tensor, -1 / (4 * features), 1 / (4 * features))

    def cell(self, children: Tensor) -> Tensor:
        width = 2 * self.features
        # V [a; b] for all features by one product, then the sum with [a; b] in the loop that adds the rest
        mapped = (children @ self.tensor.reshape((-1, width)).mT).reshape((-1, self.features, width))
        return ((mapped * children[:, None, :]).sum(axis=-1) + self.compose(children)).tanh()
