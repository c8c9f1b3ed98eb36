"""Derivatives that a user states for a function of his own, in place of those of its operations."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any

from . import context, tree
from .aval import Aval, is_inexact
from .errors import ArgumentError, GradientError, ShapeError
from .graph import AnyNode, Leaf, Node, Piece
from .interpreters.reverse import fresh, main_node, pull_back
from .ops import creation
from .primitive import Primitive, bind
from .rules import Pullback
from .tensor import Tensor


class _Custom:
    """What the two decorators share: the function's name, its static arguments, keywords made positional."""

    def __init__(self, f: Callable[..., Any], nondiff_argnums: int | Sequence[int] = ()):
        functools.update_wrapper(self, f)
        self.f = f
        self.name = getattr(f, "__name__", repr(f))
        self.signature = inspect.signature(f)
        self.static = {nondiff_argnums} if isinstance(nondiff_argnums, int) else set(nondiff_argnums)
        if not all(isinstance(i, int) and i >= 0 for i in self.static):
            raise ArgumentError(f"{self.name}: nondiff_argnums are positions counted from 0, got {nondiff_argnums!r}")

    def _positional(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any]:
        bound = self.signature.bind(*args, **kwargs)
        bound.apply_defaults()
        if bound.kwargs:
            raise ArgumentError(f"{self.name}: keyword-only arguments {sorted(bound.kwargs)} have no place in its rule")
        return list(bound.args)

    def _split(self, args: Sequence[Any]) -> tuple[list[Any], tuple[Any, ...]]:
        """The static arguments, and those that derivatives are taken of."""
        static = [a for i, a in enumerate(args) if i in self.static]
        return static, tuple(a for i, a in enumerate(args) if i not in self.static)

    def _join(self, static: Sequence[Any], chosen: Sequence[Any]) -> list[Any]:
        """The inverse of ``_split``."""
        statics, others = iter(static), iter(chosen)
        return [next(statics) if i in self.static else next(others) for i in range(len(static) + len(chosen))]

    def _tensors(self, rule: str, result: Any) -> tuple[list[Tensor], Any]:
        leaves, structure = tree.flatten(result)
        for leaf in leaves:
            if not isinstance(leaf, Tensor):
                raise GradientError(f"{self.name}: its {rule} must return tensors, it returned {type(leaf).__name__}")
        return leaves, structure


# ------------------------------------------------------------------------------------ reverse mode


class custom_vjp(_Custom):
    """A function with a reverse derivative of your own: for better numerics, less memory, or another gradient.

    ``f.defvjp(fwd, bwd)``: ``fwd(*args)`` returns (f(*args), residuals); ``bwd(residuals, g)`` returns a tuple with a
    cotangent for every argument, in its structure and shape, or None for zero. Arguments named in ``nondiff_argnums``
    are not differentiated; ``bwd`` gets them first. The interface is that of JAX's function of this name.

    Rules are written in tensors, so derivatives of any order follow. Forward mode (jvp, jacfwd) differentiates the
    operations of ``f`` (of ``fwd`` inside a gradient) and does not see ``bwd``; custom_jvp states a rule for both.
    Raises GradientError if ``fwd`` uses a tensor that requires gradients and is not an argument of its own: that
    gradient would be lost.

    >>> import autograd_core as ag
    >>> @ag.custom_vjp
    ... def clipped(x):
    ...     return x * x
    >>> clipped.defvjp(lambda x: (x * x, x), lambda x, g: (ag.clip(2 * x * g, -1.0, 1.0),))
    >>> ag.grad(lambda x: clipped(x).sum())(ag.tensor([0.25, 3.0]))
    tensor([0.5, 1. ])
    """

    def __init__(self, f: Callable[..., Any], nondiff_argnums: int | Sequence[int] = ()):
        super().__init__(f, nondiff_argnums)
        self.fwd: Callable[..., Any] | None = None
        self.bwd: Callable[..., Any] | None = None
        self.pullback = Pullback(Primitive(self.name, None, None, operands=()), (), _pull, needs_avals=False)

    def defvjp(self, fwd: Callable[..., Any], bwd: Callable[..., Any]) -> None:
        """State the rule: fwd(*args) -> (output, residuals), bwd(*nondiff_args, residuals, g) -> cotangents."""
        self.fwd, self.bwd = fwd, bwd

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.fwd is None:
            raise GradientError(f"{self.name}: custom_vjp has no rule yet; call {self.name}.defvjp(fwd, bwd)")
        positional = self._positional(args, kwargs)
        static, chosen = self._split(positional)
        leaves, structure = tree.flatten(chosen)
        wanted = [i for i, x in enumerate(leaves) if isinstance(x, Tensor) and x.node is not None]
        if not wanted or not context.is_grad_enabled():
            return self.f(*positional)
        aliased = list(leaves)
        for i in wanted:
            aliased[i] = fresh(leaves[i])
        result = self.fwd(*self._join(static, tree.unflatten(structure, aliased)))
        if not (isinstance(result, tuple) and len(result) == 2):
            raise GradientError(f"{self.name}: fwd must return a pair (output, residuals)")
        outputs, output_structure = self._tensors("fwd", result[0])
        self._refuse_captured([*outputs, *tree.flatten(result[1])[0]], {aliased[i].node for i in wanted})
        call = _Call(self, static, chosen, wanted, result[1], output_structure)
        connected = call.connect([leaves[i].node for i in wanted], outputs)
        return tree.unflatten(output_structure, connected)

    def _refuse_captured(self, results: Sequence[Any], arguments: set[AnyNode]) -> None:
        """GradientError if a result depends on a variable by another way than through the arguments."""
        stack = [main_node(x.node) for x in results if isinstance(x, Tensor) and x.node is not None]
        seen = set(arguments)
        while stack:
            node = stack.pop()
            if node in seen:
                continue
            seen.add(node)
            if type(node) is Leaf:
                raise GradientError(
                    f"{self.name}: fwd uses a tensor that requires gradients and is not one of its differentiable "
                    "arguments, so that its gradient would be lost; pass it as an argument, or detach() it"
                )
            stack.extend(main_node(parent) for parent in node.parents)


