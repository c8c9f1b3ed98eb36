"""Expressions whose meaning is known, as trees: formulas of propositional logic, and lists of operations on digits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import numpy as np

from autograd_core.errors import ArgumentError

from .checks import integer
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
    integer("variables", variables, 1, len(VARIABLES))
    names = VARIABLES[:variables]
    assignments = range(2**variables)
    tables = {name: sum(1 << i for i in assignments if i >> j & 1) for j, name in enumerate(names)}
    true = 2 ** len(assignments) - 1

    def meaning(formula: Any) -> int | None:
        if isinstance(formula, str):
            return tables.get(formula)
        if formula[0] == "not":
            return true ^ tables_of(formula[1])
        return CONNECTIVES[formula[0]](tables_of(formula[1]), tables_of(formula[2]), true)

    tables_of: Callable[[Any], Any] = _remembered(meaning)
    chance = _Chance(seed)

    def draw(size: int) -> Any:
        if size == 0:
            return names[chance.below(variables)]
        if chance.of(NEGATIONS):
            return ("not", draw(size - 1))
        left = chance.below(size)
        return (list(CONNECTIVES)[chance.below(len(CONNECTIVES))], draw(left), draw(size - 1 - left))

    formulas = _distinct("logic", count, lambda: draw(fewest + chance.below(most + 1 - fewest)))
    return [Tree.nested(formula, LOGIC_WORDS, tables_of) for formula in formulas]


def truth_values(labels: np.ndarray, variables: int = 3) -> np.ndarray:
    """The bits of truth tables, (N,) -> (N, 2^variables) float32: which assignments a formula is true under.

    >>> truth_values(np.array([136]))  # p and q, of p, q, r
    array([[0., 0., 0., 1., 0., 0., 0., 1.]], dtype=float32)
    """
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
