"""Primitives: every operation stated once, with its derivative beside its formula.

Three constructors make them:

``elementwise``  one output element from the same element of each operand. States its partial derivatives, from
                 which both modes follow:  g_i = g * conj(p_i)  (vjp)  and  t_y = sum_i p_i * t_i  (jvp).
``multilinear``  linear in each operand (matmul, convolution) or in all of them together (sum, reshape, concat):
                 the jvp is the operation itself, the vjp its transpose, which alone is stated.
``general``      the rest. States its vjp; the jvp follows from it, as the transpose of a map that is linear in g.
                 A fused operation may instead (or also) state its composed form.

Rules are functions of tensors, written with public operations, so they are differentiable, batchable and
traceable themselves. A rule asks for what it needs by the names of its parameters:

    x, x1, ...   the operand of that name in ``forward``      y      the output (a tuple if there are several)
    g            the cotangent of the output                  avals  shapes and dtypes of the operands
    anything else: the static parameter of that name

What rules name is what is saved; nothing else is kept alive. Of complex numbers a cotangent is the vector of real
derivatives, dL/dRe + i dL/dIm, so that a vjp is the adjoint under Re(conj(g) t): partials are stated as they are and
conjugated here; rules that name ``g`` state the whole product, and conjugate what they multiply by themselves.

Choices that leave a value unused (``where(x > 0, sqrt(x), 0)``) send it a cotangent of exactly 0, and then 0 times an
infinite slope must be 0, not NaN. An elementwise primitive whose slope can be infinite or NaN (log, sqrt, divide) says
``singular=True``: its products are ``guarded``: exactly 0 wherever the cotangent (or tangent) is, whatever the slope.
For higher derivatives its rules keep infinities inside such primitives too (x ** -2, not y * y for an infinite y).
Additions and multiplications stay as they are and cost nothing more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import mul
from typing import Any, cast

import numpy as np

from . import context
from .aval import Aval
from .batching import BatchRule
from .graph import Node, Piece
from .rules import OUTPUT, Pullback, Rule, RuleCall, in_order, parameters, pullback_from_rules, saved_positions


class Value:
    """Base of every tensor: what this layer needs to know of one.

    ``level`` is 0 for a tensor that holds an array; a transform's wrapper has the depth at which it was opened, the
    ``interpreter`` that runs operations on it, and the ``inner`` value that it wraps.
    """

    __slots__ = ()
    level = 0

    shape: tuple[int, ...]
    dtype: Any
    device: Any
    node: Any
    interpreter: Any
    inner: Any
    astype: Any
    to: Any


# -------------------------------------------------------------------------------------- primitives


class Primitive:
    """Base of the three kinds. ``forward(xp, *operands, **params)`` is the formula, for any array namespace.

    ``shape(*avals, **params)`` gives the output's Aval (a tuple of them when there are several outputs) and raises the
    error that a user sees for operands that do not fit. ``batch`` says how it runs under vmap (see ``batching``).
    """

    kind = "primitive"
    differentiable = True
    device_param: str | None = None  # which parameter names the output's device, where it is not the operands'

    def __init__(
        self,
        name: str,
        forward: Rule | None,
        shape: Callable[..., Any] | None,
        *,
        operands: Sequence[str] | None = None,
        signals: bool = True,
        batch: BatchRule | None = None,
    ):
        self.name = name
        self.forward: Any = forward  # a Rule, or None where a composed form is all there is
        self.shape_rule = shape
        self.signals = signals
        self.batch = batch
        self._pullbacks: dict[int, Pullback] = {}
        source = forward if operands is None else None
        self.variadic = False
        if source is not None:
            declared = parameters(source)
            self.variadic = declared.variadic is not None
            operands = [*declared.positional[1:], *filter(None, [declared.variadic])]
        self.operands = list(operands or ())

    def __repr__(self) -> str:
        return f"<{self.kind} primitive {self.name}>"

    def output_aval(self, *avals: Aval, **params: Any) -> Any:
        """The output's Aval: the rule that is checked against real outputs in the tests."""
        if self.shape_rule is None:
            raise NotImplementedError(f"{self.name} declares no shape rule")
        return self.shape_rule(*avals, **params)

    def pullback(self, mask: int) -> Pullback:
        """The vjp for the operands whose bits are set in ``mask``; its highest bit marks the end. Made on first use."""
        try:
            return self._pullbacks[mask]
        except KeyError:
            arity = mask.bit_length() - 1
            made = self._pullbacks[mask] = self._make_pullback([i for i in range(arity) if mask >> i & 1], arity)
            return made

    def _make_pullback(self, wanted: list[int], arity: int) -> Pullback:
        raise NotImplementedError

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any], output: Any, params: dict[str, Any]) -> Any:
        """The tangent of the output; ``tangents`` holds None for zero, and at least one tensor."""
        raise NotImplementedError