class _Call:
    """One recorded call of a ``custom_vjp`` function: what its node needs to pull cotangents back."""

    def __init__(
        self,
        owner: custom_vjp,
        static: Sequence[Any],
        chosen: tuple[Any, ...],
        wanted: Sequence[int],
        residuals: Any,
        output_structure: Any,
    ):
        self.owner = owner
        self.static = static
        self.wanted = wanted
        self.residuals = residuals
        self.output_structure = output_structure
        self.argument_structures = [tree.flatten(argument)[1] for argument in chosen]
        leaves = [tree.flatten(argument)[0] for argument in chosen]
        self.argument_avals = [[x.aval if isinstance(x, Tensor) else None for x in row] for row in leaves]

    def connect(self, parents: Sequence[AnyNode], outputs: Sequence[Tensor]) -> list[Tensor]:
        """The outputs on a node of their own: what lies between them and the arguments is no longer seen."""
        several = len(outputs) > 1
        described = tuple(y.aval for y in outputs) if several else outputs[0].shape
        node = Node(self.owner.pullback, parents, (self, several), {}, None, described)
        return [
            y.with_node((Piece(node, i) if several else node) if is_inexact(y.dtype) else None)
            for i, y in enumerate(outputs)
        ]

    def pull(self, g: Any, several: bool) -> Any:
        cotangent = tree.unflatten(self.output_structure, list(g) if several else [g])
        found = self.owner.bwd(*self.static, self.residuals, cotangent)
        n = len(self.argument_structures)
        if not isinstance(found, (tuple, list)) or len(found) != n:
            given = f"{len(found)}" if isinstance(found, (tuple, list)) else f"a {type(found).__name__}"
            raise GradientError(
                f"{self.owner.name}: bwd must return a tuple of {n} cotangent(s), one for every argument "
                f"that is not in nondiff_argnums (None for zero); it returned {given}"
            )
        leaves = [leaf for i, cotangents in enumerate(found) for leaf in self._checked(i, cotangents)]
        chosen = [leaves[i] for i in self.wanted]
        return chosen if len(chosen) > 1 else chosen[0]

    def _checked(self, i: int, cotangent: Any) -> list[Tensor | None]:
        """The cotangents of the leaves of argument ``i``."""
        avals = self.argument_avals[i]
        if cotangent is None:
            return [None] * len(avals)
        leaves, structure = tree.flatten(cotangent)
        if structure != self.argument_structures[i]:
            raise GradientError(
                f"{self.owner.name}: bwd's cotangent of argument {i} must have the structure of that argument"
            )
        return [g if aval is None else self._fitted(i, g, aval) for g, aval in zip(leaves, avals, strict=True)]

    def _fitted(self, i: int, g: Any, aval: Aval) -> Tensor:
        g = creation.asarray(g)
        if g.shape != aval.shape:
            raise ShapeError(
                f"{self.owner.name}: bwd returned a cotangent of shape {g.shape} for argument {i} of shape "
                f"{aval.shape}; they must be equal (sum over axes that were broadcast)"
            )
        return g.astype(aval.dtype)


def _pull(g: Any, saved: tuple[Any, ...], params: dict[str, Any], avals: Any) -> Any:
    call, several = saved
    return call.pull(g, several)


# ------------------------------------------------------------------------------------ both modes


