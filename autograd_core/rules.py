"""Derivative rules as functions: what they name is what is saved, compiled once into a pullback.

A rule is a plain function whose parameter names say what it needs (see ``primitive``). ``Pullback`` is the vjp of one
primitive for one choice of operands: what a node must keep, and a function of exactly that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from .errors import GradientError

if TYPE_CHECKING:
    from .primitive import Primitive

Rule = Callable[..., Any]
OUTPUT = -1  # stands for the output among positions of operands


class Parameters(NamedTuple):
    """The parameter names of a plain function. (``inspect`` would be a tenth of this package's import time.)"""

    positional: tuple[str, ...]
    keyword_only: tuple[str, ...]
    variadic: str | None

    @property
    def names(self) -> tuple[str, ...]:
        return self.positional + self.keyword_only


def parameters(function: Rule) -> Parameters:
    """The parameters of a function written with ``def`` or ``lambda``."""
    code = function.__code__
    n, k = code.co_argcount, code.co_kwonlyargcount
    variadic = code.co_varnames[n + k] if code.co_flags & 0x04 else None
    return Parameters(code.co_varnames[:n], code.co_varnames[n : n + k], variadic)


class RuleCall:
    """A rule with its parameter names resolved: called with what a node saved."""

    __slots__ = ("names", "rule")

    def __init__(self, rule: Rule):
        self.rule = rule
        self.names = parameters(rule).names

    def saves(self, primitive: Primitive) -> list[int]:
        """Positions of the operands (or OUTPUT) that the rule names."""
        positions = [primitive.operands.index(n) for n in self.names if n in primitive.operands]
        return positions + [OUTPUT] * ("y" in self.names)

    def compile(self, primitive: Primitive, saves: tuple[int, ...], arity: int) -> Callable[..., Any]:
        """``call(g, saved, params, avals)``: a closure specialised to the common small cases."""
        rule = self.rule
        sources = [self._source(name, primitive, saves) for name in self.names]
        kinds = [kind for kind, _ in sources]
        if kinds == ["g"]:
            return lambda g, saved, params, avals: rule(g)
        if kinds == ["saved"]:
            i = sources[0][1]
            return lambda g, saved, params, avals: rule(saved[i])
        if kinds == ["g", "saved"]:
            i = sources[1][1]
            return lambda g, saved, params, avals: rule(g, saved[i])
        if kinds == ["g", "avals"]:
            return lambda g, saved, params, avals: rule(g, avals)

        def call(g: Any, saved: tuple, params: dict, avals: Any) -> Any:
            given = {"g": g, "saved": saved, "params": params, "avals": avals}
            return rule(*[given[kind] if key is None else given[kind][key] for kind, key in sources])

        return call

    def _source(self, name: str, primitive: Primitive, saves: tuple[int, ...]) -> tuple[str, Any]:
        """Where the argument of that name is: ``g`` or ``avals`` itself, or under a key of ``saved`` or ``params``."""
        if name in ("g", "avals"):
            return name, None
        if name == "y":
            return "saved", saves.index(OUTPUT)
        if name not in primitive.operands:
            return "params", name
        if primitive.variadic:  # one name for all operands, which follow the output if that is saved
            return "saved", slice(saves.count(OUTPUT), None)
        return "saved", saves.index(primitive.operands.index(name))


class Pullback:
    """The vjp of a primitive for one set of operands that need gradients.

    ``saves``: which operands (OUTPUT: the output) a node must keep; ``pull(g, saved, params, avals)`` returns the
    cotangent (or None for zero) of the operand if there is one, a sequence of them in order if there are several.
    """

    __slots__ = ("needs_avals", "primitive", "pull", "saves", "single_save")

    def __init__(self, primitive: Primitive, saves: Sequence[int], pull: Callable[..., Any], needs_avals: bool):
        self.primitive = primitive
        self.saves = tuple(saves)
        self.pull = pull
        self.needs_avals = needs_avals
        self.single_save = self.saves[0] if len(self.saves) == 1 else None


def saved_positions(primitive: Primitive, calls: Sequence[RuleCall], arity: int) -> tuple[int, ...]:
    """What the rules name, as positions of operands and OUTPUT; all operands where they have one name together."""
    saves = sorted({i for call in calls for i in call.saves(primitive)})
    if primitive.variadic and any(i >= 0 for i in saves):
        return tuple(i for i in saves if i == OUTPUT) + tuple(range(arity))
    return tuple(saves)


def pullback_from_rules(primitive: Primitive, rules: Any, wanted: list[int], arity: int) -> Pullback:
    """From one rule an operand, or one rule that returns a cotangent for every operand.

    One rule for all may name ``wanted``, the positions asked for, and return None for the others.
    """
    if callable(rules):
        joint = RuleCall(rules)
        saves = saved_positions(primitive, [joint], arity)
        call = joint.compile(primitive, saves, arity)
        extra = {"wanted": tuple(wanted)} if "wanted" in joint.names else None

        def pull(g: Any, saved: tuple, params: dict, avals: Any) -> Any:
            cotangents = call(g, saved, params if extra is None else {**params, **extra}, avals)
            return [cotangents[i] for i in wanted] if len(wanted) > 1 else cotangents[wanted[0]]

        return Pullback(primitive, saves, pull, "avals" in joint.names)
    calls = [RuleCall(rules[i] or _no_derivative(primitive, i)) for i in wanted]
    saves = saved_positions(primitive, calls, arity)
    parts = [call.compile(primitive, saves, arity) for call in calls]
    return Pullback(primitive, saves, in_order(parts), any("avals" in call.names for call in calls))


def in_order(parts: Sequence[Callable[..., Any]]) -> Callable[..., Any]:
    """One function returning what each part returns: alone if there is one part, as a tuple if several."""
    if len(parts) == 1:
        return parts[0]
    if len(parts) == 2:
        first, second = parts
        return lambda g, saved, params, avals: (first(g, saved, params, avals), second(g, saved, params, avals))
    return lambda g, saved, params, avals: [part(g, saved, params, avals) for part in parts]


def _no_derivative(primitive: Primitive, i: int) -> Rule:
    def refuse(g: Any) -> Any:
        raise GradientError(
            f"{primitive.name} has no derivative with respect to operand {primitive.operands[i]!r}; "
            "pass a constant there, or x.detach()"
        )

    return refuse