class Elementwise(Primitive):
    """y[i] = f(x1[i], x2[i], ...). Operands have one shape, or are 0-d constants; results have that shape.

    forward: ``lambda xp, x1, x2, *, param: ...``, a scalar formula in operators and functions of ``xp``.
    partials: dy/dx_i for each operand: a rule, or the constants 1, -1, 0; None for an operation with no derivative
        at all (comparisons). A rule that names ``g`` states the product g * dy/dx_i itself (a choice: g or 0).
    result: the output's dtype where it is not the operands' (a dtype, or a function of the operands' dtypes).
    signals: whether ordinary operands can give infinity or NaN (division, logarithm), so that a backend
        must silence the warnings of its array library.
    singular: whether a partial can be infinite or NaN where the cotangent is 0 (see the top of this file).
    """

    kind = "elementwise"

    def __init__(
        self,
        name: str,
        forward: Rule,
        partials: Sequence[Rule | int | None] | None,
        *,
        result: np.dtype | Callable[..., np.dtype] | None = None,
        signals: bool = True,
        singular: bool = False,
    ):
        super().__init__(name, forward, None, signals=signals)
        if partials is not None and len(partials) != len(self.operands):
            raise TypeError(f"{name}: {len(self.operands)} operands, but {len(partials)} partials")
        self.partials = partials
        self.differentiable = partials is not None
        self.result = result
        self.singular = singular

    def output_aval(self, *avals: Aval, **params: Any) -> Aval:
        shape = max((a.shape for a in avals), key=len)
        if callable(self.result):
            return Aval(shape, self.result(*(a.dtype for a in avals), **params))
        return Aval(shape, avals[-1].dtype if self.result is None else self.result)

    def _make_pullback(self, wanted: list[int], arity: int) -> Pullback:
        partials = [cast("Sequence[Rule | int | None]", self.partials)[i] for i in wanted]
        calls = [RuleCall(p) for p in partials if callable(p)]
        saves = saved_positions(self, calls, arity)
        parts = [self._part(p, saves, arity) for p in partials]
        return Pullback(self, saves, in_order(parts), any("avals" in call.names for call in calls))

    def _part(self, partial: Rule | int | None, saves: tuple[int, ...], arity: int) -> Callable[..., Any]:
        """The product of a cotangent (or tangent) with one partial derivative."""
        if callable(partial):
            call = RuleCall(partial)
            derivative = call.compile(self, saves, arity)
            if "g" in call.names:
                return derivative
            times = guarded if self.singular else mul

            def product(g: Any, saved: tuple, params: dict, avals: Any) -> Any:
                p = derivative(None, saved, params, avals)
                return times(g, p if p.dtype.kind != "c" else p.conj())

            return product
        if partial == 1:
            return lambda g, saved, params, avals: g
        if partial == -1:
            return lambda g, saved, params, avals: -g
        if partial == 0:
            return lambda g, saved, params, avals: g.new_zeros(g.shape)
        raise TypeError(f"{self.name}: a partial is a rule, 1, -1 or 0, got {partial!r}")

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any], output: Any, params: dict[str, Any]) -> Any:
        total = None
        avals = [Aval(x.shape, x.dtype) for x in primals]
        for i, t in enumerate(tangents):
            if t is None:
                continue
            pullback = self.pullback(1 << i | 1 << len(primals))
            saved = tuple(output if j == OUTPUT else primals[j] for j in pullback.saves)
            # for one element, the vjp and the jvp are the same product, up to conjugation: g conj(p) and t p
            part = conjugate(pullback.pull(conjugate(t), saved, params, avals))
            total = part if total is None else total + part
        return total