class custom_jvp(_Custom):
    """A function with a derivative of your own, stated in forward mode; reverse mode is its transpose.

    ``@f.defjvp``: ``rule(*nondiff_args, primals, tangents)`` returns (f(*primals), tangent of the output), which must
    be linear in ``tangents``; those of arguments that are constant are zeros. Arguments named in ``nondiff_argnums``
    are not differentiated. The interface is that of JAX's function of this name.

    >>> import autograd_core as ag
    >>> @ag.custom_jvp
    ... def log1pexp(x):
    ...     return ag.log(1 + ag.exp(x))
    >>> @log1pexp.defjvp
    ... def rule(primals, tangents):
    ...     (x,), (t,) = primals, tangents
    ...     return log1pexp(x), t / (1 + ag.exp(-x))
    >>> ag.grad(log1pexp)(ag.tensor(100.0)), ag.jvp(log1pexp, (ag.tensor(0.0),), (ag.tensor(1.0),))[1]
    (tensor(1.), tensor(0.5))
    """

    def __init__(self, f: Callable[..., Any], nondiff_argnums: int | Sequence[int] = ()):
        super().__init__(f, nondiff_argnums)
        self.rule: Callable[..., Any] | None = None

    def defjvp(self, rule: Callable[..., Any]) -> Callable[..., Any]:
        """State the rule: rule(*nondiff_args, primals, tangents) -> (output, tangent of the output)."""
        self.rule = rule
        return rule

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.rule is None:
            raise GradientError(f"{self.name}: custom_jvp has no rule yet; state it with @{self.name}.defjvp")
        static, chosen = self._split(self._positional(args, kwargs))
        leaves, structure = tree.flatten(chosen)
        like = next((x for x in leaves if isinstance(x, Tensor)), None)
        device = None if like is None else like.device
        operands = [x if isinstance(x, Tensor) else creation.asarray(x, device=device) for x in leaves]
        call = _StatedCall(self, static, structure)
        if not operands:
            return self.f(*self._join(static, chosen))
        outputs = bind(custom_jvp_p, operands, {"call": call})
        return tree.unflatten(call.output_structure, list(outputs) if type(outputs) is tuple else [outputs])


class _StatedCall:
    """One call of a ``custom_jvp`` function on the leaves of its arguments."""

    def __init__(self, owner: custom_jvp, static: Sequence[Any], structure: Any):
        self.owner = owner
        self.static = static
        self.structure = structure
        self.output_structure: Any = None

    def value(self, xs: Sequence[Tensor]) -> Any:
        chosen = tree.unflatten(self.structure, list(xs))
        outputs, self.output_structure = self.owner._tensors(
            "function", self.owner.f(*self.owner._join(self.static, chosen))
        )
        return outputs[0] if len(outputs) == 1 else tuple(outputs)

    def tangents(self, primals: Sequence[Tensor], tangents: Sequence[Tensor], outputs: Sequence[Tensor]) -> list[Any]:
        """The tangents of the outputs, by the user's rule."""
        both = [tree.unflatten(self.structure, list(leaves)) for leaves in (primals, tangents)]
        result = self.owner.rule(*self.static, *both)
        if not (isinstance(result, tuple) and len(result) == 2):
            raise GradientError(f"{self.owner.name}: its jvp rule must return a pair (output, tangent of the output)")
        found, structure = self.owner._tensors("jvp rule", result[1])
        if structure != self.output_structure:
            raise GradientError(f"{self.owner.name}: its jvp rule's tangent must have the structure of the output")
        for k, (t, y) in enumerate(zip(found, outputs, strict=True)):
            if t.shape != y.shape:
                raise ShapeError(
                    f"{self.owner.name}: its jvp rule returned a tangent of shape {t.shape} for output {k} of "
                    f"shape {y.shape}"
                )
        return [t.astype(y.dtype) if is_inexact(y.dtype) else y.new_zeros(y.shape) for t, y in zip(found, outputs)]


class _Stated(Primitive):
    """The primitive behind every ``custom_jvp`` function; the function itself is its parameter."""

    kind = "custom"

    @staticmethod
    def composed(*xs: Tensor, call: _StatedCall) -> Any:
        return call.value(xs)

    def _make_pullback(self, wanted: list[int], arity: int) -> Pullback:
        def pull(g: Any, primals: tuple[Tensor, ...], params: dict[str, Any], avals: Any) -> Any:
            """t -> J t is linear: its transpose is the pullback of the rule in its tangents."""
            create_graph = context.is_grad_enabled()
            cotangents = list(g) if type(g) is tuple else [g]
            with context.scope(recording=True):
                tangents = [_zero_tangent(x) for x in primals]
                for i in wanted:
                    tangents[i] = fresh(tangents[i])
                constants = primals if create_graph else [x.with_node(None) for x in primals]
                pushed = params["call"].tangents(constants, tangents, cotangents)
            found = pull_back(
                pushed, cotangents, [tangents[i] for i in wanted], retain_graph=create_graph, create_graph=create_graph
            )
            return found if len(found) > 1 else found[0]

        return Pullback(self, range(arity), pull, needs_avals=False)

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any], output: Any, params: dict[str, Any]) -> Any:
        several = type(output) is tuple
        filled = [_zero_tangent(x) if t is None else t for x, t in zip(primals, tangents, strict=True)]
        found = params["call"].tangents(primals, filled, output if several else (output,))
        return tuple(found) if several else found[0]


def _zero_tangent(x: Tensor) -> Tensor:
    return creation.zeros(x.shape, dtype=x.dtype if is_inexact(x.dtype) else None, device=x.device)


custom_jvp_p = _Stated("custom_jvp", None, None, operands=())
