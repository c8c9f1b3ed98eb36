"""Expressions whose meaning is known, as trees: formulas of propositional logic, and lists of operations on digits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import numpy as np

from autograd_core.errors import ArgumentError, DataError, DTypeError

from .checks import as_array, integer
from .seeding import EXPRESSIONS, bit_generator
from .trees import Tree

VARIABLES = ("p", "q", "r", "s")
CONNECTIVES: dict[str, Callable[[int, int, int], int]] = {  # of two truth tables and that of what is always true
    "and": lambda a, b, true: a & b,
    "or": lambda a, b, true: a | b,
    "xor": lambda a, b, true: a ^ b,
    "implies": lambda a, b, true: (true ^ a) | b,
    "iff": lambda a, b, true: true ^ a ^ b,
}
LOGIC_WORDS = {word: token for token, word in enumerate((*VARIABLES, "not", *CONNECTIVES))}
RELATIONS = (
    "equivalence",
    "forward entailment",
    "reverse entailment",
    "negation",
    "alternation",
    "cover",
    "independence",
)
NEGATIONS = 0.25  # the share of "not" among the connectives drawn

OPERATIONS: dict[str, Callable[[list[int]], int]] = {
    "MAX": max,
    "MIN": min,
    "MED": lambda digits: int(np.median(digits)),
    "SUM_MOD": lambda digits: sum(digits) % 10,
}
LISTOPS_WORDS: dict[Any, int] = {word: token for token, word in enumerate((*range(10), *OPERATIONS))}


def logic(count: int, connectives: tuple[int, int] = (1, 6), *, variables: int = 3, seed: int = 0) -> list[Tree]:
    """Formulas of propositional logic, no two alike, each node labelled with its truth table.

    connectives: the fewest and the most that a formula has, every number as often as another (while there are formulas
    of it); variables: how many occur, at most 4. A label has bit i set where the formula is true under assignment i,
    in which variable j is bit j of i: ``truth_values`` takes it apart. Operators stand first, ("not", p) and (("and",
    p), q), as words of ``LOGIC_WORDS``; what has no truth value, such as ("and", p), has no label. A pure function of
    its arguments. After Bowman, Potts and Manning, "Recursive neural networks can learn logical semantics", 2015.

    >>> formula, = logic(1, (2, 2))
    >>> formula, truth_values(formula.labels[[formula.root]])
    (Tree(9 nodes, depth 3), array([[1., 1., 0., 1., 1., 1., 0., 1.]], dtype=float32))
    """
    fewest, most = _range("connectives", connectives, 0)
    language = _Logic(variables, seed)
    formulas = _distinct("logic", count, lambda: language.between(fewest, most))
    return [Tree.nested(formula, LOGIC_WORDS, language.table) for formula in formulas]


def relations(count: int, connectives: tuple[int, int] = (0, 4), *, variables: int = 2, seed: int = 0) -> list[Tree]:
    """Pairs of formulas of propositional logic, no two alike, labelled at the root with the relation between them.

    A label is a position in ``RELATIONS``, which are those between the sets of assignments that make the formulas true:
    equal, within, around, complement, disjoint, filling everything together, and any other. Formulas are as in
    ``logic``, none always true or always false; connectives: how many each of the two has. A pure function of its
    arguments. Bowman, Potts and Manning, "Recursive neural networks can learn logical semantics", 2015.

    >>> pair, = relations(1, (0, 1))
    >>> pair, RELATIONS[pair.labels[pair.root]]
    (Tree(11 nodes, depth 3), 'forward entailment')
    """
    fewest, most = _range("connectives", connectives, 0)
    language = _Logic(variables, seed)

    def draw() -> Any:
        while True:
            pair = tuple(language.between(fewest, most) for _ in range(2))
            if all(language.table(formula) not in (0, language.true) for formula in pair):
                return pair

    def tree(pair: Any) -> Tree:
        found = _relation(language.table(pair[0]), language.table(pair[1]), language.true)
        return Tree.nested(pair, LOGIC_WORDS, lambda part: RELATIONS.index(found) if part is pair else None)

    return [tree(pair) for pair in _distinct("relations", count, draw)]


def _relation(first: int, second: int, true: int) -> str:
    if first == second:
        return "equivalence"
    if first & second == first:
        return "forward entailment"
    if first & second == second:
        return "reverse entailment"
    apart, complete = first & second == 0, first | second == true
    return "negation" if apart and complete else "alternation" if apart else "cover" if complete else "independence"


class _Logic:
    """Formulas over some variables: draws them, and knows their truth tables."""

    def __init__(self, variables: int, seed: int):
        integer("variables", variables, 1, len(VARIABLES))
        assignments = range(2**variables)
        self.names = VARIABLES[:variables]
        self.true = 2 ** len(assignments) - 1
        self.tables = {name: sum(1 << i for i in assignments if i >> j & 1) for j, name in enumerate(self.names)}
        self.table: Callable[[Any], Any] = _remembered(self._table)
        self.chance = _Chance(seed)

    def _table(self, formula: Any) -> int | None:
        if isinstance(formula, str):
            return self.tables.get(formula)
        if formula[0] == "not":
            return self.true ^ self.table(formula[1])
        return CONNECTIVES[formula[0]](self.table(formula[1]), self.table(formula[2]), self.true)

    def between(self, fewest: int, most: int) -> Any:
        """A formula of so many connectives."""
        return self.draw(fewest + self.chance.below(most + 1 - fewest))

    def draw(self, size: int) -> Any:
        if size == 0:
            return self.names[self.chance.below(len(self.names))]
        if self.chance.of(NEGATIONS):
            return ("not", self.draw(size - 1))
        left, connective = self.chance.below(size), list(CONNECTIVES)[self.chance.below(len(CONNECTIVES))]
        return (connective, self.draw(left), self.draw(size - 1 - left))


def truth_values(labels: np.ndarray, variables: int = 3) -> np.ndarray:
    """The bits of truth tables, (N,) -> (N, 2^variables) float32: which assignments a formula is true under.

    >>> truth_values(np.array([136]))  # p and q, of p, q, r
    array([[0., 0., 0., 1., 0., 0., 0., 1.]], dtype=float32)
    """
    labels = as_array("truth_values: labels", labels)
    integer("variables", variables, 1, len(VARIABLES))
    if labels.ndim != 1 or (labels.size and labels.dtype.kind not in "iu"):
        raise DTypeError(
            f"truth_values: labels must be whole numbers of shape (N,), got {labels.dtype} of shape {labels.shape}"
        )
    wrong = (labels < 0) | (labels >= 2**2**variables)
    if wrong.any():
        raise DataError(
            f"truth_values: label {labels[wrong][0]} at {int(wrong.argmax())} is no truth table of {variables} "
            "variables; take the labels that are not -1"
        )
    return (labels[:, None] >> np.arange(2**variables) & 1).astype(np.float32)


def listops(count: int, depth: int = 3, arguments: tuple[int, int] = (2, 4), *, seed: int = 0) -> list[Tree]:
    """Lists of operations on digits, no two alike, each expression within labelled with its value, 0 to 9.

    ("MAX", 2, 9, ("MIN", 4, 7), 0) has the value 9. Operations: MAX, MIN, MED (the median, rounded down), SUM_MOD (the
    sum modulo 10). depth: how deep operations are nested at most; arguments: the fewest and the most of an operation.
    An argument above the greatest depth is an operation again half of the time. Words as in ``LISTOPS_WORDS``. A pure
    function of its arguments. Nangia and Bowman, "ListOps: a diagnostic dataset for latent tree learning", 2018.

    >>> expression, = listops(1, depth=1, arguments=(2, 2))
    >>> expression, int(expression.labels[expression.root])
    (Tree(5 nodes, depth 2), 1)
    """
    integer("depth", depth, 1)
    fewest, most = _range("arguments", arguments, 1)

    def meaning(expression: Any) -> int | None:
        if isinstance(expression, tuple):
            return OPERATIONS[expression[0]]([value_of(part) for part in expression[1:]])
        return expression if isinstance(expression, int) else None

    value_of: Callable[[Any], Any] = _remembered(meaning)
    chance = _Chance(seed)

    def draw(deep: int) -> Any:
        operation = list(OPERATIONS)[chance.below(len(OPERATIONS))]
        parts = fewest + chance.below(most + 1 - fewest)
        return (operation, *(draw(deep - 1) if deep > 1 and chance.of(0.5) else chance.below(10) for _ in range(parts)))

    return [Tree.nested(each, LISTOPS_WORDS, value_of) for each in _distinct("listops", count, lambda: draw(depth))]


class _Chance:
    """Draws from the raw stream, which NumPy keeps for ever."""

    def __init__(self, seed: int):
        self.raw = bit_generator(integer("seed", seed, 0), EXPRESSIONS).random_raw

    def below(self, count: int) -> int:
        return int(self.raw()) % count

    def of(self, share: float) -> bool:
        return int(self.raw()) < share * 2**64


def _remembered(meaning: Callable[[Any], Any]) -> Callable[[Any], Any]:
    found: dict[Any, Any] = {}

    def of(expression: Any) -> Any:
        if expression not in found:
            found[expression] = meaning(expression)
        return found[expression]

    return of


def _range(name: str, given: Any, least: int) -> tuple[int, int]:
    if not isinstance(given, tuple | list) or len(given) != 2:
        raise ArgumentError(f"{name} must be a pair, the fewest and the most, got {given!r}")
    fewest = integer(f"{name}[0]", given[0], least)
    return fewest, integer(f"{name}[1]", given[1], fewest)


def _distinct(asker: str, count: int, draw: Callable[[], Any]) -> list[Any]:
    """``count`` different results of ``draw``."""
    integer("count", count, 0)

    def fresh() -> Iterator[Any]:
        found: set[Any] = set()
        repeats = 0
        while repeats < 10_000:
            drawn = draw()
            if drawn in found:
                repeats += 1
                continue
            repeats = 0
            found.add(drawn)
            yield drawn

    expressions = list(islice(fresh(), count))
    if len(expressions) < count:
        raise ArgumentError(
            f"{asker}: {count} different expressions were asked for, and only {len(expressions)} were found of this "
            "size: ask for fewer, or for larger ones"
        )
    return expressions
