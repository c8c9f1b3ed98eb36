"""Trees, batches of them arranged by depth, and the expressions that are made as trees."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autograd_core import errors
from autograd_core.nn.data import (
    LISTOPS_WORDS,
    LOGIC_WORDS,
    RELATIONS,
    DataLoader,
    Sizes,
    Tree,
    TreeDataset,
    arrange,
    listops,
    logic,
    relations,
    truth_values,
)

WORDS = {word: token for token, word in enumerate("abc")}
NONE = (-1, -1)

expressions = st.recursive(
    st.sampled_from("abc"), lambda inner: st.lists(inner, min_size=2, max_size=4).map(tuple), max_leaves=12
)


def folded(expression):
    """What ``Tree.nested`` says that it makes of a tuple of more than two."""
    if not isinstance(expression, tuple):
        return expression
    *front, last = expression
    return (folded(tuple(front)) if len(front) > 1 else folded(front[0]), folded(last))


def told(tree: Tree, node: int | None = None):
    """The nested tuples of a tree, from its arrays."""
    node = tree.root if node is None else node
    left, right = tree.children[node]
    return "abc"[tree.tokens[node]] if left < 0 else (told(tree, left), told(tree, right))


@settings(max_examples=30)
@given(expressions)
def test_nested_tuples_and_arrays_are_the_same_trees(expression) -> None:
    tree = Tree.nested(expression, WORDS)
    assert told(tree) == folded(expression)
    order = np.random.default_rng(len(tree)).permutation(len(tree))  # node i becomes node order[i]
    children, tokens = np.full((len(tree), 2), -1), np.full(len(tree), -1)
    children[order] = np.where(tree.children < 0, -1, order[tree.children])
    tokens[order] = tree.tokens
    again = Tree(children, tokens)
    assert told(again) == folded(expression)
    assert again.depths[order].tolist() == tree.depths.tolist()


@settings(max_examples=30)
@given(st.lists(expressions, min_size=1, max_size=5), st.booleans())
def test_a_forest_holds_its_trees(batch, padded) -> None:
    trees = [Tree.nested(expression, WORDS, label=lambda part: len(str(part))) for expression in batch]
    forest = (Sizes(trees[:1], batch_size=1).forest if padded else arrange)(trees)
    depths = [*[len(inner) for inner in forest.children], 0]
    first_leaf = np.cumsum((0, *forest.leaves))
    first_row = np.cumsum((0, *np.add(depths, forest.leaves)))
    assert forest.rows == len(forest.labels) == first_row[-1]

    def found(depth: int, row: int):
        if row >= depths[depth]:
            return "abc"[forest.tokens[first_leaf[depth] + row - depths[depth]]]
        return tuple(found(depth + 1, below) for below in forest.children[depth][row])

    for expression, tree, row in zip(batch, trees, forest.roots, strict=True):
        assert found(0, row) == folded(expression)
        assert forest.labels[row] == tree.labels[tree.root]
    assert sorted(forest.labels[forest.labels >= 0]) == sorted(k for tree in trees for k in tree.labels if k >= 0)


def test_labels_stand_at_what_was_written_and_not_at_what_folding_makes() -> None:
    tree = Tree.nested(("a", "b", "c"), WORDS, label=lambda part: 7 if isinstance(part, tuple) else None)
    assert tree.labels.tolist() == [7, -1, -1, -1, -1]


def test_random_batches_have_few_shapes_and_little_padding() -> None:
    trees = logic(2000)
    sizes = Sizes(trees, batch_size=64)
    rng = np.random.default_rng(0)
    shapes, filled = set(), []
    for _ in range(100):
        batch = [trees[i] for i in rng.choice(len(trees), 64, replace=False)]
        forest = sizes.forest(batch)
        shapes.add((*map(len, forest.children), *forest.leaves))
        filled.append(sum(map(len, batch)) / forest.rows)
    assert len(shapes) <= 3
    assert np.mean(filled) > 0.6


def test_a_batch_beyond_the_sizes_gets_larger_ones() -> None:
    sizes = Sizes([Tree.nested(("a", "b"), WORDS)], batch_size=2)
    deep = Tree.nested(tuple("abc" * 4), WORDS)
    assert sizes.forest([deep]).rows > sizes.forest([Tree.nested("a", WORDS)]).rows
    shapes = {tuple(map(len, sizes.forest([Tree.nested(("a",) * n, WORDS)]).children)) for n in range(3, 11)}
    assert len(shapes) == 1  # depths are added by the eight


def test_labels_of_formulas_are_their_truth_tables() -> None:
    names = {token: word for word, token in LOGIC_WORDS.items()}
    meaning = {
        "and": lambda a, b: a and b,
        "or": lambda a, b: a or b,
        "xor": lambda a, b: a != b,
        "implies": lambda a, b: not a or b,
        "iff": lambda a, b: a == b,
    }

    def true(tree: Tree, node: int, world: dict[str, bool]) -> bool:
        left, right = tree.children[node]
        if left < 0:
            return world[names[tree.tokens[node]]]
        if tree.children[left, 0] < 0:  # ("not", x)
            return not true(tree, right, world)
        connective, first = tree.children[left]
        return meaning[names[tree.tokens[connective]]](true(tree, first, world), true(tree, right, world))

    formulas = logic(200, (0, 4), seed=3)
    tables = truth_values(np.array([tree.labels[tree.root] for tree in formulas]))
    for tree, table in zip(formulas, tables, strict=True):
        for i, value in enumerate(table):
            world = {name: bool(i >> j & 1) for j, name in enumerate("pqr")}
            assert true(tree, tree.root, world) == bool(value)


def test_labels_of_pairs_are_the_relations_of_what_makes_them_true() -> None:
    true = {below(tree): int(tree.labels[tree.root]) for tree in logic(486, (0, 2), variables=2)}  # all there are
    meaning = {
        "equivalence": lambda a, b, rest: a == b,
        "forward entailment": lambda a, b, rest: a < b,
        "reverse entailment": lambda a, b, rest: a > b,
        "negation": lambda a, b, rest: not a & b and not rest,
        "alternation": lambda a, b, rest: not a & b and rest,
        "cover": lambda a, b, rest: a & b and not rest and not a <= b and not b <= a,
        "independence": lambda a, b, rest: a & b and rest and not a <= b and not b <= a,
    }
    seen = set()
    for tree in relations(300, (0, 2), variables=2):
        worlds = [{i for i in range(4) if true[below(tree, side)] >> i & 1} for side in (0, 1)]
        name = RELATIONS[tree.labels[tree.root]]
        assert meaning[name](*worlds, {0, 1, 2, 3} - worlds[0] - worlds[1])
        assert (tree.labels >= 0).sum() == 1
        seen.add(name)
    assert seen == set(RELATIONS)


def below(tree: Tree, side: int | None = None) -> str:
    """The words below a child of the root, or below the root, with brackets."""

    def written(node: int) -> str:
        left, right = tree.children[node]
        return str(tree.tokens[node]) if left < 0 else f"({written(left)} {written(right)})"

    return written(tree.root if side is None else tree.children[tree.root, side])


def test_labels_of_lists_are_their_values() -> None:
    names = {token: word for word, token in LISTOPS_WORDS.items()}
    meaning = {"MAX": max, "MIN": min, "MED": lambda v: int(np.median(v)), "SUM_MOD": lambda v: sum(v) % 10}

    def value(tree: Tree, node: int) -> int:
        arguments = []
        while tree.children[node, 0] >= 0:
            node, last = tree.children[node]
            arguments.append(value(tree, last))
        return meaning[names[tree.tokens[node]]](arguments) if arguments else tree.tokens[node]

    for tree in listops(200, depth=3, seed=3):
        assert value(tree, tree.root) == tree.labels[tree.root]


@pytest.mark.parametrize("make", [logic, relations, listops])
def test_expressions_are_a_function_of_the_seed_and_differ(make) -> None:
    first, again, other = make(100, seed=5), make(100, seed=5), make(100, seed=6)
    key = lambda tree: (tree.tokens.tobytes(), tree.children.tobytes())  # noqa: E731
    assert [key(tree) for tree in first] == [key(tree) for tree in again] != [key(tree) for tree in other]
    assert len({key(tree) for tree in first}) == 100


def test_a_loader_gives_batches_of_trees() -> None:
    trees = logic(10)
    loader = DataLoader(TreeDataset(trees), 4, transform=lambda batch, rng: arrange(batch[0]))
    assert [len(forest.roots) for forest in loader] == [4, 4, 2]


BAD = {
    "no node": (
        lambda: Tree(np.empty((0, 2), int), []),
        errors.DataError,
        "Tree: there is no node; a tree has at least one, a leaf: Tree([[-1, -1]], tokens=[0])",
    ),
    "empty tuple": (
        lambda: Tree.nested((), WORDS),
        errors.DataError,
        "Tree.nested: the tree is empty; it needs at least one word",
    ),
    "empty tuple within": (
        lambda: Tree.nested(("a", ()), WORDS),
        errors.DataError,
        "Tree.nested: node 2 is an empty tuple; write its word, or leave it out",
    ),
    "one child": (
        lambda: Tree.nested(("a", ("b",)), WORDS),
        errors.DataError,
        "Tree.nested: node 2 has one child, ('b',); write 'b' itself in its place",
    ),
    "unknown word": (
        lambda: Tree.nested(("a", "d"), WORDS),
        errors.DataError,
        "Tree.nested: 'd' is not in the vocabulary: 'a', 'b', 'c'",
    ),
    "a token below zero": (
        lambda: Tree.nested(("a", "b"), {"a": 0, "b": -5}),
        errors.ArgumentError,
        "Tree.nested: the token of 'b' must be an integer >= 0, got -5",
    ),
    "a token that is no integer": (
        lambda: Tree.nested("a", {"a": "b"}),
        errors.ArgumentError,
        "Tree.nested: the token of 'a' must be an integer >= 0, got 'b'",
    ),
    "a vocabulary that is a list": (
        lambda: Tree.nested("a", ["a", "b"]),
        errors.DTypeError,
        "Tree.nested: vocabulary must be a dict of words and tokens, got a list; of a list, write {word: token for "
        "token, word in enumerate(words)}",
    ),
    "a data set of one tree": (
        lambda: TreeDataset(Tree.nested("a", WORDS)),
        errors.DTypeError,
        "TreeDataset: takes a list of trees, got a Tree; write list(trees)",
    ),
    "a forest of nothing": (
        lambda: arrange(None),
        errors.DTypeError,
        "arrange: takes a list of trees, got a NoneType; write list(trees)",
    ),
    "truth values of no label": (
        lambda: truth_values([3, -1]),
        errors.DataError,
        "truth_values: label -1 at 1 is no truth table of 3 variables; take the labels that are not -1",
    ),
    "truth values of more variables": (
        lambda: truth_values([300], 3),
        errors.DataError,
        "truth_values: label 300 at 0 is no truth table of 3 variables; take the labels that are not -1",
    ),
    "truth values of fractions": (
        lambda: truth_values(np.array([0.5])),
        errors.DTypeError,
        "truth_values: labels must be whole numbers of shape (N,), got float64 of shape (1,)",
    ),
    "a list in itself": (
        lambda: Tree.nested(endless(), WORDS),
        errors.DataError,
        "Tree.nested: a list contains itself: such a tree has a cycle and never ends",
    ),
    "a label that is none": (
        lambda: Tree.nested("a", WORDS, label=lambda part: -1),
        errors.ArgumentError,
        "Tree.nested: a label must be an integer >= 0, got -1",
    ),
    "rows of different lengths": (
        lambda: Tree([[1, 2], [], []], [-1, 0, 0]),
        errors.ShapeError,
        "Tree: children is not one array, its rows differ in length; a leaf has (-1, -1)",
    ),
    "three children": (
        lambda: Tree([[-1, -1, -1]], [0]),
        errors.ShapeError,
        "Tree: children must have shape (N, 2), two for each node, got (1, 3)",
    ),
    "children that are no numbers of nodes": (
        lambda: Tree([[0.5, 1.0]], [0]),
        errors.DTypeError,
        "Tree: children must be whole numbers, got float64",
    ),
    "fewer tokens than nodes": (
        lambda: Tree([NONE], []),
        errors.ShapeError,
        "Tree: tokens must have shape (1,), one for each node, got (0,)",
    ),
    "child out of range": (
        lambda: Tree([[1, 3], NONE, NONE], [-1, 0, 0]),
        errors.DataError,
        "Tree: node 0 has the child 3, out of range for 3 nodes; a leaf has (-1, -1)",
    ),
    "one child only": (
        lambda: Tree([[1, -1], NONE], [-1, 0]),
        errors.DataError,
        "Tree: node 0 has the children (1, -1); a node has two or none",
    ),
    "two parents": (
        lambda: Tree([[1, 2], [2, 3], NONE, NONE], [-1, -1, 0, 0]),
        errors.DataError,
        "Tree: node 2 has two parents, 0 and 1; repeat what is below it",
    ),
    "the same child twice": (
        lambda: Tree([[1, 1], NONE], [-1, 0]),
        errors.DataError,
        "Tree: node 1 has two parents, 0 and 0; repeat what is below it",
    ),
    "two roots": (
        lambda: Tree([NONE, NONE], [0, 0]),
        errors.DataError,
        "Tree: nodes 0 and 1 are both nobody's child; a tree has one root",
    ),
    "a cycle without a root": (
        lambda: Tree([[1, 2], [0, 3], NONE, NONE], [-1, -1, 0, 0]),
        errors.DataError,
        "Tree: 0 -> 1 -> 0 is a cycle; a tree has none",
    ),
    "a cycle beside a tree": (
        lambda: Tree([NONE, [2, 3], [4, 1], NONE, NONE], [0, -1, -1, 0, 0]),
        errors.DataError,
        "Tree: 1 -> 2 -> 1 is a cycle; a tree has none",
    ),
    "a node of its own": (
        lambda: Tree([[0, 1], NONE], [-1, 0]),
        errors.DataError,
        "Tree: 0 -> 0 is a cycle; a tree has none",
    ),
    "a leaf without a token": (
        lambda: Tree([NONE], [-1]),
        errors.DataError,
        "Tree: node 0 has the token -1; it must be at least 0",
    ),
    "a label below -1": (
        lambda: Tree([NONE], [0], labels=[-2]),
        errors.DataError,
        "Tree: node 0 has the label -2; it must be at least -1",
    ),
    "a batch without a tree": (
        lambda: arrange([]),
        errors.DataError,
        "arrange: there is no tree; a batch has at least one",
    ),
    "a tree for a batch": (
        lambda: arrange(Tree([NONE], [0])),
        errors.DTypeError,
        "arrange: takes a list of trees, got one Tree; write [tree]",
    ),
    "tuples for trees": (
        lambda: arrange([("a", "b")]),
        errors.DTypeError,
        "arrange: item 0 is a tuple; make it a Tree: Tree.nested",
    ),
    "sizes of nothing": (
        lambda: Sizes([], 4),
        errors.DataError,
        "Sizes: there is no tree; a batch has at least one",
    ),
    "a data set of tuples": (
        lambda: TreeDataset([("a", "b")]),
        errors.DTypeError,
        "TreeDataset: item 0 is a tuple; make it a Tree: Tree.nested",
    ),
    "more than there are": (
        lambda: logic(100, (0, 0)),
        errors.ArgumentError,
        "logic: 100 different expressions were asked for, and only 3 were found of this size: ask for fewer, or for "
        "larger ones",
    ),
    "a range of one number": (
        lambda: listops(1, arguments=3),
        errors.ArgumentError,
        "arguments must be a pair, the fewest and the most, got 3",
    ),
}


def endless() -> list:
    inner: list = ["a"]
    inner.append(inner)
    return inner


@pytest.mark.parametrize("name", BAD)
def test_the_mistake_is_named(name) -> None:
    make, kind, text = BAD[name]
    with pytest.raises(kind) as caught:
        make()
    assert (type(caught.value), str(caught.value)) == (kind, text)