class Multilinear(Primitive):
    """Linear in each operand that has a transpose, or (``joint``) in all of those together, as concat and where are.

    transposes: for each operand the rule g -> cotangent, None where it is not linear (an index, a condition);
        or one rule that returns a cotangent for every operand.
    """

    kind = "multilinear"

    def __init__(
        self,
        name: str,
        forward: Rule,
        transposes: Sequence[Rule | None] | Rule,
        shape: Callable[..., Any],
        *,
        joint: bool = False,
        signals: bool = False,
        batch: BatchRule | None = None,
    ):
        super().__init__(name, forward, shape, signals=signals, batch=batch)
        if not callable(transposes) and len(transposes) != len(self.operands):
            raise TypeError(f"{name}: {len(self.operands)} operands, but {len(transposes)} transposes")
        self.transposes = transposes
        self.joint = joint

    def _make_pullback(self, wanted: list[int], arity: int) -> Pullback:
        return pullback_from_rules(self, self.transposes, wanted, arity)

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any], output: Any, params: dict[str, Any]) -> Any:
        if self.joint:
            linear = [callable(self.transposes) or self.transposes[i] is not None for i in range(len(primals))]
            filled = [
                (x.new_zeros(x.shape) if t is None else t) if is_linear else x
                for x, t, is_linear in zip(primals, tangents, linear, strict=True)
            ]
            return bind(self, filled, params)
        total = None
        for i, t in enumerate(tangents):
            if t is not None:
                part = bind(self, [t if j == i else x for j, x in enumerate(primals)], params)
                total = part if total is None else total + part
        return total


class General(Primitive):
    """A primitive with its own vjp rule, its own composed form, or both.

    vjp: a rule an operand, or one rule that returns a cotangent for every operand (None for zero).
    jvp: optional; parameters as in other rules, with ``ts`` for the tangents (None for zero).
    composed: the same function of tensors, in public operations; gives whatever is not stated.
    device_param: the parameter that names the output's device: for operations that have no operands, or move them.
    """

    kind = "general"

    def __init__(
        self,
        name: str,
        forward: Rule | None,
        shape: Callable[..., Any],
        *,
        vjp: Sequence[Rule | None] | Rule | None = None,
        jvp: Rule | None = None,
        composed: Rule | None = None,
        operands: Sequence[str] | None = None,
        signals: bool = True,
        device_param: str | None = None,
        batch: BatchRule | None = None,
    ):
        if forward is None:
            if composed is None:
                raise TypeError(f"{name}: needs a forward formula or a composed form")
            operands = parameters(composed).positional if operands is None else operands
        super().__init__(name, forward, shape, operands=operands, signals=signals, batch=batch)
        self.vjp = vjp
        self.jvp_rule = jvp
        self.composed = composed
        self.device_param = device_param
        self.differentiable = vjp is not None or composed is not None

    def _make_pullback(self, wanted: list[int], arity: int) -> Pullback:
        if self.vjp is not None:
            return pullback_from_rules(self, self.vjp, wanted, arity)

        def pull(g: Any, saved: tuple, params: dict, avals: Any) -> Any:
            return context.current().interpreter.base.transforms.pull_composed(self.composed, saved, wanted, g, params)

        return Pullback(self, range(arity), pull, needs_avals=False)

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any], output: Any, params: dict[str, Any]) -> Any:
        transforms = context.current().interpreter.base.transforms
        if self.jvp_rule is not None:
            available = {"ts": tuple(tangents), "y": output, "avals": [Aval(x.shape, x.dtype) for x in primals]}
            available.update({"xs": tuple(primals)} if self.variadic else zip(self.operands, primals, strict=True))
            names = parameters(self.jvp_rule).names
            return self.jvp_rule(**{n: available[n] if n in available else params[n] for n in names})
        if self.composed is not None:
            return transforms.push_composed(self.composed, primals, tangents, params)
        return transforms.transpose_pullback(self, primals, tangents, output, params)


