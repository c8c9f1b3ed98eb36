"""Derivatives that a user states for a function of his own, in place of those of its operations."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from .. import context, tree
from ..aval import Aval, is_inexact
from ..errors import ArgumentError, GradientError, ShapeError
from ..graph import AnyNode, Leaf, Node, Piece
from ..interpreters.batch import Batch, Batched, run_batched
from ..interpreters.reverse import captured, fresh, main_node, pull_back
from ..ops import creation
from ..primitive import Primitive, bind
from ..rules import Pullback
from ..tensor import Tensor
from .randomness import NoDraws


class _Custom:
    """What the two decorators share: the function's name, its static arguments, keywords made positional."""

    def __init__(self, f: Callable[..., Any], nondiff_argnums: int | Sequence[int] = ()):
        functools.update_wrapper(self, f)  # type: ignore[arg-type]
        self.f = f
        self.name = getattr(f, "__name__", repr(f))
        self.static = {nondiff_argnums} if isinstance(nondiff_argnums, int) else set(nondiff_argnums)
        if not all(isinstance(i, int) and i >= 0 for i in self.static):
            raise ArgumentError(f"{self.name}: nondiff_argnums are positions counted from 0, got {nondiff_argnums!r}")

    def _arguments(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[list[Any], tuple[Any, ...]]:
        """The static arguments, and those that derivatives are taken of."""
        import inspect  # a tenth of this package's import time: only when asked

        bound = inspect.signature(self.f).bind(*args, **kwargs)
        bound.apply_defaults()
        if bound.kwargs:
            raise ArgumentError(f"{self.name}: keyword-only arguments {sorted(bound.kwargs)} have no place in its rule")
        static = [a for i, a in enumerate(bound.args) if i in self.static]
        return static, tuple(a for i, a in enumerate(bound.args) if i not in self.static)

    def _join(self, static: Sequence[Any], chosen: Sequence[Any]) -> list[Any]:
        """The inverse of ``_arguments``."""
        statics, others = iter(static), iter(chosen)
        return [next(statics) if i in self.static else next(others) for i in range(len(static) + len(chosen))]

    def _pair(self, rule: str, result: Any, second: str) -> tuple[Any, Any]:
        if not (isinstance(result, tuple) and len(result) == 2):
            raise GradientError(f"{self.name}: its {rule} must return a pair (output, {second})")
        return result

    def _tensors(self, rule: str, result: Any) -> tuple[list[Tensor], Any]:
        leaves, structure = tree.flatten(result)
        for leaf in leaves:
            if not isinstance(leaf, Tensor):
                raise GradientError(f"{self.name}: its {rule} must return tensors, it returned {type(leaf).__name__}")
        return leaves, structure

    def _refuse_captured(self, rule: str, results: Sequence[Any], arguments: set[AnyNode], newest_outside: int) -> None:
        """GradientError if a result depends on a variable by another way than through the arguments."""
        if captured(results, arguments, newest_outside):
            raise GradientError(
                f"{self.name}: {rule} uses a tensor that requires gradients and is not one of its differentiable "
                "arguments, so that its gradient would be lost; pass it as an argument, or detach() it"
            )


# ------------------------------------------------------------------------------------ reverse mode


class custom_vjp(_Custom):
    """A function with a reverse derivative of your own: for better numerics, or for another gradient.

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

    fwd: Any = None
    bwd: Any = None

    def defvjp(self, fwd: Callable[..., Any], bwd: Callable[..., Any]) -> None:
        """State the rule: fwd(*args) -> (output, residuals), bwd(*nondiff_args, residuals, g) -> cotangents."""
        self.fwd, self.bwd = fwd, bwd

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.fwd is None:
            raise GradientError(f"{self.name}: custom_vjp has no rule yet; call {self.name}.defvjp(fwd, bwd)")
        context.current().interpreter.base.states_derivative(f"the rule of {self.name}")
        static, chosen = self._arguments(args, kwargs)
        leaves, structure = tree.flatten(chosen)
        wanted = [i for i, x in enumerate(leaves) if isinstance(x, Tensor) and x.node is not None]
        recording = context.is_grad_enabled()
        batch = _batch_with_history(leaves) if recording else None
        below = None if batch is None else self._for_all_examples(batch, static, chosen)
        if not wanted or not recording:
            return self.f(*self._join(static, chosen)) if below is None else below
        parents = [leaves[i].node for i in wanted]
        newest_outside = Leaf().order
        # residuals stay connected to the arguments by ordinary operations: that makes ``bwd`` differentiable
        for i in wanted:
            leaves[i] = fresh(leaves[i])
        result = self.fwd(*self._join(static, tree.unflatten(structure, leaves)))
        output, residuals = self._pair("fwd", result, "residuals")
        outputs, output_structure = self._tensors("fwd", output)
        kept = [*outputs, *tree.flatten(residuals)[0]]
        self._refuse_captured("fwd", kept, {leaves[i].node for i in wanted}, newest_outside)
        several = len(outputs) > 1
        described = [(made, [getattr(x, "aval", None) for x in xs]) for xs, made in map(tree.flatten, chosen)]

        def pull(g: Any, saved: tuple[Any, ...], params: dict[str, Any], avals: Any) -> Any:
            cotangent = tree.unflatten(output_structure, list(g) if several else [g])
            found = self._cotangents(self.bwd(*static, *saved, cotangent), described)
            return [found[i] for i in wanted] if len(wanted) > 1 else found[wanted[0]]

        if below is not None:  # the same values, with the history that they have one level down
            outputs, _ = tree.flatten(below)
        pullback = Pullback(Primitive(self.name, None, None, operands=()), (), pull, needs_avals=False)
        shapes = tuple(y.aval for y in outputs) if several else outputs[0].shape
        kept_residuals = tree.tree_map(lambda r: r.snapshot() if isinstance(r, Tensor) else r, residuals)
        node = Node(pullback, parents, (kept_residuals,), {}, None, shapes)
        pieces = [Piece(node, i) if several else node for i in range(len(outputs))]
        connected = [y.with_node(p if is_inexact(y.dtype) else None) for y, p in zip(outputs, pieces, strict=True)]
        observer = context.current().observer
        if observer is not None:
            operands = [x for x in leaves if isinstance(x, Tensor)]
            observer.ran(pullback.primitive, operands, tuple(connected) if several else connected[0])
        return tree.unflatten(output_structure, connected)

    def _for_all_examples(self, batch: Batch, static: Sequence[Any], chosen: tuple[Any, ...]) -> Any:
        """The results inside ``batch``, by this rule run for all examples at once, one level down."""
        leaves, structure = tree.flatten(chosen)
        described = [(made, [getattr(x, "aval", None) for x in xs]) for xs, made in map(tree.flatten, chosen)]
        positions = [i for i, x in enumerate(leaves) if isinstance(x, Tensor)]
        flags = [batch.owns(leaves[i]) for i in positions]
        output_structure: Any = None
        residual_structure: Any = None
        residual_leaves: list[Any] = []
        n_outputs = 0

        def run(f: Callable[..., Any], xs: Sequence[Tensor], on: Sequence[bool]) -> list[Tensor]:
            return run_batched(f, xs, on, batch.size, generator=NoDraws())

        def arguments(xs: Sequence[Tensor]) -> list[Any]:
            filled = dict(zip(positions, xs, strict=True))
            return self._join(static, tree.unflatten(structure, [filled.get(i, x) for i, x in enumerate(leaves)]))

        def of_one(*xs: Tensor) -> list[Tensor]:
            return self._tensors("function", self.f(*arguments(xs)))[0]

        def fwd_of_one(*xs: Tensor) -> list[Tensor]:
            nonlocal output_structure, residual_structure, residual_leaves, n_outputs
            output, residuals = self._pair("fwd", self.fwd(*arguments(xs)), "residuals")
            outputs, output_structure = self._tensors("fwd", output)
            found, residual_structure = tree.flatten(residuals)
            residual_leaves, n_outputs = [None if isinstance(r, Tensor) else r for r in found], len(outputs)
            return [*outputs, *[r for r in found if isinstance(r, Tensor)]]

        def bwd_of_one(*xs: Tensor) -> list[Tensor]:
            k = len(xs) - n_outputs
            tensors = iter(xs[:k])
            residuals = [next(tensors) if r is None else r for r in residual_leaves]
            cotangent = tree.unflatten(output_structure, list(xs[k:]))
            found = self._cotangents(
                self.bwd(*static, tree.unflatten(residual_structure, residuals), cotangent), described
            )
            pairs = [(leaves[i], found[i]) for i in positions]
            return [_zero_tangent(x) if g is None else g for x, g in pairs]

        def fwd(*xs: Tensor) -> tuple[list[Tensor], list[Tensor]]:
            found = run(fwd_of_one, xs, flags)
            return found[:n_outputs], found[n_outputs:]

        def bwd(residuals: list[Tensor], g: list[Tensor]) -> tuple[Tensor, ...]:
            pulled = run(bwd_of_one, [*residuals, *g], [True] * (len(residuals) + n_outputs))
            return tuple(p if b else p.sum(axis=0) for p, b in zip(pulled, flags, strict=True))

        for_all = custom_vjp(lambda *xs: run(of_one, xs, flags))
        for_all.name = self.name
        for_all.defvjp(fwd, bwd)
        outputs = for_all(*[leaves[i].inner if b else leaves[i] for i, b in zip(positions, flags, strict=True)])
        return tree.unflatten(output_structure, [Batched(batch, y) for y in outputs])

    def _cotangents(self, found: Any, arguments: Sequence[tuple[Any, list[Aval | None]]]) -> list[Tensor | None]:
        """What ``bwd`` returned, leaf by leaf, once it fits the arguments."""
        if not isinstance(found, (tuple, list)) or len(found) != len(arguments):
            given = f"{len(found)}" if isinstance(found, (tuple, list)) else f"a {type(found).__name__}"
            raise GradientError(
                f"{self.name}: bwd must return a tuple of {len(arguments)} cotangent(s), one for every argument "
                f"that is not in nondiff_argnums (None for zero); it returned {given}"
            )
        flat: list[Tensor | None] = []
        for i, (cotangent, (structure, avals)) in enumerate(zip(found, arguments, strict=True)):
            leaves, its_structure = tree.flatten(cotangent)
            if cotangent is None:
                leaves = [None] * len(avals)
            elif its_structure != structure:
                raise GradientError(f"{self.name}: bwd's cotangent of argument {i} must have that argument's structure")
            flat += [
                None if g is None or aval is None else _fitted(self.name, "bwd", "cotangent", f"argument {i}", g, aval)
                for g, aval in zip(leaves, avals, strict=True)
            ]
        return flat


def _batch_with_history(leaves: Sequence[Any]) -> Batch | None:
    """The ``vmap`` that the innermost of ``leaves`` belong to, if one of them has a history outside it."""
    tensors: list[Any] = [x for x in leaves if isinstance(x, Tensor)]
    top = max(tensors, key=lambda x: x.level, default=None)
    if not isinstance(top, Batched):
        return None
    below = [x.inner if x.level == top.level else x for x in tensors]
    while below:
        if any(x.node is not None for x in below):
            return top.interpreter
        below = [x.inner for x in below if x.level]
    return None


def _fitted(name: str, rule: str, kind: str, of: str, given: Any, aval: Aval) -> Tensor:
    """What a rule returned as a tensor of the shape and dtype that it must have."""
    x = creation.asarray(given)
    if x.shape != aval.shape:
        raise ShapeError(
            f"{name}: its {rule} returned a {kind} of shape {x.shape} for {of} of shape {aval.shape}; "
            "they must be equal (sum over axes that were broadcast)"
        )
    return x.astype(aval.dtype)


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

    rule: Any = None

    def defjvp(self, rule: Callable[..., Any]) -> Callable[..., Any]:
        """State the rule: rule(*nondiff_args, primals, tangents) -> (output, tangent of the output)."""
        self.rule = rule
        return rule

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.rule is None:
            raise GradientError(f"{self.name}: custom_jvp has no rule yet; state it with @{self.name}.defjvp")
        context.current().interpreter.base.states_derivative(f"the rule of {self.name}")
        static, chosen = self._arguments(args, kwargs)
        leaves, structure = tree.flatten(chosen)
        if not leaves:
            return self.f(*self._join(static, chosen))
        device = next((x.device for x in leaves if isinstance(x, Tensor)), None)
        operands = [x if isinstance(x, Tensor) else creation.asarray(x, device=device) for x in leaves]
        output_structure: Any = None
        recording = context.is_grad_enabled()

        def value(xs: Sequence[Tensor]) -> tuple[Tensor, ...]:
            nonlocal output_structure
            newest_outside = Leaf().order
            with context.scope(recording=recording):  # to see what it depends on
                y = self.f(*self._join(static, tree.unflatten(structure, list(xs))))
            outputs, output_structure = self._tensors("function", y)
            self._refuse_captured(
                "the function", outputs, {main_node(x.node) for x in xs if x.node is not None}, newest_outside
            )
            return tuple(outputs)

        def push(primals: Iterable[Tensor], tangents: Iterable[Tensor], outputs: Sequence[Tensor]) -> list[Tensor]:
            both = [tree.unflatten(structure, list(xs)) for xs in (primals, tangents)]
            _, found = self._pair("jvp rule", self.rule(*static, *both), "tangent of the output")
            ts, its_structure = self._tensors("jvp rule", found)
            if its_structure != output_structure:
                raise GradientError(f"{self.name}: its jvp rule's tangent must have the structure of the output")
            return [
                _fitted(self.name, "jvp rule", "tangent", f"output {k}", t, Aval(y.shape, _zero_tangent(y).dtype))
                for k, (t, y) in enumerate(zip(ts, outputs, strict=True))
            ]

        outputs = bind(custom_jvp_p, operands, {"value": value, "push": push})
        return tree.unflatten(output_structure, list(outputs))


class _Stated(Primitive):
    """The primitive behind every ``custom_jvp`` function: the function and its rule are parameters."""

    kind = "custom"

    @staticmethod
    def composed(*xs: Tensor, value: Callable[..., Any], push: Callable[..., Any]) -> Any:
        return value(xs)

    def for_all_examples(
        self, xs: Sequence[Tensor], batched: Sequence[bool], size: int, value: Callable[..., Any], push: Any
    ) -> Any:
        """The batch rule: the same primitive, of the function and the rule for all examples."""
        n = len(xs)

        def run(f: Callable[..., Any], operands: Sequence[Tensor], on: Sequence[bool]) -> tuple[Tensor, ...]:
            return tuple(run_batched(f, operands, on, size, generator=NoDraws()))

        def values(primals: Iterable[Tensor]) -> tuple[Tensor, ...]:
            return run(lambda *ps: value(ps), list(primals), batched)

        def pushed(primals: Iterable[Tensor], tangents: Iterable[Tensor], outputs: Sequence[Tensor]) -> Any:
            on = [*batched, *batched, *[True] * len(outputs)]
            return run(lambda *ts: push(ts[:n], ts[n : 2 * n], ts[2 * n :]), [*primals, *tangents, *outputs], on)

        return bind(self, xs, {"value": values, "push": pushed})

    def _make_pullback(self, wanted: list[int], arity: int) -> Pullback:
        def pull(g: tuple[Tensor, ...], primals: tuple[Tensor, ...], params: dict[str, Any], avals: Any) -> Any:
            """t -> J t is linear: its transpose is the pullback of the rule in its tangents."""
            create_graph = context.is_grad_enabled()
            with context.scope(recording=True):
                tangents = [fresh(t) if i in wanted else t for i, t in enumerate(map(_zero_tangent, primals))]
                constants = primals if create_graph else [x.with_node(None) for x in primals]
                pushed = params["push"](constants, tangents, g)
            variables = [tangents[i] for i in wanted]
            found = pull_back(pushed, g, variables, retain_graph=create_graph, create_graph=create_graph)
            return found if len(found) > 1 else found[0]

        return Pullback(self, range(arity), pull, needs_avals=False)

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any], output: Any, params: dict[str, Any]) -> Any:
        filled = [_zero_tangent(x) if t is None else t for x, t in zip(primals, tangents, strict=True)]
        return tuple(params["push"](primals, filled, output))


def _zero_tangent(x: Tensor) -> Tensor:
    """Zeros of the shape of ``x``, in its dtype if that is floating."""
    return creation.zeros(x.shape, dtype=x.dtype if is_inexact(x.dtype) else None, device=x.device)


custom_jvp_p = _Stated("custom_jvp", None, None, operands=())
custom_jvp_p.batch = custom_jvp_p.for_all_examples