elementwise, multilinear, general = Elementwise, Multilinear, General  # how a declaration reads


# --------------------------------------------------------------------------------- running one


def bind(primitive: Primitive, inputs: Sequence[Any], params: dict[str, Any]) -> Any:
    """Run a primitive under the innermost transform that any input belongs to, and record it if asked."""
    state = context.current()
    interpreter = state.interpreter
    level, mask, bit, parents = 0, 0, 1, []
    for x in inputs:
        if x.level > level:
            interpreter, level = x.interpreter, x.level
        node = x.node
        if node is not None:
            mask |= bit
            parents.append(node)
        bit <<= 1
    y = interpreter.run(primitive, inputs, params)
    if mask and state.recording and primitive.differentiable:
        y = record(primitive, inputs, y, params, parents, mask | bit)
    if state.observer is not None:
        state.observer.ran(primitive, inputs, y)
    return y


def record(
    primitive: Primitive, inputs: Sequence[Any], output: Any, params: dict[str, Any], parents: Sequence[Any], mask: int
) -> Any:
    """Give ``output`` a node that remembers how to pull a cotangent back.

    parents: the nodes of the inputs that have one; mask: which inputs these are, as ``Primitive.pullback`` takes it.
    """
    pullback = primitive.pullback(mask)
    position = pullback.single_save
    if position is None:
        saved = tuple([_detached(output) if i == OUTPUT else inputs[i].snapshot() for i in pullback.saves])
    elif position == OUTPUT:
        saved = (_detached(output),)
    else:
        saved = (inputs[position].snapshot(),)
    avals = [Aval(x.shape, x.dtype) for x in inputs] if pullback.needs_avals else None
    if type(output) is tuple:
        described = tuple(Aval(y.shape, y.dtype) for y in output)
        node = Node(pullback, parents, saved, params, avals, described)
        return tuple(y.with_node(Piece(node, i)) for i, y in enumerate(output))
    output.node = Node(pullback, parents, saved, params, avals, output.shape)  # nobody else has seen this tensor
    return output


def _detached(output: Any) -> Any:
    """The output without its node: a node that held its own tensor would be a cycle."""
    if type(output) is tuple:
        return tuple(y.with_node(None) for y in output)
    return output.with_node(None)


# ------------------------------------------------------------------------- products at singular points

guarded_p: Elementwise = elementwise(
    "guarded",
    lambda xp, gate, x: xp.where(gate == 0, gate, gate * x),
    # x's cotangent or tangent may be singular itself, and must find the gate closed where it is
    partials=(
        lambda g, x: guarded(g, conjugate(x)),
        lambda g, gate: bind(guarded_twice_p, (g, conjugate(gate)), {}),
    ),
)
guarded_twice_p: Elementwise = elementwise(
    "guarded_twice",
    lambda xp, x1, x2: xp.where((x1 == 0) | (x2 == 0), 0, x1 * x2),
    partials=(
        lambda g, x2: bind(guarded_twice_p, (g, conjugate(x2)), {}),
        lambda g, x1: bind(guarded_twice_p, (g, conjugate(x1)), {}),
    ),
)


def conjugate(x: Any) -> Any:
    """The complex conjugate; real tensors as they are."""
    return x if x.dtype.kind != "c" else x.conj()


def guarded(gate: Any, x: Any) -> Any:
    """gate * x, and exactly 0 where ``gate`` is 0, even if ``x`` is infinite or NaN there."""
    return bind(guarded_p, (gate, x), {})
